"""What a run keeps is bounded, and nothing in Redis is left of a run that has left."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    Branch,
    ForEach,
    Limits,
    Middleware,
    NoRetry,
    Repeat,
    Retry,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
    condition,
    when,
)
from gostage_core.errors import (
    HistoryLostError,
    KeyNotFoundError,
    RunNotFoundError,
    RunTimeoutError,
    StoreFullError,
)
from gostage_core.settings import Settings
from gostage_core.state.answers import Claim, CommitParts
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.bench import Bench
from tests.support.turnstile import server_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import HookContext, Run, ScopeOutcome

SHARED = {"beat", "marks", "alive", "numbers"}
"""Keys that there are however many runs there were; they do not grow with these."""


@pytest.fixture
def bench(memory_bench: Bench) -> Bench:
    """Time stands still unless a test lets it pass."""
    return memory_bench


def bench_with(namespace: str, **settings: Any) -> Bench:
    return Bench(Settings(namespace=namespace, **settings), MemoryClient(MemoryServer()))


@pytest.fixture
def short(namespace: str, fresh_registry: None) -> Iterator[Bench]:
    """A bench whose runs keep a short history."""
    bench = bench_with(namespace, max_journal=1_000)
    yield bench
    bench.close()


@pytest.fixture
def small(namespace: str, fresh_registry: None) -> Iterator[Bench]:
    """A bench whose runs keep few bytes, and little of what they replace."""
    bench = bench_with(namespace, max_store_bytes=2_048, max_past_bytes=2_048)
    yield bench
    bench.close()


@action
def note(ctx: ActionContext, word: str = "") -> None:
    """Append a word to what was done."""
    ctx.store.append("done", word)


@action
def undo(ctx: ActionContext) -> None:
    """Undo it."""
    ctx.store.increment("undone")


@action
def use_everything(ctx: ActionContext) -> None:
    """Leave something of every kind."""
    ctx.store.put("text", "x", ttl=3600, tags=["pii"], properties={"of": "me"})
    ctx.store.append("list", {"a": 1})
    ctx.store.append("gone", 1)
    ctx.store.increment("count")
    ctx.checkpoint()
    ctx.store.delete("gone")
    ctx.send("said", {"n": 1})
    ctx.progress(0.5, "half")
    ctx.once("charge", lambda: "receipt")


@action
def listen(ctx: ActionContext) -> Any:
    """Wait for a signal."""
    return ctx.wait_for("go", str, timeout="2h")


@action(retry=Retry(3, delay=10, jitter=0))
def stumble(ctx: ActionContext) -> None:
    """Fail at first."""
    if ctx.attempt == 1:
        raise ValueError("not yet")


@action
def fail(ctx: ActionContext) -> None:
    """Fail for good."""
    raise NoRetry("never")


@action
def grow(ctx: ActionContext) -> None:
    """Change the plan."""
    ctx.add_action(note.s("added"))
    ctx.add_stage(Stage("more", [note.s()]))


class Watch(Middleware):
    """Has hooks, which leave something."""

    def before_stage(self, ctx: HookContext) -> None:
        ctx.scratch = {"at": 1}

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        outcome.recover()

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        ctx.store.put("seen", outcome.status)


def of(*actions: Any, parallel: bool = False, **options: Any) -> Workflow:
    workflow = Workflow("w", tags=["of-workflow"], **options)
    workflow.add_stage(Stage("s", actions or [note.s()], parallel=parallel))
    return workflow


def left(bench: Bench) -> set[str]:
    """Return the keys that are left, but for the shared ones."""
    keys = {key.decode() for key in bench.state.client.scan_iter("*")}
    return {key.removeprefix(bench.state.keys.prefix) for key in keys} - SHARED


def pass_time(bench: Bench, seconds: float, ticks: int = 1) -> None:
    server_of(bench).clock.advance(seconds)
    for _ in range(ticks):
        bench.rescuer.tick()


# A census of keys


def with_signal(bench: Bench, run: Run) -> None:
    run.signal("go", "now", id="one")
    run.signal("nobody-waits", 1)


def retried(bench: Bench, run: Run) -> None:
    bench.drain(run)
    with suppress(Exception):
        run.retry(store={"again": True})


def forked(bench: Bench, run: Run) -> None:
    bench.drain(run)
    bench.drain(run.fork("note"))


def paused(bench: Bench, run: Run) -> None:
    run.pause()
    run.resume()


def cancelled(bench: Bench, run: Run) -> None:
    bench.step()
    run.cancel("enough")


def edited(bench: Bench, run: Run) -> None:
    with run.edit("more of it") as plan:
        plan.stages["s"].add(note.s("edited"))


def nothing(bench: Bench, run: Run) -> None:
    """Leave it alone."""


COMPENSATED = use_everything.s().options(compensate=undo.s())
API = Throttle("api", concurrency=2, rate=50, per=1)

KINDS: dict[str, tuple[Callable[[], Workflow], Callable[[Bench, Run], None]]] = {
    "plain": (lambda: of(use_everything.s(), note.s()), nothing),
    "signals": (lambda: of(listen.s(), WaitForSignal("go", timeout="1h")), with_signal),
    "throttled": (lambda: of(*[note.s().options(throttle=API)] * 4, parallel=True), nothing),
    "held": (lambda: of(note.s(), throttle=Throttle(concurrency=2)), nothing),
    "children": (lambda: of(RunWorkflow(of(RunWorkflow(of(use_everything.s()))))), nothing),
    "items": (lambda: of(ForEach("items", use_everything.s(), store_as="results")), nothing),
    "branch": (lambda: of(Branch(when("always").then(note.s("yes")))), nothing),
    "repeat": (lambda: of(Repeat(note.s("again"), max_times=13)), nothing),
    "retries": (lambda: of(stumble.s()), nothing),
    "fails": (lambda: of(COMPENSATED, fail.s()), nothing),
    "retried": (lambda: of(note.s(), fail.s()), retried),
    "hooks": (lambda: of(fail.s(), note.s()).use(Watch()), nothing),
    "grows": (lambda: of(grow.s(), limits=Limits(max_added_actions=5)), nothing),
    "sleeps": (lambda: of(Sleep(minutes=5)), nothing),
    "forked": (lambda: of(use_everything.s(), note.s()), forked),
    "paused": (lambda: of(note.s(), note.s()), paused),
    "cancelled": (lambda: of(COMPENSATED, Sleep(hours=9)), cancelled),
    "edited": (lambda: of(note.s()), edited),
}


def submit_one(bench: Bench, kind: str, number: int) -> Run:
    workflow, do = KINDS[kind]
    run = bench.submit(
        workflow(), store={"items": [1, 2]}, key=f"key-{number}", tags=[f"tag-{number}", "all"],
        reply_to=f"replies-{number % 3}", deadline="9h", concurrency_key=f"tenant-{number % 7}",
    )  # fmt: skip
    do(bench, run)
    return run


@pytest.fixture
def always(fresh_registry: None) -> None:
    @condition("always")
    def always(ctx: ActionContext) -> bool:
        return True


@pytest.mark.usefixtures("always")
def test_nothing_is_left_of_a_thousand_runs_of_all_kinds(bench: Bench) -> None:
    before = left(bench)
    bench.runner.schedules.add("s", of(), every=60, overlap="queue")
    chance = Random(1)
    kinds = list(KINDS)
    for number in range(1_000):
        run = submit_one(bench, kinds[number % len(kinds)], number)
        if chance.random() < 0.9:
            bench.drain(run)
        if number % 50 == 0:
            pass_time(bench, 60)
    assert len(bench.runner.list(limit=10_000)) > 1_100, "with child runs, forks, and schedules"
    for run in bench.runner.list(limit=10_000):
        with suppress(RunNotFoundError):
            if not run.status.is_terminal:
                bench.runner.get(run.run_id).delete()
    bench.runner.schedules["s"].remove()
    bench.post.messages.clear()
    pass_time(bench, bench.settings.retention + 1, ticks=100)
    bench.state.client.delete("replies-0", "replies-1", "replies-2")
    assert left(bench) == before == set()
    keys = bench.state.keys
    assert bench.state.client.hlen(keys.of("marks")) <= 1


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["retention", "purge", "delete"])
def test_nothing_is_left_of_a_run_that_has_left(bench: Bench, kind: str, how: str) -> None:
    bench.drain(submit_one(bench, kind, 0))
    if how == "retention":
        pass_time(bench, bench.settings.retention - 1, ticks=3)
        assert bench.runner.list(), "it is kept as long as it was said to be"
        pass_time(bench, 2, ticks=3)
    elif how == "purge":
        assert all(one.error is None for one in bench.runner.purge(before=tomorrow()).apply())
    else:
        for run in bench.runner.list():
            if not run.parent:
                bench.runner.get(run.run_id).delete()
    pass_time(bench, 5)
    bench.state.client.delete("replies-0")
    assert left(bench) == set()


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@pytest.mark.parametrize("is_paused", [False, True])
def test_nothing_is_left_of_a_run_that_is_deleted_wherever_it_stands(
    bench: Bench, kind: str, steps: int, is_paused: bool
) -> None:
    run = bench.submit(KINDS[kind][0](), store={"items": [1, 2]}, key="k", reply_to="replies")
    other = bench.submit(KINDS[kind][0](), store={"items": [1, 2]})
    for _ in range(steps):
        if bench.post.messages:
            bench.step()
    if is_paused:
        with suppress(Exception):
            run.pause()
    run.delete("not wanted", actor="ana")
    run.delete()
    with pytest.raises(RunNotFoundError):
        _ = run.status
    while bench.post.messages:
        bench.step()
    other.delete()
    while bench.post.messages:
        bench.step()
    pass_time(bench, 70, ticks=3)
    bench.state.client.delete("replies")
    assert left(bench) == set()


def test_a_body_whose_run_is_deleted_under_it_commits_nothing_and_leaves_no_slot(
    bench: Bench,
) -> None:
    @action
    def body(ctx: ActionContext) -> None:
        ctx.store.put("a", 1)
        bench.runner.get(ctx.run_id).delete()

    bench.submit(of(body.s()))
    assert bench.step().word == "gone"  # type: ignore[union-attr]
    assert bench.state.claims_of("w") == {}
    bench.state.renew(["w"])
    assert left(bench) == set()


def test_a_child_run_that_is_deleted_fails_who_waits_for_it(bench: Bench) -> None:
    run = bench.submit(of(RunWorkflow(of(note.s()))))
    bench.step()
    [child] = [one.run_id for one in bench.runner.list() if one.parent]
    bench.runner.get(child).delete()
    result = bench.drain(run)
    assert result.error is not None
    assert (result.status, result.error.type) == (RunStatus.FAILED, "ChildCancelledError")


def test_a_run_that_is_deleted_undoes_nothing(bench: Bench) -> None:
    run = bench.submit(of(COMPENSATED, Sleep(hours=1)))
    bench.step()
    bench.step()
    run.delete()
    pass_time(bench, 5)
    assert not bench.post.messages
    assert left(bench) == set()


# Retention


def test_a_child_run_is_kept_as_long_as_the_run_above_it_may_ask_how_it_went(
    bench: Bench,
) -> None:
    run = bench.submit(of(RunWorkflow(of(use_everything.s()), take={"taken": "count"})))
    bench.step()
    run.pause()
    child = bench.runner.get(bench.post.messages[0].run_id)
    child.resume()
    bench.drain(child)
    pass_time(bench, bench.settings.retention * 2, ticks=3)
    run.resume()
    assert bench.drain(run).store["taken"] == 1
    pass_time(bench, bench.settings.retention * 2, ticks=3)
    assert left(bench) == set()


def test_a_run_that_is_retried_is_kept_anew(bench: Bench) -> None:
    run = bench.submit(of(fail.s()))
    bench.drain(run)
    pass_time(bench, bench.settings.retention - 1)
    run.retry()
    pass_time(bench, 10)
    assert bench.drain(run).status is RunStatus.FAILED
    pass_time(bench, bench.settings.retention - 1)
    assert run.status is RunStatus.FAILED
    pass_time(bench, 2)
    assert left(bench) == set()


def test_a_damaged_run_keeps_no_other_from_being_forgotten(bench: Bench) -> None:
    damaged, sound = bench.submit(of()), bench.submit(of())
    bench.drain(damaged)
    bench.drain(sound)
    bench.state.client.hset(bench.state.keys.of("run", damaged.run_id), "bytes", "?")
    pass_time(bench, bench.settings.retention + 1, ticks=3)
    with pytest.raises(RunNotFoundError):
        _ = sound.status
    assert damaged.status is RunStatus.COMPLETED


def test_purge_takes_what_answers_and_nothing_that_goes_on(bench: Bench) -> None:
    done = [bench.submit(of(), tags=["a" if n < 3 else "b"]) for n in range(5)]
    for run in done:
        bench.drain(run)
    failed = bench.submit(of(fail.s()), tags=["a"])
    bench.drain(failed)
    lives = bench.submit(of(), tags=["a"])
    assert len(bench.runner.purge(tag="a", status=RunStatus.COMPLETED)) == 3
    batch = bench.runner.purge(tag="a")
    assert len(batch) == 4
    assert all(outcome.error is None for outcome in batch.apply())
    assert {run.run_id for run in bench.runner.list()} == {
        done[3].run_id, done[4].run_id, lives.run_id,
    }  # fmt: skip
    assert len(bench.runner.purge(before=datetime(2020, 1, 1, tzinfo=UTC))) == 0
    assert len(bench.runner.purge(workflow="other")) == 0


# Histories


def long_run(bench: Bench, passes: int = 400) -> Run:
    """Return a run with a history that is longer than it keeps."""
    run = bench.submit(of(Repeat(note.s(), max_times=passes), Sleep(hours=1)))
    while run.status is not RunStatus.SLEEPING:
        bench.step()
    return run


def test_a_history_keeps_its_last_entries_with_the_numbers_that_they_had(short: Bench) -> None:
    run = long_run(short)
    entries = run.journal()
    assert 900 <= len(entries) <= 1_000
    first, last = entries[0].sequence, entries[-1].sequence
    assert first > 1
    assert [entry.sequence for entry in entries] == list(range(first, last + 1))
    assert last == first - 1 + short.state.client.llen(short.state.keys.of("journal", run.run_id))  # type: ignore[operator]
    assert [entry.sequence for entry in run.journal(last - 3)] == [last - 2, last - 1, last]
    assert run.journal(first - 1) == entries
    assert run.journal(last) == run.journal(last + 100) == []


def test_who_goes_on_behind_what_is_lost_is_told_so(short: Bench) -> None:
    run = long_run(short)
    first = run.journal()[0].sequence
    with pytest.raises(HistoryLostError) as lost:
        run.journal(after=7)
    assert str(lost.value) == (
        f"run {run.run_id!r} does not know any more what came behind entry 7: its history begins "
        f"with entry {first:,}; raise GOSTAGE_MAX_JOURNAL for runs with long histories"
    )
    with pytest.raises(HistoryLostError):
        run.journal(after=first - 2)
    with pytest.raises(HistoryLostError):
        next(run.watch(after=7))


def test_who_watches_from_the_start_sees_all_that_is_kept_and_what_comes(short: Bench) -> None:
    run = long_run(short, passes=350)
    kept = run.journal()
    run.cancel()
    seen = list(run.watch(timeout=5))
    assert seen[: len(kept)] == kept
    assert seen[-1].kind == "run.cancelled"


def test_who_watches_too_slowly_is_told_and_misses_nothing_in_silence(short: Bench) -> None:
    run = short.submit(of(Repeat(note.s(), max_times=400)))
    server = server_of(short)
    watched: list[int] = []

    def on_wait(_seconds: float) -> None:
        for _ in range(1_500):
            if short.post.messages:
                short.step()

    server.on_wait = on_wait
    with pytest.raises(HistoryLostError):
        watched.extend(entry.sequence for entry in run.watch(timeout=60))
    assert watched == list(range(1, len(watched) + 1)) != []


def test_a_history_that_is_cut_while_it_is_read_is_read_as_of_one_moment(short: Bench) -> None:
    run = short.submit(of(Repeat(note.s(), max_times=400)))
    client = short.state.client
    pipeline, cuts = client.pipeline, [0]

    def late(*args: Any, **options: Any) -> Any:
        for _ in range(90):
            if short.post.messages:
                short.step()
        cuts[0] += 1
        return pipeline(*args, **options)

    client.pipeline = late  # type: ignore[method-assign]
    seen: dict[int, str] = {}
    while not run.status.is_terminal:
        for entry in run.journal():
            assert seen.setdefault(entry.sequence, entry.kind) == entry.kind
    assert cuts[0] > 3


def test_the_revisions_of_a_plan_whose_beginning_is_lost_are_told_to_be(short: Bench) -> None:
    run = long_run(short)
    plan = run.plan
    for ask in (lambda: plan.revisions, lambda: plan.at(1), lambda: plan.diff(1, 2)):
        with pytest.raises(HistoryLostError, match="how its plan came to be what it is"):
            ask()
    with pytest.raises(HistoryLostError, match="how it began, and cannot be forked; raise GOSTAGE"):
        run.fork("s/Sleep")
    assert plan.revision == 401
    assert run.result().actions[-1].name == "Sleep"


def test_the_revisions_of_a_plan_that_forgot_passes_are_told_without_these(bench: Bench) -> None:
    run = bench.submit(of(Repeat(note.s(), max_times=15)))
    bench.drain(run)
    revisions = run.plan.revisions
    assert [one.number for one in revisions] == list(range(1, 17))
    assert str(revisions[3].changes) == str(revisions[0].changes)
    assert "s/Repeat[14]/note" in str(revisions[-1].changes)
    assert [one.path for one in run.plan.at(16).stages[0].actions] == [
        "s/Repeat", *(f"s/Repeat[{n}]/note" for n in range(5, 15))
    ]  # fmt: skip
    assert "s/Repeat[14]/note" in str(run.plan.diff(1, 16))
    forked = run.fork("s/Repeat[12]/note")
    assert bench.drain(forked).status is RunStatus.COMPLETED
    assert len(forked.result().store["done"]) == 15


# Endless runs


def test_a_repeat_of_two_thousand_passes_stays_as_small_as_one_of_a_hundred(
    namespace: str, fresh_registry: None
) -> None:
    bench = bench_with(namespace, max_journal=1_000, max_past_bytes=4_096)

    @action
    def churn(ctx: ActionContext) -> None:
        """Replace what it had, and use what is remembered by entry."""
        ctx.store.put("last", ctx.index)
        ctx.once("of-this-pass", lambda: ctx.index)
        ctx.add_action(note.s().options(store_as="said"))

    @action
    def tidy(ctx: ActionContext) -> None:
        if "done" in ctx.store:
            ctx.store.delete("done")

    run = bench.submit(of(Repeat(churn.s(), tidy.s(), max_times=2_000)))
    sizes: dict[int, dict[str, int]] = {}
    while not run.status.is_terminal:
        bench.step()
        done = run.store.get("last", int, default=-1)
        if done in (100, 1_000, 1_990) and done not in sizes:
            sizes[done] = sizes_of(bench)
    assert run.status is RunStatus.COMPLETED
    assert run.store["last"] == 1_999
    small, middle, large = sizes[100], sizes[1_000], sizes[1_990]
    assert small.keys() == middle.keys() == large.keys()
    for key in ("plan", "live", "store", "meta", "run"):
        assert large.get(key, 0) <= small.get(key, 0) + 8, key
    assert large["journal"] <= 1_000
    assert large["past"] <= 200


def sizes_of(bench: Bench) -> dict[str, int]:
    """Return how many fields, members or items each key has."""
    client, sizes = bench.state.client, {}
    for key in client.scan_iter("*"):
        name = key.decode().removeprefix(bench.state.keys.prefix).partition(":")[0]
        count: Any = {
            b"hash": client.hlen,
            b"list": client.llen,
            b"set": client.scard,
            b"zset": client.zcard,
        }.get(client.type(key), lambda _: 1)(key)  # type: ignore[call-overload]
        sizes[name] = sizes.get(name, 0) + count
    return sizes


# Stores


@action
def fill(ctx: ActionContext, how: str = "put", size: int = 4_096) -> None:
    """Write more than there is room for."""
    match how:
        case "put":
            ctx.store.put("big", "x" * size)
        case "append":
            for _ in range(size // 64):
                ctx.store.append("big", "x" * 64)
        case "checkpoint":
            ctx.store.put("big", "x" * size)
            ctx.checkpoint()
        case "many":
            for number in range(size // 64):
                ctx.store.put(f"key-{number}", "x" * 60)


@pytest.mark.parametrize("how", ["put", "append", "checkpoint", "many"])
def test_a_store_that_would_be_too_large_is_the_failure_of_the_action(
    small: Bench, how: str
) -> None:
    run = small.submit(of(note.s("first"), fill.s(how=how), note.s("never")))
    result = small.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert (result.error.type, result.error.path) == ("StoreFullError", "s/fill")
    assert "its limit, 2,048 bytes" in result.error.message
    assert "GOSTAGE_MAX_STORE_BYTES" in result.error.message
    assert result.store["done"] == ["first"]
    assert list(result.store.keys()) == ["done"], "all of it or nothing"


def test_a_body_may_make_room_where_it_is_told_that_there_is_none(small: Bench) -> None:
    @action
    def careful(ctx: ActionContext) -> None:
        ctx.store.put("big", "x" * 4_096)
        try:
            ctx.checkpoint()
        except StoreFullError as error:
            assert error.limit == 2_048
            ctx.store.put("big", "x")

    assert small.drain(small.submit(of(careful.s()))).store["big"] == "x"


def test_a_full_store_can_be_made_smaller_and_what_replaces_counts_for_what_it_replaces(
    small: Bench,
) -> None:
    @action
    def replace(ctx: ActionContext) -> None:
        ctx.store.put("big", "y" * 1_500)

    @action
    def shrink(ctx: ActionContext) -> None:
        ctx.store.delete("big")

    for first, size in (("put", 1_800), ("append", 1_200)):
        run = small.submit(of(fill.s(how=first, size=size), replace.s(), shrink.s(), note.s()))
        result = small.drain(run)
        assert result.status is RunStatus.COMPLETED, result.error
        with pytest.raises(KeyNotFoundError):
            result.store["big"]


def test_first_values_that_are_too_large_are_refused_at_submit(small: Bench) -> None:
    with pytest.raises(StoreFullError, match="GOSTAGE_MAX_STORE_BYTES"):
        small.submit(of(), store={"a": "x" * 1_500, "b": "x" * 1_500})
    assert small.runner.list() == []
    run = small.submit(of(fail.s()), store={"a": "x" * 1_500})
    small.drain(run)
    with pytest.raises(StoreFullError):
        run.retry(store={"b": "x" * 1_500})
    assert run.status is RunStatus.FAILED


def test_what_was_replaced_is_kept_up_to_its_bound_and_forks_from_before_are_told(
    small: Bench,
) -> None:
    @action
    def write(ctx: ActionContext, n: int) -> None:
        ctx.store.put("value", f"{n}" * 300)

    run = small.submit(of(*[write.s(n=n).options(name=f"w{n}") for n in range(10)]))
    small.drain(run)
    past = small.state.client.lrange(small.state.keys.of("past", run.run_id), 0, -1)
    assert sum(map(len, past)) <= 2_048  # type: ignore[arg-type]
    with pytest.raises(Exception, match="GOSTAGE_MAX_PAST_BYTES"):
        run.fork("w1")
    forked = run.fork("w9")
    assert forked.store["value"] == "8" * 300


def test_a_run_that_is_waited_for_beyond_its_time_goes_on(bench: Bench) -> None:
    run = bench.submit(of(Sleep(hours=1)))
    held = bench.state.claim(
        run.run_id, bench.post.messages[0].entry, nonce="n", process="p", slot="t", mark=""
    )
    with pytest.raises(RunTimeoutError):
        run.wait(timeout=1)
    assert isinstance(held, Claim)
    assert bench.state.commit(held, have="", parts=CommitParts()).word == "committed"
