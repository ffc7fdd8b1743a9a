"""Every way in which a run can be disturbed once: what is found by it, and what survives it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    CeleryTask,
    ForEach,
    Repeat,
    RunStatus,
    RunWorkflow,
    Sleep,
    WaitForSignal,
    Workflow,
    action,
    condition,
)
from gostage_core.testing import MemoryEngine, RunStuckError, TrialError, crashes
from tests.support.invariants import check_all
from tests.support.parity import STORE, WORKFLOWS, Left, in_one_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run
    from gostage_core.testing import Scenario

pytestmark = pytest.mark.usefixtures("fresh_registry")

effects: list[Any] = []
accounts: dict[str, int] = {}


@pytest.fixture(autouse=True)
def forget() -> None:
    effects.clear()
    accounts.clear()


def pay(ctx: ActionContext) -> str:
    """Pays at a bank that takes each key once."""
    effects.append(ctx.attempt)
    accounts[ctx.idempotency_key] = 10
    return "paid"


@action
def charge_carelessly(ctx: ActionContext) -> None:
    pay(ctx)


@action
def charge(ctx: ActionContext) -> None:
    ctx.store["receipt"] = ctx.once("charge", lambda: pay(ctx))


@action
def count(ctx: ActionContext) -> None:
    ctx.store.increment("count")
    ctx.store.append("who", ctx.action.name)


def doubled(workflow: Workflow) -> list[str]:
    """Return what makes *workflow* have its effect more than once."""
    found = []
    for scenario in crashes(workflow):
        effects.clear()
        accounts.clear()
        assert scenario.run().status is RunStatus.COMPLETED, scenario
        assert len(accounts) == 1, scenario
        if len(effects) > 1:
            found.append(scenario.name)
    return found


def test_what_may_happen_is_said_in_words() -> None:
    assert [str(one) for one in crashes(in_one_stage(charge.s()))] == [
        "scenario 1: the message for s/charge (attempt 1) is lost",
        "scenario 2: the message for s/charge (attempt 1) is delivered twice",
        f"scenario 3: {MEANWHILE}",
        "scenario 4: dies before the claim of s/charge (attempt 1)",
        "scenario 5: dies after the claim of s/charge (attempt 1) was applied",
        "scenario 6: the request for the claim of s/charge (attempt 1) is lost, and sent again",
        "scenario 7: the answer to the claim of s/charge (attempt 1) is lost, and it is repeated",
        "scenario 8: Redis is away for a moment at the claim of s/charge (attempt 1)",
        "scenario 9: freezes before the claim of s/charge (attempt 1)",
        "scenario 10: freezes after the claim of s/charge (attempt 1)",
        "scenario 11: dies before the look of s/charge (attempt 1) at its run",
        "scenario 12: Redis is away for a moment at the look of s/charge (attempt 1) at its run",
        "scenario 13: freezes before the look of s/charge (attempt 1) at its run",
        "scenario 14: freezes after the look of s/charge (attempt 1) at its run",
        *(
            f"scenario {15 + n}: {what}"
            for n, what in enumerate(
                one.format("the keeping of once 'charge' in s/charge (attempt 1)")
                for one in OF_A_WRITE
            )
        ),
        *(
            f"scenario {22 + n}: {what}"
            for n, what in enumerate(
                one.format("the commit of s/charge (attempt 1)") for one in OF_A_WRITE
            )
        ),
    ]


MEANWHILE = (
    "the message for s/charge (attempt 1) is delivered to another worker while the first is at it"
)
OF_A_WRITE = [
    "dies before {}",
    "dies after {} was applied",
    "the request for {} is lost, and sent again",
    "the answer to {} is lost, and it is repeated",
    "Redis is away for a moment at {}",
    "freezes before {}",
    "freezes after {}",
]


def test_an_effect_that_nothing_guards_is_caught() -> None:
    assert doubled(in_one_stage(charge_carelessly.s())) == [
        "freezes after the claim of s/charge_carelessly (attempt 1)",
        "dies before the commit of s/charge_carelessly (attempt 1)",
        "freezes before the commit of s/charge_carelessly (attempt 1)",
    ]


def test_once_leaves_the_moment_between_the_effect_and_its_keeping_to_the_key() -> None:
    """The bank has one payment in each case: it was given the key."""
    assert doubled(in_one_stage(charge.s())) == [
        "freezes after the look of s/charge (attempt 1) at its run",
        "dies before the keeping of once 'charge' in s/charge (attempt 1)",
        "freezes before the keeping of once 'charge' in s/charge (attempt 1)",
    ]


def test_what_is_written_into_the_store_is_written_once_whatever_happens() -> None:
    for scenario in crashes(in_one_stage(count.s(), count.s(), parallel=True)):
        result = scenario.run()
        assert result.store.export() == {"count": 2, "who": ["count"] * 2}, scenario
        journal = scenario.engine.runner.get(result.run_id).journal()
        assert [one.kind for one in journal].count("action.completed") == 2, scenario


RACING = {"a failure beside others"}
"""Whether the last member still fails or is cut off hangs on when the quorum is there."""
FULLY = ("a branch", "a plan that is rearranged", "an early end", "retries", "two stages")


@pytest.mark.parametrize("name", sorted(WORKFLOWS.keys() - RACING))
def test_a_run_leaves_the_same_whatever_happens_to_it(name: str) -> None:
    workflow = WORKFLOWS[name]()
    plain = left(MemoryEngine().submit(workflow, store=STORE))
    for scenario in crashes(workflow, store=STORE)[:: 1 if name in FULLY else 9]:
        result = scenario.run()
        run = scenario.engine.runner.get(result.run_id)
        assert left(run) == plain, scenario
        check_all(scenario.engine.world.state, run.run_id)


def left(run: Run) -> tuple[object, ...]:
    """What does not hang on how often a body began; attempts, the history and messages do."""
    run.wait()
    found = Left.of(run)
    log = sorted(str(line) for line in found.store.get("log", ()) if "try" not in str(line))
    store = {**found.store, "log": log}
    return found.status, store, {(one[0], one[1]) for one in found.actions}, found.compensated


def test_what_happens_from_outside_is_told_by_a_script() -> None:
    def outside(engine: MemoryEngine, run: Run) -> None:
        engine.settle()
        assert run.status is RunStatus.WAITING
        engine.advance("1h")
        run.signal("approval", {"by": "ana"}, id="mail-1")
        engine.settle()
        assert run.status is RunStatus.SLEEPING

    workflow = in_one_stage(
        count.s(), WaitForSignal("approval", timeout="2d", store_as="approval"), Sleep(days=3)
    )
    found = crashes(workflow, script=outside)
    assert len(found) > 60
    for scenario in found:
        result = scenario.run()
        assert result.status is RunStatus.COMPLETED, scenario
        assert result.store["approval"] == {"by": "ana"}, scenario
        assert 259_200 + 3_600 <= result.duration < 259_200 + 3_600 + 60, scenario  # type: ignore[operator]


def test_a_run_that_waits_for_more_than_the_script_sends_is_no_endless_test() -> None:
    with pytest.raises(RunStuckError, match="waits for signal 'approval'") as caught:
        crashes(in_one_stage(WaitForSignal("approval")))
    assert caught.value.__notes__ == ["This was the run to which nothing happened."]


def test_what_a_script_raises_tells_in_which_scenario() -> None:
    calls: list[int] = []

    def outside(engine: MemoryEngine, run: Run) -> None:
        calls.append(1)
        assert len(calls) == 1

    first = crashes(in_one_stage(count.s()), script=outside)[0]
    with pytest.raises(AssertionError) as caught:
        first.run()
    assert caught.value.__notes__[-1] == (
        "This was <scenario 1: the message for s/count (attempt 1) is lost; only=1 repeats it>."
    )


def test_a_scenario_is_found_by_its_number_and_by_its_name() -> None:
    workflow = in_one_stage(count.s())
    every = crashes(workflow)
    name = "dies before the commit of s/count (attempt 1)"
    (named,) = crashes(workflow, only=name)
    (numbered,) = crashes(workflow, only=named.number)
    assert named.name == numbered.name == name == every[named.number - 1].name
    assert (named.path, len({one.name for one in every})) == ("s/count", len(every))
    with pytest.raises(TrialError, match=r"no scenario 'dies before the comit .* did you mean"):
        crashes(workflow, only="dies before the comit of s/count (attempt 1)")
    with pytest.raises(TrialError, match="was not run yet, and has no engine"):
        named.engine  # noqa: B018 - reading it is what is refused
    with pytest.raises(TrialError, match=f"no scenario 99 among {len(every)}"):
        crashes(workflow, only=99)


def test_a_scenario_is_the_same_each_time() -> None:
    for scenario in crashes(in_one_stage(charge.s(), count.s()))[::5]:
        contents = []
        for _ in range(2):
            scenario.run()
            contents.append(scenario.engine.server.content())
        assert contents[0] == contents[1], scenario


def test_a_run_that_hangs_on_what_the_last_one_left_is_found_out() -> None:
    @action
    def fickle(ctx: ActionContext) -> None:
        if effects:
            ctx.checkpoint()

    scenario = one(in_one_stage(fickle.s()), "dies before the commit of s/fickle (attempt 1)")
    effects.append(0)
    with pytest.raises(TrialError) as caught:
        scenario.run()
    assert str(caught.value) == (
        "the run has gone another way than when nothing happened to it, so that this could not "
        "happen: it came to the checkpoint of s/fickle (attempt 1) in the place of the commit "
        "of s/fickle (attempt 1). Have everything that it depends on (fakes, time, chance, "
        "the order of sets) be the same at the beginning of each run"
    )


def one(workflow: Workflow, name: str, **options: Any) -> Scenario:
    (scenario,) = crashes(workflow, only=name, **options)
    effects.clear()
    return scenario


def history(scenario: Scenario) -> list[str]:
    (summary,) = scenario.engine.runner.list()
    journal = scenario.engine.runner.get(summary.run_id).journal()
    return [entry.kind for entry in journal if entry.kind.startswith("action.")]


def test_a_worker_that_freezes_is_taken_for_dead_and_cannot_commit() -> None:
    @action
    def work(ctx: ActionContext) -> None:
        effects.append(ctx.attempt)
        ctx.store.append("by", ctx.attempt)

    scenario = one(in_one_stage(work.s()), "freezes before the commit of s/work (attempt 1)")
    assert scenario.run().store["by"] == [2]
    assert effects == [1, 2]
    assert history(scenario) == [
        "action.started",
        "action.lost",
        "action.started",
        "action.completed",
    ]


def test_a_worker_that_dies_does_nothing_more_whatever_its_body_catches() -> None:
    @action
    def stubborn(ctx: ActionContext) -> None:
        try:
            ctx.checkpoint()
        except BaseException:
            effects.append("caught")
        ctx.store.append("by", ctx.attempt)
        ctx.send("done", ctx.attempt)

    name = "dies before the checkpoint of s/stubborn (attempt 1)"
    scenario = one(in_one_stage(stubborn.s()), name)
    result = scenario.run()
    assert (effects, result.store["by"]) == (["caught"], [2])
    assert result.actions[0].worker == "worker-2/1"


def test_a_worker_that_dies_takes_its_coroutine_with_it() -> None:
    @action
    async def think(ctx: ActionContext) -> None:
        async def ask() -> int:
            effects.append(ctx.attempt)
            return 1

        await ctx.once("ask", ask)
        ctx.store["asked"] = True

    counts = set()
    for scenario in crashes(in_one_stage(think.s())):
        effects.clear()
        assert scenario.run().store["asked"], scenario
        counts.add(len(effects))
    assert counts == {1, 2}


def test_a_server_that_is_away_is_waited_for() -> None:
    scenario = one(
        in_one_stage(count.s()), "Redis is away for a moment at the commit of s/count (attempt 1)"
    )
    result = scenario.run()
    assert result.actions[0].attempt == 1
    assert 0 < result.duration < 1  # type: ignore[operator]


def test_an_answer_that_is_lost_sends_a_message_once() -> None:
    @action
    def tell(ctx: ActionContext) -> None:
        ctx.send("count", ctx.attempt)

    workflow = in_one_stage(tell.s())
    for name, heard in (
        ("the answer to the message of s/tell (attempt 1) is lost, and it is repeated", [1]),
        ("dies after the message of s/tell (attempt 1) was applied", [1, 2]),
    ):
        scenario = one(workflow, name)
        run_id = scenario.run().run_id
        messages = scenario.engine.runner.get(run_id).messages()
        assert [message.payload for message in messages] == heard


@condition("crashes.is_done")
def is_done(ctx: ActionContext) -> bool:
    return bool(ctx.store.get("count", int, default=0) >= 2)


def test_what_is_nested_and_what_waits_have_names_of_their_own() -> None:
    workflow = in_one_stage(
        ForEach("items", count.s()),
        Repeat(count.s(), until="crashes.is_done", max_times=3),
        RunWorkflow(in_one_stage(count.s())),
    )
    names = {one.name for one in crashes(workflow, store={"items": [1, 2]})}
    for place in (
        "s/ForEach (attempt 1)",
        "s/ForEach (attempt 1, phase 1)",
        "s/ForEach[1]/count (attempt 1)",
        "s/Repeat[0]/count (attempt 1)",
        "s/RunWorkflow (attempt 1, phase 1)",
        "w: s/count (attempt 1)",
    ):
        assert f"dies before the claim of {place}" in names
    alike = [one.name for one in crashes(in_one_stage(count.s(), count.s()))]
    assert alike.count("dies before the claim of s/count (attempt 1)") == 1
    assert alike.count("dies before the claim of s/count (attempt 1) #2") == 1


def test_a_task_is_published_again_under_its_id_and_ends_once() -> None:
    sent: list[str] = []
    made: list[MemoryEngine] = []

    def engine() -> MemoryEngine:
        made.append(MemoryEngine(tasks={"shop.mail": lambda: sent.append("mail")}))
        return made[-1]

    for scenario in crashes(in_one_stage(CeleryTask("shop.mail"), count.s()), engine=engine):
        assert scenario.run().store["count"] == 1, scenario
        assert scenario.engine is made[-1]
        assert len({task.task_id for task in made[-1].published}) == 1, scenario
    assert len(sent) > len(made)  # a crash may publish it again


def test_one_engine_is_open_at_a_time() -> None:
    open_now: list[int] = []

    def bank() -> Iterator[str]:
        open_now.append(1)
        yield "bank"
        open_now.pop()

    @action
    def look(ctx: ActionContext) -> None:
        ctx.store["bank"] = ctx.resources.bank

    every = crashes(in_one_stage(look.s()), engine=lambda: MemoryEngine(factories={"bank": bank}))
    for scenario in every:
        assert scenario.run().store["bank"] == "bank"
        assert open_now == [1]
    every.close()
    assert open_now == []


def test_options_are_those_of_a_submit(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        for scenario in crashes(in_one_stage(count.s()), tags=["mine"], deadline="1h")[::6]:
            scenario.run()
            assert len(scenario.engine.runner.list(tag="mine")) == 1
    assert caplog.records == []
