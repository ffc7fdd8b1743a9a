"""A world that does random things to random workflows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from gostage_core import NoRetry, Run, Stage
from gostage_core.attempt import Moment
from gostage_core.errors import (
    ActionNotFoundError,
    CorruptRunError,
    ForkError,
    PlanError,
    RunNotFoundError,
    RunStateError,
)
from gostage_core.testing.memory import MemoryClient
from tests.support.invariants import Snapshot, check_all, check_forgotten
from tests.support.living_edits import some_edits
from tests.support.living_plans import BELL, WORLDS, Do, Maker
from tests.support.throttling import check_throttles

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from gostage_core import ActionContext
    from tests.support.bench import Bench, Message

_WILD_TURNS: Final = 200
_OPENED: Final = 3
"""How often runs that have ended are opened again."""
_FORKS: Final = 2


@dataclass
class World:
    """One run, its forks, and all that happens to them."""

    bench: Bench
    chance: Random
    wild: bool = True
    """Whether anything happens from outside."""
    depth: int = 0
    turns: int = 0
    opened: int = 0
    maker: Maker = field(init=False)
    roots: list[str] = field(default_factory=list)
    """The run, and its forks."""
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.maker = Maker(self.chance)
        self._numbers = count()
        self._remembered: dict[str, int] = {}
        self._call_twice()

    def live(self) -> list[Snapshot]:
        """Submit a run and see it to its end, whatever happens; return what is left."""
        WORLDS.append(self)
        try:
            deadline = 3600 if self.chance.random() < 0.05 else None
            workflow = self.maker.workflow()
            self.roots = [self.bench.submit(workflow, run_id="run", deadline=deadline).run_id]
            while self._goes_on():
                self.turns += 1
                assert self.turns < 3_000, "it does not end"
                self.wild = self.turns < _WILD_TURNS
                self.step()
            return self.everything()
        finally:
            WORLDS.pop()

    def everything(self) -> list[Snapshot]:
        """Check every run that there is, and return it."""
        runs = [run for root in self.roots for run in check_all(self.bench.state, root)]
        check_throttles(runs)
        return runs

    def forget(self) -> None:
        """Delete every run, and check that nothing of them is left."""
        self.wild = False
        for root in self.roots:
            self._handle(root).delete()
        for run in self.bench.runner.list(limit=10_000):  # of passes that were forgotten before
            self._handle(run.run_id).delete()
        for _ in range(2):
            self.bench.pass_time()
        check_forgotten(self.bench.state)

    def step(self) -> None:
        """Deliver a message, or let time pass, or do something from outside."""
        if self.wild and self.chance.random() < 0.2:
            self.meddle()
        elif self.bench.post.messages:
            self.bench.post.messages.rotate(self.chance.randrange(len(self.bench.post.messages)))
            self.deliver(self.bench.post.messages.popleft())
        else:
            self._let_time_pass()

    def deliver(self, message: Message) -> None:
        """Hand over a message: once or twice, or to a worker that dies of it, or not at all."""
        luck = self.chance.random() if self.wild else 1.0
        if luck < 0.05:
            self.note(f"lose {message}")
            return
        worker = f"w{self.depth}"
        if luck < 0.15:
            self.bench.die_at = self.chance.choice(list(Moment))
            worker = f"dead{self.turns}.{self.depth}.{self.chance.random()}"
        self.note(f"deliver {message} to {worker}, which dies: {self.bench.die_at}")
        ended = self.bench.deliver(message, worker)
        self.note(f"= {ended}")
        self.bench.die_at = None
        if 0.15 < luck < 0.2:
            self.bench.deliver(message, "late")

    def interfere(self, ctx: ActionContext | None) -> None:
        """Do things while a body runs."""
        if not self.wild or self.depth > 1:
            return
        self.depth += 1
        dying, self.bench.die_at = self.bench.die_at, None
        try:
            while self.chance.random() < 0.3:
                self.step()
                self.everything()
        finally:
            self.depth -= 1
            self.bench.die_at = dying
        if ctx is not None and self.chance.random() < 0.1:
            ctx.checkpoint()
        if ctx is not None:
            ctx.heartbeat()

    def change(self, ctx: ActionContext, grows: int) -> None:
        """Change the plan from within."""
        do = [Do(grows=grows).options(name=self.maker.name("d")) for _ in range(2)]
        match self.chance.randrange(9):
            case 0 | 1 | 2:
                ctx.add_action(*do)
            case 3:
                ctx.add_stage(Stage(self.maker.name("s"), do))
            case 4:
                ctx.add_action(self.maker.action(1))
            case 5 | 6:
                stage = ctx.stages[self.chance.choice(ctx.stages.ids)]
                self.chance.choice([stage.disable, stage.enable, stage.remove])()
            case 7:
                name = self.chance.choice(list(ctx.actions.names))
                named = ctx.actions[name]
                self.chance.choice([named.disable, named.enable, named.remove])()
            case _:
                if self.chance.random() < 0.2:
                    ctx.bail("enough")
                if self.chance.random() < 0.2:
                    raise NoRetry("enough")
                with suppress(PlanError):
                    ctx.stages[self.chance.choice(ctx.stages.ids)].add(*do)

    def number(self) -> int:
        """Return another number each time."""
        return next(self._numbers)

    def remember(self, key: str, number: int) -> None:
        """Check that what was done once for *key* is that which it was before."""
        assert self._remembered.setdefault(key, number) == number, f"{key} was done again"

    def meddle(self) -> None:
        """Do something from outside to one of the runs."""
        runs = self.everything()
        going = [run for run in runs if not run.is_terminal]
        ended = [run for run in runs if run.is_terminal and run.run_id in self.roots]
        if ended and self.chance.random() < 0.1:
            self._open_again(self.chance.choice(ended))
        elif going:
            self.chance.choice(self._acts())(self.chance.choice(going))

    def note(self, text: str) -> None:
        """Keep what was done, for who looks into a failure."""
        self.trace.append(text)

    def _acts(self) -> list[Callable[[Snapshot], None]]:
        often = [self._edit] * 7 + [self._tick] * 2 + [self._bring_parcel] * 3 + [self._ring] * 4
        return [
            *often, self._pause, self._pause, self._resume, self._resume, self._resume,
            self._cancel, self._bury_one, self._fork, self._fork, self._delete_below,
        ]  # fmt: skip

    def _goes_on(self) -> bool:
        runs = self.everything()
        if any(not run.is_terminal for run in runs):
            return True
        ended = [run for run in runs if run.run_id in self.roots]
        return any(self._open_again(run) for run in ended)

    def _let_time_pass(self) -> None:
        self.note("time passes")
        if not self.wild:
            self._calm_down()
        if isinstance(self.bench.state.client, MemoryClient):
            self.bench.state.client.server.clock.advance(1)
        self.bench.bury()
        self.bench.pass_time()

    def _calm_down(self) -> None:
        """Let go of what is held, and answer who waits without end."""
        for run in self.everything():
            if "paused" in run.header:
                self._resume(run)
            elif any(name.startswith("w") for name in run.inbox):
                self._ring(run)

    def _cancel(self, run: Snapshot) -> None:
        grace = self.chance.choice([None, 0, 5])
        self.note(f"cancel {run.run_id} within {grace}")
        answer = self.bench.state.halt(run.run_id, "cancelled", '{"reason":"x"}', grace)
        self.bench.post.send(run.run_id, answer.next)

    def _tick(self, _run: Snapshot) -> None:
        self.note("a tick")
        self.bench.bury()
        self.bench.pass_time()

    def _bring_parcel(self, run: Snapshot) -> None:
        if run.live:
            n = self.chance.choice(sorted(run.live))
            self.note(f"bring a parcel to {run.run_id} {n}")
            answer = self.bench.state.deliver(run.run_id, n, "parcel", "x")
            self.bench.post.send(run.run_id, answer.next)

    def _ring(self, run: Snapshot) -> None:
        """Send a signal: one that is known already, or that nobody wants, or a good one."""
        signal = f"i{self.chance.randrange(40)}" if self.wild else f"calm{self.turns}"
        text = b"7" if not self.wild or self.chance.random() < 0.8 else b'"seven"'
        answer = self.bench.state.signal(run.run_id, signal, BELL, text, '{"actor":"x"}')
        self.note(f"ring {signal} {text!r} at {run.run_id} = {answer}")
        self.bench.post.send(run.run_id, answer.next)

    def _pause(self, run: Snapshot) -> None:
        answer = self.bench.state.pause(run.run_id, '{"actor":"x"}')
        self.note(f"pause {run.run_id} = {answer}")
        self.bench.post.send(run.run_id, answer.next)

    def _resume(self, run: Snapshot) -> None:
        answer = self.bench.state.resume(run.run_id, '{"actor":"x"}')
        self.note(f"resume {run.run_id} = {answer}")
        self.bench.post.send(run.run_id, answer.next)

    def _bury_one(self, _run: Snapshot) -> None:
        worker = f"w{self.chance.randrange(2)}"
        self.note(f"{worker} is taken for dead")
        self.bench.rescuer.lost(worker)

    def _fork(self, _run: Snapshot) -> None:
        run_id = self.chance.choice(self.roots)
        entries = [str(one[2]) for one in Snapshot(self.bench.state, run_id).journal if one[2]]
        if len(self.roots) > _FORKS or not entries:
            return
        at = self.chance.choice(entries)
        self.note(f"fork {run_id} at {at}")
        with suppress(ForkError, ActionNotFoundError):
            made = self._handle(run_id).fork(at, run_id=f"fork{len(self.roots)}")
            self.roots.append(made.run_id)
            self.note(f"= {self.roots[-1]}")

    def _delete_below(self, run: Snapshot) -> None:
        if run.header["parent"]:
            self.note(f"delete {run.run_id}")
            self._handle(run.run_id).delete("x")

    def _open_again(self, run: Snapshot) -> bool:
        """Retry a run that has ended, with or without some of what it would do."""
        if self.opened >= _OPENED or run.header["status"] not in ("failed", "cancelled"):
            return False
        self.opened += 1
        skip = [n for n in run.actions if run.state_of(n) in ("", *"fkd")]
        skip = [n for n in skip if self.chance.random() < 0.2]
        self.note(f"retry {run.run_id} without {skip}")
        try:
            self._handle(run.run_id).retry(skip=skip, store={"again": self.opened})
        except (ActionNotFoundError, RunStateError) as error:
            self.note(f"= {error}")  # what was skipped with its stage; or all of it was undone
            return False
        return True

    def _edit(self, run: Snapshot) -> None:
        edits = some_edits(run, self.chance, self.maker)
        revision = int(run.header["revision"]) - (self.chance.random() < 0.05)
        answer = self.bench.state.edit(
            run.run_id,
            nonce=f"{self.chance.random()}",
            revision=revision,
            details='{"actor":"x"}',
            edits=edits,
        )
        self.note(f"edit {run.run_id} {edits} = {answer}")
        self.bench.post.send(run.run_id, answer.next)

    def _handle(self, run_id: str) -> Run:
        return Run(self.bench.state, run_id, self.bench.post.send)

    def _call_twice(self) -> None:
        """Let answers of the server be lost, so that the client calls again."""
        state, once = self.bench.state, self.bench.state._run

        def run(name: str, run_id: str, *args: object, key: str = "") -> Any:
            if self.wild and self.chance.random() < 0.05:
                self.note(f"the answer of {name} to {args[:2]} is lost")
                with suppress(CorruptRunError, RunNotFoundError):
                    once(name, run_id, *args, key=key)
            return once(name, run_id, *args, key=key)

        state._run = run  # type: ignore[method-assign]
