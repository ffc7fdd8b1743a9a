"""Random workflows under random crashes end in the state that a plain model says."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Part
from hypothesis import strategies as st

from gostage_core import Action, ActionContext, Retry, Stage, Workflow
from gostage_core.attempt import Moment
from tests.support.bench import Bench
from tests.support.model import Phase, Step, expected

if TYPE_CHECKING:
    from gostage_core.settings import Settings

pytestmark = pytest.mark.usefixtures("fresh_registry")

_failures: dict[tuple[str, str], int] = {}


class Act(Action):
    """Does what its step says, and leaves a trace."""

    step: dict[str, Any]

    def execute(self, ctx: ActionContext) -> None:
        step = self.step
        ctx.store.append("order", step["name"])
        ctx.store.increment("count")
        ctx.store[f"by.{step['name']}"] = ctx.idempotency_key
        ctx.add_action(*(action_of(added) for added in step["adds"]))
        ctx.add_stage(*(stage_of(added) for added in step["adds_stages"]))
        place = (ctx.run_id, step["name"])
        if _failures.get(place, 0) < step["fails"]:
            _failures[place] = _failures.get(place, 0) + 1
            raise RuntimeError("as told")
        if step["bails"]:
            ctx.bail("as told")


def as_data(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "adds": [as_data(one) for one in step.adds],
        "adds_stages": [
            {"id": p.id, "parallel": p.parallel, "steps": [as_data(one) for one in p.steps]}
            for p in step.adds_stages
        ],
        "fails": step.fails,
        "tries": step.tries,
        "goes_on": step.goes_on,
        "bails": step.bails,
    }


def action_of(step: dict[str, Any]) -> Action:
    return Act(step=step).options(
        name=step["name"],
        retry=Retry(step["tries"], delay=0.01),
        on_error="continue" if step["goes_on"] else "fail",
    )


def stage_of(phase: dict[str, Any]) -> Stage:
    return Stage(phase["id"], [action_of(s) for s in phase["steps"]], parallel=phase["parallel"])


@st.composite
def workflows(draw: st.DrawFn, *, may_end_early: bool) -> list[Phase]:
    numbers = itertools.count()

    def steps(depth: int, *, calm: bool) -> tuple[Step, ...]:
        return tuple(step(depth, calm=calm) for _ in range(draw(st.integers(0, 3 if depth else 2))))

    def step(depth: int, *, calm: bool) -> Step:
        early = may_end_early and not calm
        tries = draw(st.integers(1, 3))
        fails = draw(st.integers(0, tries if early else tries - 1))
        return Step(
            name=f"a{next(numbers)}",
            adds=steps(depth - 1, calm=calm) if depth and draw(st.booleans()) else (),
            adds_stages=(phase(depth - 1),) if depth and draw(st.integers(0, 3)) == 0 else (),
            fails=fails,
            tries=tries,
            goes_on=draw(st.booleans()),
            bails=early and draw(st.integers(0, 9)) == 0,
        )

    def phase(depth: int) -> Phase:
        parallel = draw(st.booleans())
        # Which siblings still commit beside one that ends the run is a matter of timing.
        return Phase(f"s{next(numbers)}", steps(depth, calm=parallel), parallel)

    return [phase(2) for _ in range(draw(st.integers(1, 3)))]


_budget = settings(
    max_examples=250,
    deadline=None,
    # Each step of a shrink is a run on a real server; the seed that is printed is enough.
    phases=[Part.explicit, Part.reuse, Part.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_budget
@given(phases=workflows(may_end_early=True), chaos=st.randoms(use_true_random=False))
def test_random_workflows_end_as_the_model_says(
    settings: Settings, phases: list[Phase], chaos: Any
) -> None:
    bench = Bench(settings.model_copy(update={"namespace": f"m{uuid.uuid4().hex[:12]}"}))
    workflow = Workflow("random")
    for phase in phases:
        workflow.add_stage(
            Stage(phase.id, [action_of(as_data(s)) for s in phase.steps], parallel=phase.parallel)
        )
    run = bench.submit(workflow)
    disturb(bench, run, chaos)
    result = bench.drain(run)

    outcome = expected(phases)
    assert result.status == outcome.status
    assert result.store.get("order", list[str], default=[]) == outcome.committed
    assert result.store.get("count", int, default=0) == len(outcome.committed)
    assert {k for k in result.store.keys() if k.startswith("by.")} == {  # noqa: SIM118
        f"by.{name}" for name in outcome.committed
    }
    assert [(s.id, [a.name for a in s.actions]) for s in result.stages.values()] == outcome.plan
    check_journal(run)
    assert_nothing_pending(bench)
    bench.close()


def disturb(bench: Bench, run: Any, chaos: Any) -> None:
    """Kill workers, lose, double and reorder messages, a dozen times at random."""
    losses: dict[str, int] = {}
    for _ in range(12):
        if run.status.is_terminal:
            return
        messages = bench.post.messages
        fault = chaos.choice(
            ["none", "none", "crash", "crash", "lose", "double", "reorder", "bury", "time"]
        )
        if fault == "crash" and messages and losses.get(messages[0].entry, 0) < 2:
            losses[messages[0].entry] = losses.get(messages[0].entry, 0) + 1
            bench.die_at = chaos.choice(list(Moment))
        elif fault == "lose" and messages:
            messages.popleft()
        elif fault == "double" and messages:
            messages.append(messages[0])
        elif fault == "reorder":
            messages.rotate(1)
        elif fault == "bury":
            bench.bury()
        elif fault == "time":
            bench.pass_time()
        if messages:
            bench.step(worker=chaos.choice(["w1", "w2", "w3"]))
        bench.die_at = None


def check_journal(run: Any) -> None:
    """The history has no gap, and replays to the status of every action."""
    entries = run.journal()
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    told = {
        entry.entry: entry.kind.removeprefix("action.")
        for entry in entries
        if entry.kind in ("action.completed", "action.failed", "action.cancelled")
    }
    actions = run.plan.actions
    assert told == {a.entry: a.status.value for a in actions if a.status.is_terminal}
    completions = [e.entry for e in entries if e.kind == "action.completed"]
    assert len(completions) == len(set(completions))
    assert sum(e.kind in ("run.completed", "run.failed", "run.bailed") for e in entries) == 1


def assert_nothing_pending(bench: Bench) -> None:
    bench.bury()
    client, keys = bench.state.client, bench.state.keys
    assert client.zcard(keys.of("wake")) == 0
    assert client.keys(keys.of("live", "*")) == []
