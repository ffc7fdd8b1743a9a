"""One run for one key: who comes later joins it, is refused, or takes its place."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import RunStatus, Sleep, Stage, Throttle, Workflow, action
from gostage_core.errors import InvalidKeyError, RunExistsError
from gostage_core.state.answers import Claim, CommitParts
from tests.support.bench import Bench
from tests.support.turnstile import server_of

if TYPE_CHECKING:
    from gostage_core import ActionContext
    from gostage_core.settings import Settings


@pytest.fixture
def bench(memory_bench: Bench) -> Bench:
    """Time stands still unless a test lets it pass."""
    return memory_bench


@action
def note(ctx: ActionContext, word: str = "") -> None:
    """Append a word to what was done."""
    ctx.store.append("done", word)


def of(*actions: Any, throttle: Throttle | None = None) -> Workflow:
    workflow = Workflow("w", throttle=throttle)
    workflow.add_stage(Stage("s", actions or [note.s()]))
    return workflow


def test_who_comes_later_joins_the_run_by_default_also_when_it_has_ended(bench: Bench) -> None:
    first = bench.submit(of(), key="event", store={"n": 1})
    for _ in range(2):
        again = bench.submit(of(Sleep(hours=1)), key="event", store={"n": 2})
        assert (again.run_id, again.store["n"]) == (first.run_id, 1)
        bench.drain(first)
    assert bench.submit(of(), key="other").run_id != first.run_id


def test_who_comes_later_is_refused_where_that_is_asked_for(bench: Bench) -> None:
    first = bench.submit(of(), key="event", on_conflict="reject")
    for _ in range(2):
        with pytest.raises(RunExistsError, match="has the key 'event'") as refused:
            bench.submit(of(), key="event", on_conflict="reject")
        assert refused.value.run_id == first.run_id
        bench.drain(first)
    first.delete()
    assert bench.submit(of(), key="event", on_conflict="reject").status is RunStatus.PENDING


def test_who_comes_later_takes_the_place_where_that_is_asked_for(bench: Bench) -> None:
    first = bench.submit(of(Sleep(hours=1)), key="event")
    bench.step()
    second = bench.submit(of(), key="event", on_conflict="replace")
    assert (first.status, second.status) == (RunStatus.CANCELLED, RunStatus.PENDING)
    assert f"by run {second.run_id}: it takes the place" in str(first.why())
    assert bench.submit(of(), key="event").run_id == second.run_id
    first.delete()
    assert bench.submit(of(), key="event").run_id == second.run_id, "the key is the second's"
    bench.drain(second)
    third = bench.submit(of(), key="event", on_conflict="replace")
    assert second.status is RunStatus.COMPLETED, "what has ended stays as it is"
    assert third.run_id != second.run_id


def test_what_hangs_in_a_run_whose_place_is_taken_is_ended_after_the_grace(bench: Bench) -> None:
    first = bench.submit(of(), key="event")
    message = bench.post.messages.popleft()
    held = bench.state.claim(
        first.run_id, message.entry, nonce="n", process="hangs", slot="t", mark=""
    )
    assert isinstance(held, Claim)
    bench.submit(of(), key="event", on_conflict="replace")
    for _ in range(40):
        server_of(bench).clock.advance(1)
        bench.state.renew(["hangs"])
        bench.rescuer.tick()
    assert first.status is RunStatus.CANCELLED
    assert bench.state.commit(held, have="", parts=CommitParts()).word == "fenced"


def test_a_run_whose_place_is_taken_undoes_what_it_has_done(bench: Bench) -> None:
    undone = note.s("done").options(compensate=note.s("undone"))
    first = bench.submit(of(undone, Sleep(hours=1)), key="event")
    bench.step()
    bench.step()
    second = bench.submit(of(), key="event", on_conflict="replace")
    bench.drain(first)
    assert first.result().store["done"] == ["done", "undone"]
    assert bench.drain(second).status is RunStatus.COMPLETED


def test_the_place_within_a_throttle_goes_to_the_run_that_takes_the_place(bench: Bench) -> None:
    workflow = of(Sleep(hours=1), throttle=Throttle(concurrency=1))
    bench.submit(workflow, key="event")
    second = bench.submit(workflow, key="event", on_conflict="replace")
    assert bench.post.messages[-1].run_id == second.run_id


def test_a_submit_whose_answer_is_lost_is_one_run_whatever_becomes_of_the_key(
    bench: Bench,
) -> None:
    run = bench.state._run

    def twice(name: str, run_id: str, *args: object, key: str = "") -> Any:
        if name == "submit":
            run(name, run_id, *args, key=key)
        return run(name, run_id, *args, key=key)

    bench.state._run = twice  # type: ignore[method-assign]
    for how in ("join", "reject", "replace"):
        made = bench.submit(of(), key=how, on_conflict=how)
        assert made.status is RunStatus.PENDING
        assert len(bench.runner.list(limit=100)) == ("join", "reject", "replace").index(how) + 1


def test_a_prepared_run_keeps_what_is_to_become_of_its_key(bench: Bench) -> None:
    bench.submit(of(Sleep(hours=1)), key="event", run_id="first")
    text = bench.runner.prepare(of(), key="event", on_conflict="replace").text
    second = bench.runner.submit_prepared(text)
    assert bench.runner.submit_prepared(text).run_id == second.run_id
    assert bench.runner.get("first").status is RunStatus.CANCELLED


def test_of_many_that_take_the_place_at_once_one_is_left(
    settings: Settings, fresh_registry: None
) -> None:
    bench = Bench(settings)

    def produce() -> None:
        for _ in range(10):
            bench.submit(of(Sleep(hours=1)), key="event", on_conflict="replace")

    threads = [threading.Thread(target=produce) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    found = [run.status for run in bench.runner.list(limit=100)]
    assert len(found) == 50
    assert found.count(RunStatus.CANCELLED) == 49
    bench.close()


def test_a_key_is_free_again_when_its_run_is_forgotten(bench: Bench) -> None:
    first = bench.submit(of(), key="event")
    bench.drain(first)
    server_of(bench).clock.advance(bench.settings.retention + 1)
    bench.rescuer.tick()
    assert bench.submit(of(), key="event").run_id != first.run_id


@pytest.mark.parametrize("how", ["", "merge", None])
def test_what_is_to_become_of_a_key_is_one_of_three_words(bench: Bench, how: Any) -> None:
    with pytest.raises(ValueError, match="join, reject, replace"):
        bench.submit(of(), key="event", on_conflict=how)


@pytest.mark.parametrize("key", ["", "a\nb", "k" * 201])
def test_what_no_key_can_be_is_refused(bench: Bench, key: str) -> None:
    with pytest.raises(InvalidKeyError):
        bench.submit(of(), key=key)
    assert bench.runner.list() == []
