"""Whose an attempt is, to the letter: what comes late or twice, and what nobody is at any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import ActionContext, Retry, RunStatus, action, quorum
from gostage_core.attempt import Executor
from gostage_core.errors import StoreUnavailableError
from gostage_core.rescuer import Rescuer
from gostage_core.state.answers import Claim, CommitParts
from tests.support.watched import kinds, one_stage

if TYPE_CHECKING:
    from gostage_core import Run
    from gostage_core.state.answers import Answer
    from tests.support.watched import WatchedBench


@pytest.fixture
def bench(watched_once: WatchedBench) -> WatchedBench:
    return watched_once


@action
def note(ctx: ActionContext) -> None:
    ctx.store.increment("count")


def claim_next(bench: WatchedBench, process: str, *, slot: str = "t", mark: str = "") -> Claim:
    """Take the lease of what the next message is about, as a process does that is then silent."""
    message = bench.post.messages.popleft()
    claim = bench.state.claim(
        message.run_id,
        message.entry,
        nonce=f"of {process}",
        process=process,
        slot=slot,
        mark=mark,
    )
    assert isinstance(claim, Claim)
    return claim


def fail(bench: WatchedBench, claim: Claim, delay: float | None = 60) -> Answer:
    return bench.state.fail(claim, delay=delay, policy="fail", failure="{}", details="{}")


def attempts_of(run: Run) -> list[tuple[int, RunStatus]]:
    return [(one.attempt, run.status) for one in run.result().actions]


def test_whose_lease_another_has_now_ends_nothing_in_any_way(bench: WatchedBench) -> None:
    run = bench.submit(one_stage(note.s()))
    lost = claim_next(bench, "frozen")
    bench.rescuer.lost("frozen")
    held = claim_next(bench, "other")
    one_change = (1, "i", "count", 1)
    timer = ("timer", 1000)
    assert bench.state.commit(lost, have="", parts=CommitParts()).word == "fenced"
    assert bench.state.wait(lost, changes=(0,), parts=timer).word == "fenced"
    assert bench.state.release(lost, delay=0, reason="{}").word == "fenced"
    assert bench.state.checkpoint(lost, nonce="n", changes=one_change).word == "fenced"
    assert fail(bench, lost).word == "fenced"
    assert bench.state.commit(held, have="", parts=CommitParts()).word == "committed"
    assert "count" not in run.store


def test_an_end_that_is_told_twice_is_known_for_what_it_was(bench: WatchedBench) -> None:
    for parts in (("timer", 60_000), ("signal", 0, "ok", "", 0, ""), ("delivery", "d", 0)):
        bench.submit(one_stage(note.s()))
        claim = claim_next(bench, "p")
        assert bench.state.wait(claim, changes=(0,), parts=parts).word == "waiting"
        assert bench.state.wait(claim, changes=(0,), parts=parts).word == "repeated"
    bench.submit(one_stage(note.s()))
    claim = claim_next(bench, "p")
    assert fail(bench, claim).word == "retrying"
    assert fail(bench, claim).word == "repeated"


def test_a_checkpoint_that_is_told_twice_counts_once(bench: WatchedBench) -> None:
    run = bench.submit(one_stage(note.s()))
    claim = claim_next(bench, "p")
    for nonce in ("first", "first", "second"):
        answer = bench.state.checkpoint(claim, nonce=nonce, changes=(1, "i", "count", 1))
        assert answer.word == "written"
    assert run.store["count"] == 2


def test_the_mark_of_a_queue_is_when_its_youngest_message_was_sent(bench: WatchedBench) -> None:
    sent = bench.server.clock.milliseconds
    for _ in range(2):
        bench.submit(one_stage(note.s()))
    bench.server.clock.advance(60)
    claim_next(bench, "p", mark="queue")
    assert bench.state.marks() == {"queue": sent}


def test_what_a_slot_left_without_ending_it_goes_to_another(bench: WatchedBench) -> None:
    left = bench.submit(one_stage(note.s()))
    taken = bench.submit(one_stage(note.s()))
    claim_next(bench, "p")
    claim_next(bench, "p")
    bench.tick()
    bench.step()
    assert left.status is RunStatus.COMPLETED
    assert taken.status is RunStatus.RUNNING


def test_what_its_worker_cannot_go_on_with_goes_to_another(
    bench: WatchedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("a fault of the engine")

    run = bench.submit(one_stage(note.s()))
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(Executor, "_work", fault)
        bench.step()
    assert bench.state.claims_of("w") == {}
    bench.settle()
    assert run.status is RunStatus.COMPLETED


def test_what_is_damaged_is_put_aside_for_a_while(bench: WatchedBench) -> None:
    run = bench.submit(one_stage(note.s()))
    wake, member = bench.state.keys.of("wake"), f"{run.run_id} 2"
    bench.state.client.hset(bench.state.keys.of("run", run.run_id), "revision", "many")
    bench.state.client.zadd(wake, {member: 0})
    bench.rescuer.tick()
    later = bench.server.clock.milliseconds + 60_000
    assert bench.state.client.zscore(wake, member) == later


def test_what_nobody_ends_at_its_timeout_others_do(bench: WatchedBench) -> None:
    run = bench.submit(one_stage(note.s().options(timeout=30)))
    claim_next(bench, "p")
    bench.state.renew(["p"])
    for _ in range(20):
        bench.server.clock.advance(2)
        bench.state.renew(["p"])
        bench.tick()
    assert run.status is RunStatus.FAILED
    assert run.result().actions[0].error.type == "ActionTimeoutError"  # type: ignore[union-attr]


def test_who_dies_of_the_timeout_of_its_body_has_failed_and_is_not_lost(
    bench: WatchedBench,
) -> None:
    run = bench.submit(one_stage(note.s().options(timeout=30)))
    claim_next(bench, "p")
    bench.server.clock.advance(31)
    bench.rescuer.lost("p")
    bench.tick()
    assert run.status is RunStatus.FAILED
    assert "action.lost" not in kinds(run)


def test_what_is_due_is_handed_to_one_rescuer(bench: WatchedBench) -> None:
    bench.submit(one_stage(note.s()))
    fail(bench, claim_next(bench, "p"))
    bench.submit(one_stage(note.s()))
    bench.server.clock.advance(120)
    first, second = (bench.state.tick((), judge=False) for _ in range(2))
    assert (len(first.timers), len(first.unseen)) == (1, 1)
    assert (second.timers, second.unseen) == ((), ())


def test_the_work_of_the_dead_is_handed_to_one_rescuer(bench: WatchedBench) -> None:
    bench.submit(one_stage(note.s()))
    claim_next(bench, "p")
    for _ in range(10):
        bench.server.clock.advance(0.5)
        found = bench.state.tick((), judge=True).dead
        if found:
            break
    assert list(found) == ["p"]
    assert bench.state.tick((), judge=True).dead == {}


def test_nobody_is_called_dead_because_the_server_stood_still(bench: WatchedBench) -> None:
    bench.submit(one_stage(note.s()))
    claim_next(bench, "p")
    bench.state.tick(["p"], judge=True)
    bench.server.clock.advance(10)
    assert bench.state.tick((), judge=True).dead == {}
    bench.state.tick(["p"], judge=True)
    bench.server.clock.advance(1)
    assert bench.state.tick((), judge=True).dead == {}


def test_a_message_is_looked_for_less_often_the_longer_it_waits(bench: WatchedBench) -> None:
    run = bench.submit(one_stage(note.s()))
    entry = bench.post.messages[0].entry
    pauses = []
    for _ in range(6):
        bench.state.seek(run.run_id, entry)
        due = bench.state.client.zscore(bench.state.keys.of("sent"), f"{run.run_id} {entry}")
        pauses.append(due - bench.server.clock.milliseconds)
    assert pauses == [1_000, 1_000, 2_000, 4_000, 8_000, 16_000]


def test_a_message_that_nobody_needs_is_not_looked_for(bench: WatchedBench) -> None:
    run = bench.submit(one_stage(note.s()))
    sent = bench.state.keys.of("sent")
    bench.state.client.zadd(sent, {f"{run.run_id} 99": 0})
    assert bench.state.seek(run.run_id, "99") is None
    assert bench.state.client.zscore(sent, f"{run.run_id} 99") is None


def test_what_was_taken_since_is_not_taken_back_from_the_dead(bench: WatchedBench) -> None:
    bench.submit(one_stage(note.s()))
    claim = claim_next(bench, "dead")
    bench.rescuer.lost("dead")
    again = claim_next(bench, "p")
    place = (claim.run_id, claim.entry)
    assert bench.state.lose(*place, "dead", "t", counted=True).word == "gone"
    assert bench.state.commit(again, have="", parts=CommitParts()).word == "committed"


def test_what_a_worker_gives_back_at_its_end_is_neither_a_try_nor_a_loss(
    bench: WatchedBench,
) -> None:
    run = bench.submit(one_stage(note.s()))
    for turn in range(10):
        claim_next(bench, f"p{turn}")
        bench.rescuer.leave([f"p{turn}"])
    bench.settle()
    assert attempts_of(run) == [(1, RunStatus.COMPLETED)]
    assert "action.lost" not in kinds(run)


@pytest.mark.parametrize(
    ("depth", "looks"), [(0, 1), (None, 4), (7, None)], ids=["empty", "unknown", "others wait"]
)
def test_a_message_is_lost_when_its_queue_has_none_or_cannot_be_counted(
    bench: WatchedBench, depth: int | None, looks: int | None
) -> None:
    bench.submit(one_stage(note.s()))
    bench.post.messages.clear()
    rescuer = Rescuer(bench.state, bench.post, lambda _queue: depth)
    found = []
    for look in range(1, 7):
        bench.server.clock.advance(60)
        rescuer.tick()
        found += [look] * bench.post.sent_again
        bench.post.sent_again = 0
    assert (found[0] if found else None) == looks


def test_a_message_is_lost_when_a_younger_one_of_its_queue_was_taken(bench: WatchedBench) -> None:
    bench.submit(one_stage(note.s()))
    bench.post.messages.clear()
    bench.server.clock.advance(5)
    bench.submit(one_stage(note.s()))
    claim_next(bench, "p", mark="queue")
    rescuer = Rescuer(bench.state, bench.post, lambda _queue: 7)
    rescuer.tick()
    assert bench.post.sent_again == 1


def test_who_could_not_reach_the_server_calls_nobody_dead_at_first(
    bench: WatchedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.submit(one_stage(note.s()))
    claim_next(bench, "p")
    judged, tick = [], bench.state.tick
    away = True

    def watched_tick(processes: tuple[str, ...], *, judge: bool, limit: int) -> object:
        if away:
            raise StoreUnavailableError("the server is away")
        judged.append(judge)
        return tick(processes, judge=judge, limit=limit)

    monkeypatch.setattr(bench.state, "tick", watched_tick)
    with pytest.raises(StoreUnavailableError):
        bench.rescuer.tick()
    away = False
    bench.rescuer.tick()
    bench.rescuer.tick()
    assert judged == [False, False]


def test_a_chain_carries_no_more_than_its_window_and_a_member_of_a_parallel_stage_nothing(
    bench: WatchedBench,
) -> None:
    notes = [note.s() for _ in range(10)]
    bench.submit(one_stage(*notes))
    bench.submit(one_stage(*notes, parallel=True, max_parallel=1))
    tails = [len(message.tail) for message in bench.post.messages]
    assert tails == [bench.settings.window - 1, 0]


def test_beyond_a_quorum_what_runs_is_cut_off(bench: WatchedBench) -> None:
    run = bench.submit(one_stage(note.s(), note.s(), parallel=True, join=quorum(1)))
    first, second = claim_next(bench, "p"), claim_next(bench, "q")
    assert bench.state.commit(first, have="", parts=CommitParts()).word == "committed"
    assert run.status is RunStatus.COMPLETED
    assert [str(one.status) for one in run.result().actions] == ["completed", "cancelled"]
    assert bench.state.commit(second, have="", parts=CommitParts()).word == "fenced"


def test_a_list_has_nothing_of_one_that_a_value_took_the_place_of(bench: WatchedBench) -> None:
    def changed(*change: object) -> None:
        answer = bench.state.checkpoint(claim, nonce=repr(change), changes=(1, *change))
        assert answer.word == "written"

    run = bench.submit(one_stage(note.s()))
    claim = claim_next(bench, "p")
    changed("a", "list", "1\n1")
    changed("p", "list", "5", "", "", "")
    changed("d", "list")
    changed("a", "list", "1\n2")
    assert run.store["list"] == [2]


def test_a_failed_try_leaves_its_slot(bench: WatchedBench) -> None:
    bench.submit(one_stage(note.s().options(retry=Retry(2))))
    fail(bench, claim_next(bench, "p"))
    assert bench.state.claims_of("p") == {}
