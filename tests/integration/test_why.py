"""``why`` says in one line what a run waits for, or where it ended."""

from __future__ import annotations

import os
import re
import signal
from random import Random
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from gostage_core import (
    Action,
    ActionContext,
    ForEach,
    NoRetry,
    Repeat,
    Retry,
    Runner,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from gostage_core.authoring.waits import Delivery
from gostage_core.errors import CorruptRunError, RunNotFoundError
from gostage_core.reasons import span
from gostage_core.state.answers import Claim
from gostage_workers import LocalCluster
from tests.support.bench import Bench
from tests.support.eventually import eventually
from tests.support.links import triple, workflow
from tests.support.living import World
from tests.support.pausing import hold
from tests.support.turnstile import Turnstile, server_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core import Run
    from gostage_core.settings import Settings
    from tests.support.server import RedisServer


@pytest.fixture
def bench(memory_bench: Bench) -> Bench:
    """Time stands still unless a test lets it pass."""
    return memory_bench


@action
def note(ctx: ActionContext, word: str = "") -> None:
    """Append a word to what was done."""
    ctx.store.append("done", word)


@action(retry=Retry(3, delay=600, jitter=0))
def stumble(ctx: ActionContext) -> None:
    """Fail."""
    raise ConnectionError("the API\n  is down")


@action
def fail(ctx: ActionContext) -> None:
    """Fail for good."""
    raise NoRetry("card declined")


@action
def listen(ctx: ActionContext) -> str:
    """Wait for a signal."""
    return ctx.wait_for("approval", str, timeout="2d")


def of(*actions: Any, parallel: bool = False, **options: Any) -> Workflow:
    made = Workflow("w", **options)
    made.add_stage(Stage("s", actions or [note.s()], parallel=parallel))
    return made


def served(bench: Bench) -> None:
    """Have a worker there, which does nothing."""
    bench.state.renew(["w1@host.77.1"])


def told(run: Run) -> str:
    """Return what is told of a run, without its id: one line."""
    why = run.why()
    line = str(why)
    assert "\n" not in line
    assert line.startswith(f"{run.run_id} is {run.status}: ")
    assert all("\n" not in reason.text for reason in why.reasons)
    return line.removeprefix(f"{run.run_id} ")


def claim(bench: Bench, process: str = "w1@host.77.1/0") -> Claim:
    message = bench.post.messages.popleft()
    found = bench.state.claim(
        message.run_id, message.entry, nonce=process, process=process, slot="t", mark=""
    )
    assert isinstance(found, Claim)
    return found


def pass_time(bench: Bench, seconds: float) -> None:
    server_of(bench).clock.advance(seconds)
    bench.rescuer.tick()


# Timers and signals


def test_a_sleep_says_until_when(bench: Bench) -> None:
    run = bench.submit(of(Sleep(hours=3)))
    bench.step()
    assert told(run) == "is sleeping: s/Sleep sleeps until 2024-01-01 03:00:00 UTC (in 3 h)"
    server_of(bench).clock.advance(4 * 3600)
    assert told(run).endswith("(now)")


def test_a_retry_says_how_often_it_failed_with_what_and_when_it_is_tried_again(
    bench: Bench,
) -> None:
    run = bench.submit(of(stumble.s()))
    bench.step()
    assert told(run) == (
        "is sleeping: s/stumble has failed once, last with ConnectionError: the API is down; "
        "tried again in 10 min"
    )
    pass_time(bench, 601)
    bench.step()
    assert "has failed 2 times" in told(run)


def test_a_signal_is_named_with_its_type_and_until_when_it_is_waited_for(bench: Bench) -> None:
    run = bench.submit(of(listen.s()))
    bench.step()
    assert told(run) == (
        "is waiting: s/listen waits for signal 'approval' (str), until 2024-01-03 00:00:00 UTC"
    )
    forever = bench.submit(of(WaitForSignal("go")))
    bench.step()
    assert told(forever) == "is waiting: s/go waits for signal 'go'"


def test_a_sleep_of_what_failed_before_or_was_left_to_others_is_told_as_a_sleep(
    bench: Bench,
) -> None:
    run = bench.submit(of(Sleep(hours=1)))
    held = claim(bench)
    bench.state.release(held, delay=1, reason='{"released":"unknown","worker":"w2@host.1.1/0"}')
    assert "is left to a worker that agrees; w2@host says: unknown; asked again in 1 s" in told(run)
    pass_time(bench, 2)
    bench.step()
    assert "sleeps until" in told(run)


def test_a_celery_task_is_waited_for(bench: Bench) -> None:
    class Awaits(Action):
        """Wait for something from outside."""

        def execute(self, ctx: ActionContext) -> Delivery:
            return Delivery("parcel", 60)

    run = bench.submit(of(Awaits()))
    bench.step()
    assert "waits for a Celery task to tell its end, until 2024-01-01 00:01:00 UTC" in told(run)


# Limits


def test_a_throttle_says_who_holds_it_and_which_place_in_line_it_is(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    runs = [bench.submit(of(note.s().options(throttle=throttle))) for _ in range(3)]
    claim(bench)
    bench.step()
    bench.step()
    for place in (1, 2):
        assert told(runs[place]) == (
            f"is pending: s/note waits for throttle 'api' (1 at a time), {place}. in its line; "
            f"within it are {runs[0].run_id}/2"
        )


def test_a_rate_says_when_the_next_one_may_begin(bench: Bench) -> None:
    throttle = Throttle("api", rate=1, per=90)
    runs = [bench.submit(of(note.s().options(throttle=throttle))) for _ in range(2)]
    bench.step()
    bench.step()
    assert told(runs[1]) == (
        "is pending: s/note waits for throttle 'api' (1 within 90 s), 1. in its line; the next may "
        "begin at 2024-01-01 00:01:30 UTC"
    )


def test_who_was_called_counts_among_those_within(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    runs = [bench.submit(of(note.s().options(throttle=throttle))) for _ in range(3)]
    first = claim(bench)
    bench.step()
    bench.step()
    runs[0].cancel(grace=0)
    pass_time(bench, 1)
    assert first.run_id == runs[0].run_id
    assert f"within it are {runs[1].run_id}/2" in told(runs[2])


def test_what_an_operator_set_is_what_is_told(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    runs = [bench.submit(of(note.s().options(throttle=throttle))) for _ in range(6)]
    bench.runner.throttles.set("api", concurrency=4)
    for _ in range(4):
        claim(bench)
    bench.step()
    assert "(4 at a time), 1. in its line; within it are " in told(runs[4])
    assert told(runs[4]).endswith(", …")


def test_a_run_that_is_held_says_by_which_throttle(bench: Bench) -> None:
    flow = of(note.s(), throttle=Throttle(concurrency=1))
    first, second = bench.submit(flow), bench.submit(flow)
    assert told(second) == (
        f"is pending: waits for throttle 'w' (1 at a time), 1. in its line; within it are "
        f"{first.run_id}"
    )


def test_who_was_cut_off_from_a_child_run_of_its_own_throttle_sees_why(bench: Bench) -> None:
    throttle = Throttle("w", concurrency=1)
    run = bench.submit(of(RunWorkflow(of(throttle=throttle)), throttle=throttle))
    bench.step()
    line = told(run)
    assert f"waits for its child run {run.run_id}.2 is pending: waits for throttle 'w'" in line
    assert line.endswith(f"within it are {run.run_id}"), "it holds itself up"


# Operators


def test_a_paused_run_says_by_whom_and_why(bench: Bench) -> None:
    run = bench.submit(of())
    run.pause("the API is\ndown", actor="ana")
    assert told(run) == "is paused: by ana: the API is down"
    assert run.why().reasons[0].text == "is ready, and goes on when the run is resumed"
    plain = bench.submit(of())
    plain.pause()
    assert told(plain) == "is paused: by operator"


def test_a_run_that_is_to_end_says_by_whom_and_what_still_runs(bench: Bench) -> None:
    run = bench.submit(of())
    bench.state.renew(["w1@host.77.1/0"])
    claim(bench)
    run.cancel("enough", actor="ana")
    assert told(run) == (
        "is running: it is to end as cancelled by ana: enough; s/note has run for 0 s on worker "
        "w1@host"
    )


def test_a_run_past_its_deadline_or_bailing_does_not_say_that_somebody_asked(
    bench: Bench,
) -> None:
    @action
    def bail(ctx: ActionContext) -> None:
        ctx.bail("nothing to do")

    run = bench.submit(of(), deadline=60)
    claim(bench)
    bench.state.renew(["w1@host.77.1/0"])
    pass_time(bench, 61)
    assert "it is to end as failed with DeadlineExceededError: the run was not done" in told(run)
    bailing = bench.submit(of(note.s(), bail.s(), parallel=True))
    claim(bench)
    while bench.post.messages:
        bench.step()
    assert "it is to end as bailed on purpose: nothing to do; s/note" in told(bailing)


# Workers


def test_without_a_worker_it_is_said_how_to_start_one(bench: Bench) -> None:
    run = bench.submit(of())
    assert told(run) == (
        "is pending: s/note is ready, and no worker is there; start one with 'gostage worker'"
    )


def test_a_body_that_runs_says_for_how_long_on_which_worker_and_how_far_it_is(
    bench: Bench,
) -> None:
    @action
    def work(ctx: ActionContext) -> None:
        ctx.progress(0.25, "half\tof a half")
        lines.append(told(bench.runner.get(ctx.run_id)))

    lines: list[str] = []
    run = bench.submit(of(work.s()))
    bench.state.renew(["w"])
    bench.step()
    assert lines == ["is running: s/work has run for 0 s on worker w, 25% half of a half"]
    assert run.status is RunStatus.COMPLETED


def test_a_worker_that_is_silent_is_frozen_or_dead_and_others_take_over(bench: Bench) -> None:
    run = bench.submit(of())
    bench.state.renew(["w1@host.77.1/0"])
    claim(bench)
    server_of(bench).clock.advance(10)
    alone = (
        "is running: s/note has run for 10 s on worker w1@host, which has been silent for 7 s: it "
        "is frozen, or dead, or cut off; no other one is there; start one with 'gostage worker'"
    )
    assert told(run) == alone
    bench.state.client.zadd(
        bench.state.keys.of("alive"), {"w2@host.78.1/0": server_of(bench).clock.milliseconds + 1}
    )
    assert told(run).endswith("cut off; another one takes over within seconds")
    bench.state.client.zrem(bench.state.keys.of("alive"), "w1@host.77.1/0")
    assert "on worker w1@host, which is gone: it is frozen" in told(run)


def test_what_has_lost_its_worker_says_how_often(bench: Bench) -> None:
    run = bench.submit(of())
    for count in ("once", "2 times"):
        bench.die_at = Moment.CLAIMED
        bench.step("dies")
        bench.bury()
        served(bench)
        assert told(run).endswith(f"; it has lost its worker {count}")
    bench.die_at = Moment.CLAIMED
    bench.step("dies")
    bench.bury()
    assert "s/note failed with PoisonedError: lost its worker 3 times" in told(run)


# Queues


@pytest.fixture
def queueing(settings: Settings, fresh_registry: None) -> Iterator[Runner]:
    """A runner whose messages lie in a real queue, with a worker that takes none."""
    runner = Runner(settings=settings)
    runner._state.renew(["w1@host.77.1/0"])
    yield runner
    runner.close()


def test_a_run_says_behind_how_many_messages_it_is_queued(queueing: Runner) -> None:
    runs = [queueing.submit(of()) for _ in range(3)]
    for place, run in enumerate(runs):
        assert re.fullmatch(
            rf"is pending: s/note has been ready for \d s, queued behind {place} messages",
            told(run),
        )


def test_messages_of_a_higher_priority_stand_before_it(queueing: Runner) -> None:
    low = queueing.submit(of(note.s().options(priority=9)))
    middle = queueing.submit(of(note.s().options(priority=5)))
    high = [queueing.submit(of()) for _ in range(2)]
    assert "queued behind 1 messages" in told(high[1])
    assert "queued behind 2 messages" in told(middle)
    assert "queued behind 3 messages" in told(low)


def test_another_queue_than_the_usual_one_is_named(queueing: Runner) -> None:
    for _ in range(5):
        queueing.submit(of())
    run = queueing.submit(of(note.s().options(queue="gpu")))
    assert "queued in 'gpu' behind 0 messages" in told(run)


def test_what_is_in_the_queue_and_is_no_message_of_ours_counts_and_harms_nobody(
    queueing: Runner, server: RedisServer
) -> None:
    queue = queueing.settings.namespace
    run = queueing.submit(of(), run_id="mine")
    with server.client() as client:
        for odd in (b"\xff", b"{}", b"mine", b'{"body": 3}', b'{"body": "bWluZQ=="}', b"[1]"):
            client.rpush(queue, odd + b"mine")
            client.rpush(queue, odd)
    assert "queued behind 12 messages" in told(run)


def test_a_run_of_many_entries_reads_its_queue_once(queueing: Runner) -> None:
    run = queueing.submit(of(*[note.s()] * 600, parallel=True))
    reads = []
    lrange = queueing._state.client.lrange
    queueing._state.client.lrange = lambda *args: reads.append(args) or lrange(*args)  # type: ignore[method-assign, func-returns-value]
    why = run.why()
    assert len(why.reasons) == 600
    assert all(f"queued behind {n} messages" in why.reasons[n].text for n in range(600))
    assert str(why).endswith("(and 599 more)")
    assert len(reads) <= 6


def test_a_queue_is_not_read_without_end(queueing: Runner, server: RedisServer) -> None:
    with server.client() as client:
        client.lpush(queueing.settings.namespace, *[b"x"] * 20_100)
    run = queueing.submit(of())
    assert "queued behind 20,000 messages or more" in told(run)


def test_a_message_that_was_lost_is_told_and_sent_again(
    settings: Settings, queueing: Runner, server: RedisServer
) -> None:
    run = queueing.submit(of())
    with server.client() as client:
        client.delete(queueing.settings.namespace)
    assert told(run).endswith("waits for a worker; its message is with one already")
    bench = Bench(settings)
    bench.pass_time()
    assert bench.post.sent_again == 1
    assert told(run).endswith("its message is with a busy one, or was lost and is sent again")
    bench.close()


def test_where_the_broker_is_another_server_nothing_is_said_of_the_queue(
    settings: Settings, fresh_registry: None
) -> None:
    runner = Runner(settings=settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}))
    runner._state.renew(["w1@host.77.1/0"])
    run = runner.submit(of())
    assert re.search(r"has been ready for \d s, and waits for a worker$", told(run))
    runner.close()


# Child runs, groups


def test_a_child_run_is_looked_into_however_deep(bench: Bench) -> None:
    run = bench.submit(of(RunWorkflow(of(RunWorkflow(of(Sleep(hours=1)))))))
    for _ in range(3):
        bench.step()
    assert told(run) == (
        f"is waiting: s/RunWorkflow waits for its child run {run.run_id}.2 is waiting: "
        f"s/RunWorkflow waits for its child run {run.run_id}.2.2 is sleeping: s/Sleep sleeps until "
        f"2024-01-01 01:00:00 UTC (in 1 h)"
    )


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_child_run_that_cannot_be_read_is_said_to_be_so(bench: Bench, how: str) -> None:
    run = bench.submit(of(RunWorkflow(of())))
    bench.step()
    header = bench.state.keys.of("run", f"{run.run_id}.2")
    if how == "gone":
        bench.state.client.delete(header)
        assert told(run).endswith(f"waits for its child run {run.run_id}.2, which is gone")
    else:
        bench.state.client.hset(header, "definition", "?")
        assert f"{run.run_id}.2, which cannot be read: its header" in told(run)


def test_the_most_telling_of_many_entries_is_told_and_how_many_more_there_are(
    bench: Bench,
) -> None:
    run = bench.submit(of(Sleep(hours=1), listen.s(), note.s(), parallel=True))
    bench.step()
    bench.step()
    bench.state.renew(["w1@host.77.1/0"])
    claim(bench)
    why = run.why()
    assert str(why).endswith("s/note has run for 0 s on worker w1@host (and 2 more)")
    assert [reason.path for reason in why.reasons] == ["s/note", "s/Sleep", "s/listen"]


def test_what_waits_for_entries_of_its_own_is_told_by_these(bench: Bench) -> None:
    run = bench.submit(
        of(ForEach("items", Repeat(Sleep(hours=1), max_times=2))), store={"items": [1]}
    )
    for _ in range(3):
        bench.step()
    assert "s/ForEach[0]/Repeat[0]/Sleep sleeps until" in told(run)


# Ends


def test_an_end_is_told_with_its_time(bench: Bench) -> None:
    run = bench.submit(of())
    bench.drain(run)
    assert told(run) == (
        "is completed: it has done all there was to do, at 2024-01-01 00:00:00 UTC"
    )


def test_a_failure_is_told_with_its_place_and_its_error(bench: Bench) -> None:
    run = bench.submit(of(note.s(), fail.s()))
    bench.drain(run)
    line = told(run)
    assert line.startswith("is failed: s/fail failed with ")
    assert "card declined, at 2024-01-01" in line


def test_a_failure_of_any_length_and_of_many_lines_is_one_line_of_some_length(
    bench: Bench,
) -> None:
    @action
    def shout(ctx: ActionContext) -> None:
        raise ValueError("no\n\x1b[31m\r\n\u2028 " + "way " * 2_000)

    run = bench.submit(of(shout.s()))
    bench.drain(run)
    line = told(run)
    assert "ValueError: no" in line
    assert len(line) < 1_100


def test_a_cancelled_run_says_by_whom_and_whether_what_it_did_is_undone(bench: Bench) -> None:
    undone = note.s("done").options(compensate=note.s("undone"))
    run = bench.submit(of(undone, Sleep(hours=1)))
    bench.step()
    bench.step()
    run.cancel("a mistake", actor="ana")
    assert told(run).endswith("it was cancelled, and what it had done is undone")
    bench.rescuer.tick()
    assert "it was cancelled, and what it had done is undone; gostage.compensation/note" in told(
        run
    )
    bench.drain(run)
    assert told(run) == (
        "is cancelled: by ana: a mistake, at 2024-01-01 00:00:00 UTC; what it had done is undone"
    )


def test_what_could_not_all_be_undone_is_told(bench: Bench) -> None:
    run = bench.submit(of(note.s().options(compensate=fail.s()), fail.s()))
    bench.drain(run)
    assert told(run).endswith("; not all that it had done is undone, see 'gostage runs show'")


def test_a_bailed_run_says_why(bench: Bench) -> None:
    @action
    def bail(ctx: ActionContext) -> None:
        ctx.bail("nothing to do")

    run = bench.submit(of(bail.s()))
    bench.drain(run)
    assert told(run) == (
        "is bailed: ended early on purpose, nothing to do, at 2024-01-01 00:00:00 UTC"
    )


def test_a_run_past_its_deadline_failed_with_that(bench: Bench) -> None:
    run = bench.submit(of(Sleep(hours=2)), deadline=60)
    bench.step()
    pass_time(bench, 61)
    assert told(run).startswith(
        "is failed: DeadlineExceededError: the run was not done at its deadline, at "
    )


def test_a_run_that_is_not_there_or_is_damaged_is_an_error(bench: Bench) -> None:
    run = bench.submit(of())
    plan = bench.state.keys.of("plan", run.run_id)
    bench.state.client.hset(plan, "s2", "?")
    with pytest.raises(CorruptRunError):
        run.why()
    run.delete()
    with pytest.raises(RunNotFoundError):
        run.why()


# Whatever the state


class Curious:
    """Asks of every run after each step."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.asked = 0
        self.states: set[str] = set()

    def look(self) -> None:
        for summary in self.bench.runner.list(limit=1_000):
            run = self.bench.runner.get(summary.run_id)
            line = told(run)
            self.asked += 1
            assert len(line) < 4_000
            self.states.add(run.status)


@pytest.mark.parametrize("seed", range(25))
def test_why_answers_in_one_line_wherever_runs_stand(bench: Bench, seed: int) -> None:
    world, curious = World(bench, Random(seed)), Curious(bench)
    step = world.step

    def stepped() -> None:
        if world.depth == 0:
            curious.look()
        step()

    world.step = stepped  # type: ignore[method-assign]
    world.live()
    curious.look()
    assert curious.asked >= 1  # a run may be deleted in its first step


@pytest.mark.parametrize("seed", range(4))
def test_why_answers_wherever_throttled_paused_and_deleted_runs_stand(
    bench: Bench, seed: int
) -> None:
    hall, curious = Turnstile(bench, Random(seed)), Curious(bench)
    for _ in range(60):
        hall.step()
        curious.look()
    assert len(curious.states) > 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-5, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3_600, "1 h"),
     (90_061, "1 d 1 h"), (400 * 86_400, "400 d")],
)  # fmt: skip
def test_spans_are_told_by_their_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


# With real workers


def tree_of(cluster: LocalCluster) -> list[psutil.Process]:
    [worker] = cluster.workers
    main = psutil.Process(worker.pid)
    return [main, *main.children(recursive=True)]


@pytest.fixture
def cluster(server: RedisServer, namespace: str) -> Iterator[LocalCluster]:
    """One worker of one process."""
    modules = ["tests.support.pausing", "tests.support.links"]
    with LocalCluster(1, url=server.url, namespace=namespace, modules=modules) as cluster:
        yield cluster


def submit_held(cluster: LocalCluster, until: Path) -> Run:
    """Submit a run that occupies the worker until a file is there, and wait until it does."""
    run = cluster.runner.submit(of(hold.s(until=str(until))))
    eventually(lambda: "has run for" in told(run))
    return run


def test_a_frozen_worker_is_told_of_and_goes_on_when_it_thaws(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run = submit_held(cluster, go)
    frozen = tree_of(cluster)
    for process in frozen:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        line = eventually(lambda: told(run) if "frozen" in told(run) else "")
        assert "no other one is there" in line
    finally:
        for process in frozen:
            os.kill(process.pid, signal.SIGCONT)
    go.touch()
    assert run.wait(timeout=60).status is RunStatus.COMPLETED


def test_a_worker_that_died_is_told_of_by_what_it_has_lost(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run = submit_held(cluster, go)
    cluster.kill_worker()
    eventually(lambda: "attempt 2" in told(run), timeout=60)
    go.touch()
    assert run.wait(timeout=60).status is RunStatus.COMPLETED


def test_an_action_that_no_worker_knows_is_left_to_one_that_does(
    cluster: LocalCluster, fresh_registry: None
) -> None:
    @action("only.here")
    def only_here(ctx: ActionContext) -> None:
        """What no worker of the cluster has registered."""

    run = cluster.runner.submit(of(only_here.s()))
    line = eventually(lambda: told(run) if "left to a worker" in told(run) else "")
    assert "'only.here'" in line
    run.cancel()


def test_runs_behind_a_busy_worker_say_behind_how_many(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    busy = submit_held(cluster, go)
    behind = [cluster.runner.submit(workflow(triple.s())) for _ in range(8)]
    eventually(lambda: re.search(r"queued behind [5-7] messages", told(behind[-1])))
    go.touch()
    for run in (busy, *behind):
        assert run.wait(timeout=60).status is RunStatus.COMPLETED
