"""Producers and operators: what is asked of runs from outside of workers, all the time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gostage_core.errors import GostageError, StoreUnavailableError
from gostage_core.run import Run
from tests.simulation.building import STORE, THROTTLES, actions_of, stages_of, workflow_of
from tests.simulation.stories import Deed, Story
from tests.simulation.themes import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.world import World

REPLIES = "replies"
_FAVOURED = 30.0
"""The odds of what a world is about, beside those below."""
_PATIENCE = 0.3
"""Seconds until a producer asks again that was not answered."""


class Desk:
    """One who asks things of runs. It never dies, but its requests may be lost as any."""

    frozen_until = 0
    node_name = "desk"

    def __init__(self, world: World) -> None:
        self.world = world
        self._chance = world.chance
        self._sent = 0

    def strike(self) -> None:
        """Meet nothing: whoever sits here survives."""

    def begin(self, name: str, body: Callable[[], object], after: float) -> None:
        """Begin to do something after so many seconds."""
        self.world.loop.start(name, self, body, after=after)

    def submit(self, story: Story) -> None:
        """Submit a run, until it is known that it was."""
        workflow, options = workflow_of(story), self._options(story)
        self.world.report.traits.update([options.get("on_conflict", "")])
        for _ in range(200):
            try:
                self.world.runner.submit(workflow, **options)
            except StoreUnavailableError:
                self.world.loop.sleep(_PATIENCE)
            except GostageError as error:
                self.world.tell(f"{story.run_id} was not submitted: {error}")
                return
            else:
                return

    def signal(self, run_id: str, name: str) -> None:
        """Send a run a signal, once or twice, until it is known that it has it."""
        self._sent += 1
        identity, payload = f"{name}.{self._sent}", f"{run_id}/{name}/{self._sent}"
        for _ in range(200):
            try:
                self.world.runner.get(run_id).signal(name, payload, id=identity)
                if self._chance.random() < 0.8:
                    return
            except StoreUnavailableError:
                self.world.loop.sleep(_PATIENCE)
            except GostageError:
                return

    def operate(self, until: float) -> None:
        """Act on runs as chance has it, for some time."""
        while self.world.loop.now < until:
            self.world.loop.sleep(self._chance.expovariate(0.7))
            kind = self._chance.choices(list(_DEEDS), self._odds())[0]
            if kind in self.world.without or not self.world.known_runs():
                continue
            run = Run(
                self.world.state, self._chance.choice(self.world.known_runs()), self.world.post.send
            )
            self.world.tell(f"- {kind} {run.run_id}")
            self.world.report.operations[kind] += 1
            with suppress(GostageError):
                _DEEDS[kind](self, run)

    def _odds(self) -> list[float]:
        favours = self.world.favours
        return [_FAVOURED if kind == favours else odds for kind, odds in _ODDS.items()]

    def keep_schedules(self, until: float) -> None:
        """Have runs submitted by schedules, for some time."""
        world, teller = self.world, self.world.teller
        names = [f"sched{number}" for number in range(self._chance.choice((1, 2)))]
        for name in names:
            story = teller.story(name)
            with suppress(GostageError):
                world.runner.schedules.add(
                    name,
                    workflow_of(story),
                    every=self._chance.choice((2, 5, 9)),
                    overlap=self._chance.choice(("skip", "queue", "allow", "cancel")),
                    catch_up=self._chance.choice(("last", "all", "none")),
                    store=STORE,
                )
        while world.loop.now < until:
            world.loop.sleep(self._chance.expovariate(0.3))
            self._disturb_schedule(self._chance.choice(names))
        for name in names:
            self._remove_schedule(name)

    def _disturb_schedule(self, name: str) -> None:
        with suppress(GostageError):
            schedule = self.world.runner.schedules[name]
            self._chance.choice([schedule.pause, schedule.resume, schedule.trigger])()

    def _remove_schedule(self, name: str) -> None:
        for _ in range(200):
            try:
                if name in self.world.runner.schedules:
                    self.world.runner.schedules[name].remove()
            except StoreUnavailableError:
                self.world.loop.sleep(_PATIENCE)
            except GostageError:
                continue
            else:
                return

    def _options(self, story: Story) -> dict[str, Any]:
        options: dict[str, Any] = {"run_id": story.run_id, "store": STORE}
        if story.deadline is not None:
            options["deadline"] = story.deadline
        favours = self.world.favours
        if self.world.is_wild and self._chance.random() < (0.8 if favours in KEYS else 0.2):
            options["key"] = self._chance.choice(("k1", "k2"))
            on_conflict = self._chance.choice(KEYS)
            options["on_conflict"] = favours if favours in KEYS else on_conflict
        else:
            # Who asks again finds its own run by this.
            options["key"] = f"key of {story.run_id}"
        if self._chance.random() < 0.3:
            options["concurrency_key"] = self._chance.choice(("ana", "bob"))
        if self._chance.random() < 0.2:
            options["reply_to"] = f"{REPLIES}.{story.run_id}"
        return options

    def _cancel(self, run: Run) -> None:
        run.cancel("told", grace=self._chance.choice((None, 0, 0.5, 5)))

    def _retry(self, run: Run) -> None:
        chance = self._chance
        store = {"retried": self.world.unique()} if chance.random() < 0.4 else None
        skip: list[str] = []
        if chance.random() < 0.3:
            cut = [one.entry for one in run.plan.actions if one.status in ("failed", "cancelled")]
            skip = chance.sample(cut, min(len(cut), 1))
        deadline = 20 if chance.random() < 0.2 else None
        run.retry(store=store, skip=skip, deadline=deadline)

    def _signal_waiting(self, run: Run) -> None:
        names = self.world.awaited(run.run_id)
        if names:
            self.signal(run.run_id, self._chance.choice(names))

    def _edit(self, run: Run) -> None:
        chance, teller = self._chance, self.world.teller
        with run.edit("told") as plan:
            for _ in range(chance.randint(1, 3)):
                stages, actions = list(plan.stages.ids), list(plan.actions.names)
                fresh = actions_of([Deed(name=teller.name("e"))])
                kind = chance.randrange(4)
                if kind == 0 and stages:
                    plan.stages[chance.choice(stages)].add(*fresh)
                elif kind == 1:
                    plan.add_stage(*stages_of([teller.part(1)]))
                elif kind == 2 and stages:
                    stage = plan.stages[chance.choice(stages)]
                    chance.choice([stage.disable, stage.enable, stage.remove])()
                elif actions:
                    named = plan.actions[chance.choice(actions)]
                    chance.choice([named.disable, named.enable, named.remove])()

    def _fork(self, run: Run) -> None:
        begun = [one.entry for one in run.plan.actions if one.attempt]
        if begun:
            name = f"fork{self.world.unique()}"
            self.world.report.forks.add(name)
            run.fork(self._chance.choice(begun), run_id=name)

    def _bound(self, _run: Run) -> None:
        throttles, key = self.world.runner.throttles, self._chance.choice(list(THROTTLES))
        if self._chance.random() < 0.5:
            throttles.clear(key)
        elif key == "slow":
            throttles.set(key, rate=self._chance.randint(1, 4), per=self._chance.choice((1, 4)))
        else:
            throttles.set(key, concurrency=self._chance.randint(1, 3))


_DEEDS: dict[str, Callable[[Desk, Run], object]] = {
    "cancel": Desk._cancel,
    "pause": lambda _desk, run: run.pause("told"),
    "resume": lambda _desk, run: run.resume(),
    "signal": Desk._signal_waiting,
    "retry": Desk._retry,
    "edit": Desk._edit,
    "fork": Desk._fork,
    "delete": lambda _desk, run: run.delete("told"),
    "throttle": Desk._bound,
    "why": lambda _desk, run: str(run.why()),
}
_ODDS = {
    "cancel": 2, "pause": 3, "resume": 4, "signal": 4, "retry": 4, "edit": 5, "fork": 1.5,
    "delete": 0.5, "throttle": 1.5, "why": 1,
}  # fmt: skip
