"""Random workflows of everything that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from gostage_core import (
    Action,
    ActionContext,
    Middleware,
    Retry,
    SignalTimeoutError,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
)
from gostage_core.authoring.action import definition_of
from gostage_core.authoring.definition import ActionDefinition, WorkflowDefinition
from gostage_core.authoring.waits import BelowFailedError, ChildRun, Delivery, Group, Member

if TYPE_CHECKING:
    from random import Random

    from gostage_core import HookContext, ScopeOutcome
    from gostage_core.authoring.waits import Wait

Steps = tuple[ActionDefinition, ...]

BELL: Final = "bell"
"""The signal that everybody waits for."""
GATES: Final = (Throttle("gate", concurrency=2), Throttle("rate", rate=2, per=0.05))


class Surroundings(Protocol):
    """What bodies need of the world that they are executed in."""

    def interfere(self, ctx: ActionContext | None) -> None:
        """Do things while a body runs."""

    def change(self, ctx: ActionContext, grows: int) -> None:
        """Change the plan from within."""

    def number(self) -> int:
        """Return another number each time."""

    def remember(self, key: str, number: int) -> None:
        """Check that what was done once for *key* is that which it was before."""


WORLDS: list[Surroundings] = []
"""Whose bodies are executed: the last."""


class Do(Action):
    """Counts itself, and does what the world has it do."""

    fails: int = 0
    grows: int = 0
    """How many generations it may add."""

    def execute(self, ctx: ActionContext) -> str:
        world = WORLDS[-1]
        world.interfere(ctx)
        ctx.store.increment(f"n.{ctx._entry}")
        if ctx.attempt <= self.fails:
            raise ValueError("as it was told")
        if self.grows:
            world.change(ctx, self.grows - 1)
        return "done"


class Undo(Action):
    """Undoes something, at its second try where it fails at first."""

    fails: int = 0

    def execute(self, ctx: ActionContext) -> None:
        WORLDS[-1].interfere(ctx)
        if ctx.attempt <= self.fails:
            raise ValueError("cannot undo it yet")


class Listen(Action):
    """Does something once, and waits for signals in its body."""

    waits: int = 1
    patience: float | None = None
    fails: int = 0

    def execute(self, ctx: ActionContext) -> list[int]:
        world = WORLDS[-1]
        world.interfere(ctx)
        ctx.store.append("never", "what is written before a wait is not kept")
        heard = []
        for number in range(self.waits):
            once = ctx.once(f"number{number}", world.number)
            world.remember(f"{ctx.idempotency_key} {number}", once)
            try:
                heard.append(ctx.wait_for(BELL, int, timeout=self.patience))
            except SignalTimeoutError:
                if number % 2:
                    raise
            world.remember(f"{ctx.idempotency_key} {number} heard", len(heard))
        ctx.store.delete("never")
        ctx.store.increment(f"n.{ctx._entry}")
        if ctx.attempt <= self.fails:
            raise ValueError("as it was told")
        return heard


class Crew(Action):
    """Waits for a group."""

    members: tuple[Steps, ...]
    parallel: bool = True
    limit: int | None = None
    quorum: int | None = None
    on_failure: Literal["fail_fast", "wait_all"] = "fail_fast"
    times: int = 1
    keeps: int | None = None

    def execute(self, ctx: ActionContext) -> Wait | None:
        WORLDS[-1].interfere(ctx)
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
            keeps=self.keeps,
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
        self._enter()
        if self.before == "skip":
            ctx.skip("told")

    def before_run(self, ctx: HookContext) -> None:
        self._enter()

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        self._leave(outcome)

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        self._leave(outcome)

    def _enter(self) -> None:
        WORLDS[-1].interfere(None)
        if self.before == "fail":
            raise ValueError("told to fail before")

    def _leave(self, outcome: ScopeOutcome) -> None:
        WORLDS[-1].interfere(None)
        if self.after == "fail":
            raise ValueError("told to fail behind")
        if self.after == "recover" and outcome.status == "failed":
            outcome.recover()


class Maker:
    """Makes workflows by chance."""

    def __init__(self, chance: Random, *, alone: bool = False) -> None:
        """Make them of what *chance* picks: *alone*, of what waits for nobody and no clock."""
        self._chance = chance
        self._alone = alone
        self._names = 0
        self._undoes = self._maybe(0.4)

    def workflow(self, depth: int = 2) -> Workflow:
        # By its depth: a run that waits for one with its own throttle would wait without end.
        throttle = Throttle(f"runs{depth}", concurrency=1) if self._among_others(0.1) else None
        workflow = Workflow("w", throttle=throttle)
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
        kinds = ["do", "do", "do", "do"]
        kinds += ["await", "sleep", "signal", "listen"] * (not self._alone)
        made = self._made(
            self._chance.choice(kinds + ["crew", "crew", "crew", "below", "below"] * (depth > 0)),
            depth,
        )
        options: dict[str, Any] = {"name": self.name("a")}
        if self._maybe(0.2):
            options["retry"] = Retry(2, delay=1)
        if self._maybe(0.2):
            options["on_error"] = "continue"
        if self._among_others(0.1):
            options["deadline"] = self._pick(2, 5, 20)
        if self._among_others(0.15):
            options["throttle"] = self._pick(*GATES)
        if self._undoes and self._maybe(0.5):
            options["compensate"] = self._undo()
        return made.options(**options)

    def name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"

    def _made(self, kind: str, depth: int) -> Action:
        match kind:
            case "crew":
                return self._crew(depth - 1)
            case "below":
                return Below(workflow=self.workflow(depth - 1).definition())
            case "await":
                return Await()
            case "sleep":
                return Sleep(60)
            case "signal":
                return self._signal(depth)
            case "listen":
                patience, fails = self._pick(None, 60, 60), self._pick(0, 0, 1)
                return Listen(waits=self._pick(1, 1, 2, 3), patience=patience, fails=fails)
        return Do(fails=self._pick(0, 0, 0, 0, 1, 9), grows=self._pick(0, 0, 1, 2))

    def _signal(self, depth: int) -> WaitForSignal:
        match self._chance.randrange(4):
            case 0:
                return WaitForSignal(BELL, int)
            case 1:
                return WaitForSignal(BELL, int, timeout=60)
            case 2 if depth > 0:
                return WaitForSignal(BELL, timeout=60, on_timeout=self.actions(depth - 1, 2))
        return WaitForSignal(BELL, int, timeout=60, default=None)

    def _undo(self) -> Action:
        undo = Undo(fails=self._pick(0, 0, 0, 1))
        options: dict[str, Any] = {"name": self.name("u")}
        if self._maybe(0.5):
            options["retry"] = Retry(2, delay=1)
        if self._among_others(0.2):
            options["throttle"] = self._pick(*GATES)
        return undo.options(**options)

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
            times=self._pick(1, 1, 2, 3),
            keeps=self._pick(None, None, 1),
        )

    def _watch(self, *, run: bool = False) -> Watch:
        before = self._pick("", "", "", "fail", "skip")
        after = self._pick("", "", "fail", "recover", "recover")
        return Watch(before="" if run and before == "skip" else before, after=after)

    def _among_others(self, odds: float) -> bool:
        return not self._alone and self._maybe(odds)

    def _maybe(self, odds: float) -> bool:
        return self._chance.random() < odds

    def _pick(self, *among: Any) -> Any:
        return self._chance.choice(among)
