"""Hooks of stages and runs: one onion of several middlewares, in one attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    Failure,
    HookContext,
    HookError,
    InvalidActionError,
    Middleware,
    ScopeOutcome,
    Stage,
    UnknownMiddlewareError,
    Workflow,
)
from gostage_core.authoring.definition import MiddlewareUse
from gostage_core.authoring.middleware import middlewares, use_of
from gostage_core.authoring.registry import registry
from gostage_core.authoring.waits import HookReport, HookStart
from gostage_core.failure import failure_of
from gostage_core.middleware.hooks import Hook, Round
from gostage_core.testing import context, hook_context

if TYPE_CHECKING:
    from collections.abc import Iterator

trail: list[str] = []
BOOM = Failure("ValueError", "boom", path="ship/pack")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    trail.clear()
    with middlewares.isolated():
        yield


class Noting(Middleware, id="noting"):
    name: str
    then: str = ""
    finally_: str = ""

    def before_stage(self, ctx: HookContext) -> None:
        trail.append(f"{self.name} before")
        ctx.scratch["from"] = self.name
        self._do(self.then, ctx, None)

    async def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        trail.append(f"{self.name} after {outcome.status} {ctx.scratch.get('from')}")
        self._do(self.finally_, ctx, outcome)

    def before_run(self, ctx: HookContext) -> None:
        self.before_stage(ctx)

    async def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        await self.after_stage(ctx, outcome)

    def _do(self, what: str, ctx: HookContext, outcome: ScopeOutcome | None) -> None:
        match what:
            case "raise":
                raise ValueError(f"no {self.name}")
            case "skip":
                ctx.skip("not today")
            case "recover":
                assert outcome is not None
                outcome.recover()
            case "recover if failed":
                assert outcome is not None
                if outcome.status == "failed":
                    outcome.recover()
            case "tuple":
                ctx.scratch["pair"] = (1, 2)
            case "object":
                ctx.scratch["thing"] = object()
            case "list":
                ctx.scratch = []  # type: ignore[assignment]
            case "read stage":
                ctx.store["stage"] = ctx.stage.id


class Silent(Middleware, id="silent"):
    """Has no hooks."""


def before(*around: Middleware, hook: str = "before_stage", ctx: Any = None) -> HookReport:
    entry = Hook(hook=hook, uses=tuple(map(use_of, around)))
    return entry.execute(ctx or context(stage="ship", action=hook))


def after(*around: Middleware, start: HookStart, outer: int | None = None) -> HookReport:
    ctx = context(stage="ship", action="after_stage")
    return Round(ctx, "after_stage", around, len(around) if outer is None else outer).leave(start)


def started(report: HookReport, status: str = "completed", error: Any = None) -> HookStart:
    return HookStart(status, error, report.scratch, report.entered)


def test_hooks_before_run_from_outside_in_and_those_after_from_inside_out() -> None:
    around = [Noting(name="a"), Silent(), Noting(name="b")]
    report = before(*around)
    assert (report.verdict, report.entered) == ("", 3)
    assert after(*around, start=started(report)).verdict == ""
    assert trail == ["a before", "b before", "b after completed b", "a after completed a"]


def test_each_middleware_finds_its_own_scratch_again() -> None:
    around = [Noting(name="a"), Noting(name="b")]
    after(*around, start=started(before(*around)))
    assert trail[2:] == ["b after completed b", "a after completed a"]


def test_without_hooks_before_all_count_as_entered() -> None:
    after(Noting(name="a"), Noting(name="b"), start=HookStart("completed"))
    assert trail == ["b after completed None", "a after completed None"]


def test_a_skip_asks_nobody_further_inside_and_says_who_and_why() -> None:
    around = [Noting(name="a"), Noting(name="b", then="skip"), Noting(name="c")]
    report = before(*around)
    assert (report.verdict, report.by, report.reason) == ("skip", "noting", "not today")
    assert report.entered == 2
    after(*around, start=started(report, "skipped"))
    assert trail == ["a before", "b before", "b after skipped b", "a after skipped a"]


def test_who_comes_after_a_skipped_stage_is_told_why() -> None:
    told = []

    class Asking(Middleware):
        def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            told.append(outcome.reason)

    around = [Asking(), Noting(name="b", then="skip")]
    after(*around, start=started(before(*around), "skipped"))
    assert told == ["not today"]


def test_a_hook_that_raises_fails_the_entry_and_is_named() -> None:
    with pytest.raises(ValueError) as raised:
        before(Noting(name="a", then="raise"), Noting(name="b"))
    failure = failure_of(raised.value)
    assert failure.type == "ValueError"
    assert failure.message == "no a; raised by before_stage of noting"
    assert trail == ["a before"]


def test_those_outside_of_a_hook_that_raises_before_are_told_of_it() -> None:
    with pytest.raises(ValueError, match=r"^no b"):
        before(Noting(name="a"), Noting(name="b", then="raise"), Noting(name="c"))
    assert trail == ["a before", "b before", "a after failed a"]


def test_who_stands_outside_may_recover_from_a_hook_that_raises_before() -> None:
    around = [
        Noting(name="a"),
        Noting(name="b", finally_="recover"),
        Noting(name="c", then="raise"),
    ]
    report = before(*around)
    assert (report.verdict, report.by) == ("skip", "noting")
    assert report.reason == "noting recovered from ValueError('no c')"
    assert trail[3:] == ["b after failed b", "a after completed a"]
    trail.clear()
    after(*around, start=started(report, "skipped"))
    assert trail == []


def test_recovering_is_reported_and_told_to_those_further_outside() -> None:
    around = [Noting(name="a"), Noting(name="b", finally_="recover"), Noting(name="c")]
    report = after(*around, start=started(before(*around), "failed", BOOM))
    assert (report.verdict, report.by) == ("recover", "noting")
    assert trail[3:] == ["c after failed c", "b after failed b", "a after completed a"]


def test_there_is_nothing_to_recover_from_where_nothing_failed() -> None:
    with pytest.raises(HookError, match=r"^nothing to recover from: it has completed"):
        after(Noting(name="a", finally_="recover"), start=HookStart("completed"))


def test_a_hook_that_raises_after_makes_it_a_failure_for_those_outside() -> None:
    with pytest.raises(ValueError, match=r"^no b"):
        after(Noting(name="a"), Noting(name="b", finally_="raise"), start=HookStart("completed"))
    assert trail == ["b after completed None", "a after failed None"]


def test_who_stands_outside_may_recover_from_a_hook_that_raises_after() -> None:
    around = [Noting(name="a", finally_="recover"), Noting(name="b", finally_="raise")]
    assert after(*around, start=HookStart("completed")).verdict == ""
    assert after(*around, start=HookStart("failed", BOOM)).verdict == "recover"


def test_what_raises_last_is_the_failure_and_has_the_first_as_its_cause() -> None:
    around = [Noting(name="a", finally_="raise"), Noting(name="b", finally_="raise")]
    with pytest.raises(ValueError, match=r"^no a") as raised:
        after(*around, start=HookStart("completed"))
    cause = failure_of(raised.value).cause
    assert cause is not None
    assert cause.message == "no b; raised by after_stage of noting"


@pytest.mark.parametrize(
    ("then", "complaint"),
    [
        ("tuple", "would come back changed; it is a dict with text for keys, and lists in place"),
        ("object", "cannot be kept as JSON: Object of type object is not JSON serializable"),
        ("list", "would come back changed"),
    ],
)
def test_scratch_that_is_not_json_is_refused(then: str, complaint: str) -> None:
    with pytest.raises(HookError) as told:
        before(Noting(name="a", then=then))
    assert str(told.value).startswith(f"ctx.scratch of noting {complaint}")


def test_what_a_hook_writes_is_seen_by_the_next_and_kept_in_the_attempt() -> None:
    class Counting(Middleware):
        def before_stage(self, ctx: HookContext) -> None:
            ctx.store.increment("count")

    ctx = context({"count": 1}, stage="ship")
    before(Counting(), Counting(), ctx=ctx)
    assert ctx.store["count"] == 3


def test_each_hook_of_an_entry_has_an_idempotency_key_of_its_own() -> None:
    keys = set()

    class Keyed(Middleware):
        def before_stage(self, ctx: HookContext) -> None:
            keys.add(ctx.idempotency_key)

    before(Keyed(), Keyed())
    assert keys == {"test-run:1:0", "test-run:1:1"}


def test_a_hook_knows_whether_it_is_used_on_the_workflow_or_on_the_stage() -> None:
    levels = []

    class Levelled(Middleware):
        def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            levels.append(ctx.level)

    after(Levelled(), Levelled(), start=HookStart("completed"), outer=1)
    assert levels == ["stage", "workflow"]


def test_a_hook_adds_stages() -> None:
    class Adding(Middleware):
        def before_stage(self, ctx: HookContext) -> None:
            ctx.add_stage(Stage("audit"))

    ctx = context(stage="ship")
    before(Adding(), ctx=ctx)
    assert [stage.id for stage in ctx.additions.stages] == ["audit"]


def test_behind_a_run_no_stage_can_be_added() -> None:
    view = hook_context(hook="after_run")
    with pytest.raises(HookError, match=r"^ctx\.add_stage\(\) is not for after_run of test"):
        view.add_stage(Stage("audit"))


@pytest.mark.parametrize("hook", ["after_stage", "before_run", "after_run"])
def test_only_a_stage_that_has_not_begun_can_be_skipped(hook: Any) -> None:
    with pytest.raises(HookError, match=rf"^ctx\.skip\(\) is not for {hook} of test; use it in "):
        hook_context(hook=hook).skip("no")


def test_hooks_of_a_run_belong_to_no_stage() -> None:
    with pytest.raises(HookError, match=r"^ctx\.stage is not for before_run of noting"):
        before(Noting(name="a", then="read stage"), hook="before_run")


def test_records_of_a_hook_name_its_middleware(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        hook_context(context(stage="ship")).log.info("here")
    (record,) = caplog.records
    assert (record.middleware, record.stage) == ("test", "ship")  # type: ignore[attr-defined]


def test_a_worker_that_does_not_know_a_middleware_cannot_build_the_entry() -> None:
    params = {"hook": "before_stage", "uses": [{"use": "elsewhere"}]}
    with pytest.raises(UnknownMiddlewareError, match="no middleware is registered under 'elsewhe"):
        registry.build("gostage.hook", params)


def test_the_entry_that_runs_hooks_is_not_for_documents() -> None:
    hook = {"action": "gostage.hook", "params": {"hook": "before_stage", "uses": []}}
    document = {"gostage": 1, "id": "w", "stages": [{"id": "s", "actions": [hook]}]}
    with pytest.raises(InvalidActionError, match="the engine's own; use middleware instead"):
        Workflow.from_dict(document)


def test_the_entry_that_runs_hooks_is_what_the_plan_says() -> None:
    use = MiddlewareUse(use="noting", params={"name": "a"})
    params = {"hook": "after_run", "uses": [use.model_dump(mode="json")], "outer": None}
    assert registry.build("gostage.hook", params) == Hook(hook="after_run", uses=(use,))
