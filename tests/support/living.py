"""Random workflows of everything that there is, in a world that does random things to them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gostage_core import Action, ActionContext, Middleware, NoRetry, Retry, Stage, Workflow
from gostage_core.attempt import Moment
from gostage_core.authoring.action import definition_of
from gostage_core.authoring.definition import ActionDefinition, WorkflowDefinition
from gostage_core.authoring.waits import BelowFailedError, ChildRun, Delivery, Group, Member
from gostage_core.errors import CorruptRunError, PlanError
from gostage_core.plan import action_arguments, entry_texts, one_stage_arguments
from tests.support.invariants import Snapshot, check_all

if TYPE_CHECKING:
    from random import Random

    from gostage_core import HookContext, ScopeOutcome
    from gostage_core.authoring.waits import Wait
    from tests.support.bench import Bench, Message

Steps = tuple[ActionDefinition, ...]


class Do(Action):
    """Counts itself, and does what the world has it do."""

    fails: int = 0
    grows: int = 0
    """How many generations it may add."""

    def execute(self, ctx: ActionContext) -> str:
        world = World.now[-1]
        world.interfere(ctx)
        ctx.store.increment(f"n.{ctx._entry}")
        if ctx.attempt <= self.fails:
            raise ValueError("as it was told")
        if self.grows:
            world.change(ctx, self.grows - 1)
        return "done"


class Crew(Action):
    """Waits for a group."""

    members: tuple[Steps, ...]
    parallel: bool = True
    limit: int | None = None
    quorum: int | None = None
    on_failure: Literal["fail_fast", "wait_all"] = "fail_fast"
    times: int = 1

    def execute(self, ctx: ActionContext) -> Wait | None:
        World.now[-1].interfere(ctx)
        if ctx.phase and (failure := ctx.outcome().failure):
            raise BelowFailedError(failure)
        if ctx.phase == self.times:
            return None
        return Group(
            tuple(Member(steps, f"[{i}]", index=i) for i, steps in enumerate(self.members)),
            parallel=self.parallel,
            limit=self.limit,
            quorum=self.quorum,
            on_failure=self.on_failure,
            collect=True,
        )


class Below(Action):
    """Waits for a run of its own."""

    workflow: WorkflowDefinition

    def execute(self, ctx: ActionContext) -> Wait | None:
        if ctx.phase == 0:
            return ChildRun(self.workflow, {})
        if failure := ctx.outcome().failure:
            raise BelowFailedError(failure)
        return None


class Await(Action):
    """Waits for something from outside, and gives up at its timeout."""

    def execute(self, ctx: ActionContext) -> Wait | None:
        return None if ctx.phase else Delivery("parcel", 60)


class Watch(Middleware):
    """Has hooks that do what they were told."""

    before: Literal["", "fail", "skip"] = ""
    after: Literal["", "fail", "recover"] = ""

    def before_stage(self, ctx: HookContext) -> None:
        self._enter(ctx)
        if self.before == "skip":
            ctx.skip("told")

    def before_run(self, ctx: HookContext) -> None:
        self._enter(ctx)

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        self._leave(outcome)

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        self._leave(outcome)

    def _enter(self, ctx: HookContext) -> None:
        World.now[-1].interfere(None)
        if self.before == "fail":
            raise ValueError("told to fail before")

    def _leave(self, outcome: ScopeOutcome) -> None:
        World.now[-1].interfere(None)
        if self.after == "fail":
            raise ValueError("told to fail behind")
        if self.after == "recover" and outcome.status == "failed":
            outcome.recover()


class Maker:
    """Makes workflows by chance."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._names = 0

    def workflow(self, depth: int = 2) -> Workflow:
        workflow = Workflow("w")
        for _ in range(self._pick(1, 1, 2, 3)):
            workflow.add_stage(self.stage(depth))
        if self._maybe(0.2):
            workflow.use(self._watch(run=True))
        return workflow

    def stage(self, depth: int) -> Stage:
        parallel = self._maybe(0.5)
        actions = self.actions(depth, self._pick(0, 1, 2, 3, 4))
        options: dict[str, Any] = {}
        if parallel:
            options["max_parallel"] = self._pick(None, 1, 2)
            options["on_failure"] = self._pick("fail_fast", "wait_all")
            if actions and self._maybe(0.25):
                options["join"] = self._chance.randint(1, len(actions))
        stage = Stage(self.name("s"), actions, parallel=parallel, **options)
        return stage.use(self._watch()) if self._maybe(0.3) else stage

    def actions(self, depth: int, count: int) -> list[Action]:
        return [self.action(depth) for _ in range(count)]

    def action(self, depth: int) -> Action:
        kinds = ["do", "do", "do", "await"]
        made = self._made(
            self._chance.choice(kinds + ["crew", "crew", "below"] * (depth > 0)), depth
        )
        options: dict[str, Any] = {"name": self.name("a")}
        if self._maybe(0.2):
            options["retry"] = Retry(2, delay=1)
        if self._maybe(0.2):
            options["on_error"] = "continue"
        return made.options(**options)

    def name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"

    def _made(self, kind: str, depth: int) -> Action:
        if kind == "crew":
            return self._crew(depth - 1)
        if kind == "below":
            return Below(workflow=self.workflow(depth - 1).definition())
        if kind == "await":
            return Await()
        return Do(fails=self._pick(0, 0, 0, 0, 1, 9), grows=self._pick(0, 0, 1, 2))

    def _crew(self, depth: int) -> Crew:
        members = tuple(
            tuple(map(definition_of, self.actions(depth, self._pick(0, 1, 1, 2))))
            for _ in range(self._pick(0, 1, 2, 3, 4))
        )
        quorum = self._chance.randint(1, len(members)) if members and self._maybe(0.3) else None
        return Crew(
            members=members,
            parallel=self._maybe(0.7) or quorum is not None,
            limit=self._pick(None, 1, 2),
            quorum=quorum,
            on_failure=self._pick("fail_fast", "wait_all"),
            times=self._pick(1, 1, 2),
        )

    def _watch(self, *, run: bool = False) -> Watch:
        before = self._pick("", "", "", "fail", "skip")
        after = self._pick("", "", "fail", "recover", "recover")
        return Watch(before="" if run and before == "skip" else before, after=after)

    def _maybe(self, odds: float) -> bool:
        return self._chance.random() < odds

    def _pick(self, *among: Any) -> Any:
        return self._chance.choice(among)


@dataclass
class World:
    """One run and all that happens to it."""

    bench: Bench
    chance: Random
    wild: bool = True
    """Whether anything happens from outside."""
    depth: int = 0
    turns: int = 0
    maker: Maker = field(init=False)
    root: str = ""
    trace: list[str] = field(default_factory=list)

    now: ClassVar[list[World]] = []
    """Whose bodies are executed: the last."""

    def __post_init__(self) -> None:
        self.maker = Maker(self.chance)
        self._call_twice()

    def live(self) -> list[Snapshot]:
        """Submit a run and see it to its end, whatever happens; return what is left."""
        World.now.append(self)
        try:
            deadline = 3600 if self.chance.random() < 0.05 else None
            run = self.bench.submit(self.maker.workflow(), deadline=deadline)
            self.root = run.run_id
            while any(not one.is_terminal for one in check_all(self.bench.state, self.root)):
                self.turns += 1
                assert self.turns < 2_000, "it does not end"
                self.wild = self.turns < 150
                self.step()
            return check_all(self.bench.state, self.root)
        finally:
            World.now.pop()

    def step(self) -> None:
        """Deliver a message, or let time pass, or do something from outside."""
        if self.wild and self.chance.random() < 0.2:
            self.meddle()
        elif self.bench.post.messages:
            self.bench.post.messages.rotate(self.chance.randrange(len(self.bench.post.messages)))
            self.deliver(self.bench.post.messages.popleft())
        else:
            self.note("time passes")
            self.bench.bury()
            self.bench.pass_time()

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
                check_all(self.bench.state, self.root)
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

    def meddle(self) -> None:
        """Do something from outside to one of the runs that go on."""
        runs = [one for one in check_all(self.bench.state, self.root) if not one.is_terminal]
        if not runs:
            return
        run = self.chance.choice(runs)
        match self.chance.randrange(20):
            case 0:
                self.note(f"cancel {run.run_id}")
                answer = self.bench.state.halt(run.run_id, "cancelled", '{"reason":"x"}')
                self.bench.post.send(run.run_id, answer.next)
            case 1 | 2:
                self.note("a tick")
                self.bench.bury()
                self.bench.pass_time()
            case 3 | 4 | 5:
                n = self.chance.choice(sorted(run.live))
                self.note(f"bring a parcel to {run.run_id} {n}")
                answer = self.bench.state.deliver(run.run_id, n, "parcel", "x")
                self.bench.post.send(run.run_id, answer.next)
            case 6:
                worker = f"w{self.chance.randrange(2)}"
                self.note(f"{worker} is taken for dead")
                self.bench.rescuer.lost(worker)
            case _:
                self._edit(run)

    def _edit(self, run: Snapshot) -> None:
        edits = [edit for edit in map(self._one_edit, [run] * self.chance.randint(1, 3)) if edit]
        parts = [part for edit in edits for part in edit]
        revision = int(run.header["revision"]) - (self.chance.random() < 0.05)
        answer = self.bench.state.edit(
            run.run_id,
            nonce=f"{self.chance.random()}",
            revision=revision,
            details='{"actor":"x"}',
            edits=[len(edits), *parts],
        )
        self.note(f"edit {run.run_id} {edits} = {answer}")
        self.bench.post.send(run.run_id, answer.next)

    def _one_edit(self, run: Snapshot) -> list[object]:
        stage = self.chance.choice([*run.stages, ""])
        action = self.chance.choice([*run.actions, ""])
        kind = self.chance.choice(
            ["disable", "disable", "enable", "remove", "add", "add", "stage", "set"]
        )
        do = definition_of(Do().options(name=self.maker.name("e")))
        if kind in ("disable", "enable", "remove"):
            target = action if self.chance.random() < 0.8 else stage
            return [kind, target] if target else []
        if kind == "set" and action:
            return ["set", action, *entry_texts(do, {"stage": "s", "order": "1"})]
        if kind == "add" and stage:
            after = self.chance.choice(["", *run.members(stage)])
            state = self.chance.choice(["", "", "d"])
            return ["add", stage, after, *action_arguments([do], "s", ["5"], {}, [state])]
        if kind == "stage" and stage:
            definition = self.maker.stage(1).definition()
            state = self.chance.choice(["", "", "d"])
            return ["stage", stage, *one_stage_arguments(definition, state=state)]
        return []

    def note(self, text: str) -> None:
        """Keep what was done, for who looks into a failure."""
        self.trace.append(text)

    def _call_twice(self) -> None:
        """Let answers of the server be lost, so that the client calls again."""
        state, once = self.bench.state, self.bench.state._run

        def run(name: str, run_id: str, *args: object, key: str = "") -> Any:
            if self.wild and self.chance.random() < 0.05:
                self.note(f"the answer of {name} to {args[:2]} is lost")
                with suppress(CorruptRunError):
                    once(name, run_id, *args, key=key)
            return once(name, run_id, *args, key=key)

        state._run = run  # type: ignore[method-assign]
