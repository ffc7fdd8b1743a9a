"""The diagram of an entry's states is what the operations do: every arrow is seen, and no other."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import Action, ActionContext, Middleware, Retry, Stage, Workflow, action
from gostage_core.authoring.action import definition_of
from gostage_core.authoring.definition import ActionDefinition
from gostage_core.authoring.throttle import Throttle
from gostage_core.authoring.waits import (
    BelowFailedError,
    Delivery,
    Group,
    Member,
    SignalWait,
    Timer,
    Wait,
)
from gostage_core.state.answers import Claim, CommitParts
from tests.support.turnstile import server_of

if TYPE_CHECKING:
    from gostage_core import Run
    from gostage_core.middleware.context import HookContext, ScopeOutcome
    from gostage_core.state.operations import State
    from tests.support.bench import Bench

ARCHITECTURE = Path(__file__).parent.parent.parent / "ARCHITECTURE.md"
NAMES = {
    "r": "ready",
    "x": "running",
    "z": "sleeping",
    "c": "completed",
    "f": "failed",
    "k": "cancelled",
    "w": "waiting",
    "o": "open",
    "h": "throttled",
    "p": "reopened",
    "d": "disabled",
    "s": "skipped",
    "m": "removed",
}
OWN = ("claim", "commit", "wait", "fail", "release", "lose", "rouse", "deliver", "expire")
WHOLE = ("pause", "resume", "retry", "signal")
"""What is asked of a run, and does what it does to any entry of it."""
OTHERS = (*WHOLE, "halt", "edit", "purge", "invite", "compensate")


FAILURE = '{"type":"ValueError","message":"no"}'


class Watcher:
    """Notes how each operation changes the records of a run's actions."""

    def __init__(self, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: set[tuple[str, str, str]] = set()
        self.state = state
        for name in (*OWN, *OTHERS):
            monkeypatch.setattr(state, name, self.watched(name))

    def watched(self, name: str) -> Any:
        inner = getattr(self.state, name)

        def call(first: Claim | str, *args: Any, **options: Any) -> Any:
            run_id = first.run_id if isinstance(first, Claim) else first
            entry = first.entry if isinstance(first, Claim) else (args[0] if args else "")
            before = self.records(run_id)
            answer = inner(first, *args, **options)
            self.note(name, entry, before, self.records(run_id))
            return answer

        return call

    def records(self, run_id: str) -> dict[str, str]:
        fields: dict[bytes, bytes] = self.state.client.hgetall(self.state.keys.of("plan", run_id))  # type: ignore[assignment]
        return {
            name[1:].decode(): value[:1].decode()
            for name, value in fields.items()
            if name.startswith(b"r") and b"c" + name[1:] in fields
        }

    def note(self, name: str, entry: str, before: dict[str, str], after: dict[str, str]) -> None:
        for n in before.keys() | after.keys():
            old, new = NAMES.get(before.get(n, ""), "[*]"), NAMES.get(after.get(n, ""), "[*]")
            if old == new:
                continue
            if name == "edit" and old in ("[*]", "ready", "disabled", "throttled", "reopened"):
                by = "edit"
            elif name in WHOLE and (old, new) != ("[*]", "ready"):
                by = name
            elif old == "[*]":
                by = "begin"
            else:
                by = name if n == entry and name in OWN else "advance"
            self.seen.add((old, new, by))


@pytest.fixture
def bench(memory_bench: Bench) -> Bench:
    """Time stands still unless the test lets it pass."""
    return memory_bench


@pytest.fixture
def watcher(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    return Watcher(bench.state, monkeypatch)


@action
def fine(ctx: ActionContext) -> None:
    """Do nothing."""


@action(retry=Retry(2))
def flaky(ctx: ActionContext) -> None:
    """Fail at first."""
    if ctx.attempt == 1:
        raise RuntimeError("first")


@action
def broken(ctx: ActionContext) -> None:
    """Fail."""
    raise RuntimeError("always")


class Waiting(Action):
    """Wait for others."""

    actions: tuple[ActionDefinition, ...]

    def execute(self, ctx: ActionContext) -> Wait | None:
        if ctx.phase == 0:
            return Group((Member(self.actions),))
        if failure := ctx.outcome().failure:
            raise BelowFailedError(failure)
        return None


class Delivered(Action):
    """Wait for something from outside."""

    timeout: float | None = None

    def execute(self, ctx: ActionContext) -> Wait | None:
        return None if ctx.phase else Delivery("parcel", self.timeout)


class Napping(Action):
    """Sleep."""

    def execute(self, ctx: ActionContext) -> Wait | None:
        return None if ctx.phase else Timer(9)


class Listening(Action):
    """Wait for a signal."""

    timeout: float | None = None

    def execute(self, ctx: ActionContext) -> Wait | None:
        return None if ctx.phase else SignalWait(0, "bell", timeout=self.timeout)


class Saves(Middleware):
    """Handles every failure of a stage."""

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        if outcome.status == "failed":
            outcome.recover()


def submit(bench: Bench, *actions: Any, parallel: bool = False) -> Run:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions, parallel=parallel))
    return bench.submit(workflow)


def claim(bench: Bench, run: Run, slot: str = "t") -> Claim:
    message = bench.post.messages.popleft()
    claimed = bench.state.claim(
        run.run_id, message.entry, nonce="n", process="p", slot=slot, mark=""
    )
    assert isinstance(claimed, Claim)
    return claimed


def go_through_everything(bench: Bench) -> None:
    bench.drain(submit(bench, fine.s(), flaky.s(), fine.s()))
    bench.drain(submit(bench, broken.s(), fine.s(), parallel=True))
    bench.post.messages.clear()

    run = submit(bench, fine.s())
    bench.state.release(claim(bench, run), delay=1, reason="{}")
    bench.state.halt(run.run_id, "cancelled", "{}")

    run = submit(bench, fine.s())
    bench.state.release(claim(bench, run), delay=0, reason="{}")
    bench.post.messages.clear()

    run = submit(bench, fine.s())
    held = claim(bench, run)
    bench.state.halt(run.run_id, "cancelled", "{}")
    bench.state.release(held, delay=0, reason="{}")

    run = submit(bench, fine.s())
    held = claim(bench, run)
    bench.state.halt(run.run_id, "cancelled", "{}")
    bench.state.lose(run.run_id, held.entry, "p", "t", counted=True)

    run = submit(bench, fine.s())
    held = claim(bench, run)
    bench.state.abandon(held, "p", "t")
    bench.state.rouse(run.run_id, held.entry, "", "{}")
    bench.post.messages.clear()

    run = submit(bench, fine.s())
    entry = bench.post.messages[0].entry
    for number in range(3):
        bench.state.claim(run.run_id, entry, nonce=f"n{number}", process="p", slot="t", mark="")
        bench.state.lose(run.run_id, entry, "p", "t", counted=True)


def go_through_deadlines(bench: Bench) -> None:
    shut = fine.s().options(throttle=Throttle("shut", concurrency=1))
    held = claim(bench, submit(bench, shut))
    waits = [Napping(), Listening(), Waiting(actions=(definition_of(Napping()),)), shut]
    for one in waits:
        run = submit(bench, one.options(deadline=0.3))
        while bench.post.messages:
            bench.step("other")
        expired(bench, run)
    run = submit(bench, fine.s().options(deadline=0.1))
    expired(bench, run)
    bench.post.messages.clear()
    run = submit(bench, fine.s().options(deadline=0.1))
    claim(bench, run, "late")
    expired(bench, run)
    bench.state.fail(held, delay=None, policy="fail", failure=FAILURE, details="{}")


def expired(bench: Bench, run: Run) -> None:
    while not run.status.is_terminal:
        server_of(bench).clock.advance(1)
        bench.state.renew(["p"])
        bench.rescuer.tick()


def go_through_waits_and_edits(bench: Bench) -> None:
    bench.drain(submit(bench, Waiting(actions=(definition_of(fine.s()),))))
    run = submit(bench, Delivered(timeout=9))
    claimed = bench.post.messages[0].entry
    bench.step()
    bench.state.deliver(run.run_id, claimed, "parcel", "text")
    bench.drain(run)
    bench.drain(submit(bench, Delivered(timeout=9)))
    run = submit(bench, Delivered())
    bench.step()
    bench.state.halt(run.run_id, "cancelled", "{}")

    run = submit(bench, fine.s(), fine.s(), fine.s(), parallel=True)
    one, other, _ = [message.entry for message in bench.post.messages]
    edit(bench, run, "disable", one, "remove", other)
    bench.drain(run)
    run = submit(bench, *[fine.s()] * 4)
    first = int(bench.post.messages[0].entry)
    edit(bench, run, *[part for n in (1, 2) for part in ("disable", str(first + n))])
    edit(bench, run, "enable", str(first + 1), "remove", str(first + 2), "remove", str(first + 3))
    edit(bench, run, "disable", str(first + 1))
    bench.drain(run)

    run = submit(bench, fine.s(), fine.s(), parallel=True)
    left, right = claim(bench, run, "t"), claim(bench, run, "u")
    plan = bench.state.keys.of("plan", run.run_id)
    stage = bench.state.client.hget(plan, "gs").decode()  # type: ignore[union-attr]
    links = bench.state.client.hget(plan, f"l{stage}").decode().split(",")  # type: ignore[union-attr]
    links[6] = "1"  # one of them is enough
    bench.state.client.hset(plan, f"l{stage}", ",".join(links))
    bench.state.commit(left, have="", parts=CommitParts())
    assert bench.state.commit(right, have="", parts=CommitParts()).word == "fenced"

    workflow = Workflow("w").use(Saves())
    workflow.add_stage(Stage("s", [broken.s(), fine.s()], parallel=True))
    bench.drain(bench.submit(workflow))


def go_through_time_and_control(bench: Bench) -> None:
    bench.drain(submit(bench, Napping(), fine.s()))
    run = submit(bench, Napping())
    bench.step()
    run.cancel()

    run = submit(bench, Listening())
    bench.step()
    run.signal("bell")
    bench.drain(run)
    run = submit(bench, Listening())
    run.signal("bell")
    bench.drain(run)
    bench.drain(submit(bench, Listening(timeout=9)))

    run = submit(bench, fine.s(), fine.s())
    held = claim(bench, run)
    run.cancel()
    bench.pass_time()
    assert run.status.is_terminal
    assert bench.state.commit(held, have="", parts=CommitParts()).word == "fenced"


def go_through_a_throttle(bench: Bench) -> None:
    one = fine.s().options(throttle=Throttle("one", concurrency=1))
    run = submit(bench, one, one, one, one, parallel=True)
    first = claim(bench, run)
    for _ in range(3):
        bench.step("other")
    run.pause()
    run.resume()
    for _ in range(3):
        bench.step("other")
    held = [entry for entry, state in bench_states(bench, run).items() if state == "h"]
    edit(bench, run, "disable", held[0], "remove", held[1])
    bench.state.commit(first, have="", parts=CommitParts())
    bench.drain(run)
    run = submit(bench, one, one, parallel=True)
    first = claim(bench, run)
    bench.step("other")
    run.cancel()
    bench.state.fail(first, delay=None, policy="fail", failure=FAILURE, details="{}")
    bench.drain(run)


def go_through_retries(bench: Bench) -> None:
    run = submit(bench, broken.s(), fine.s(), fine.s())
    bench.drain(run)
    run.retry(skip=["fine"])
    bench.drain(run)
    run.retry(skip=["broken"])
    bench.drain(run)
    run = submit(bench, Waiting(actions=(definition_of(broken.s()),)))
    bench.drain(run)
    run.retry()
    bench.drain(run)

    run = submit(bench, fine.s(), fine.s(), parallel=True)
    run.cancel()
    run.retry()
    bench.drain(run)
    run = submit(bench, broken.s(), fine.s(), fine.s())
    bench.drain(run)
    first = int(run.result().actions[0].entry)
    run.retry()
    edit(bench, run, "disable", str(first + 1))
    bench.drain(run)
    run.retry(skip=["fine"])
    bench.drain(run)

    for marks in (("disable", "remove"), ("disable", "enable"), ()):
        run = one_at_a_time(bench, 4)
        bench.drain(run)
        run.retry()
        waiting = [entry for entry, state in bench_states(bench, run).items() if state == "p"]
        for mark, entry in zip(marks, waiting, strict=False):
            edit(bench, run, mark, entry)
        if not marks:
            run.retry(skip=run.cancel() or ["broken"])
        bench.drain(run)


def one_at_a_time(bench: Bench, count: int) -> Run:
    workflow = Workflow("w")
    stage = Stage("s", [broken.s()] * count, parallel=True, max_parallel=1, on_failure="wait_all")
    workflow.add_stage(stage)
    return bench.submit(workflow)


def bench_states(bench: Bench, run: Run) -> dict[str, str]:
    fields: dict[bytes, bytes] = bench.state.client.hgetall(bench.state.keys.of("plan", run.run_id))  # type: ignore[assignment]
    return {
        name[1:].decode(): value[:1].decode() for name, value in fields.items() if name[:1] == b"r"
    }


def edit(bench: Bench, run: Run, *edits: str) -> None:
    answer = bench.state.edit(
        run.run_id,
        nonce=os.urandom(4).hex(),
        revision=run.plan.revision,
        details='{"actor":"ana"}',
        edits=(len(edits) // 2, *edits),
    )
    assert answer.word == "applied", answer


def test_every_arrow_of_the_diagram_is_taken_and_no_other(bench: Bench, watcher: Watcher) -> None:
    go_through_everything(bench)
    go_through_waits_and_edits(bench)
    go_through_time_and_control(bench)
    go_through_a_throttle(bench)
    go_through_retries(bench)
    go_through_deadlines(bench)
    text = ARCHITECTURE.read_text(encoding="utf-8")
    drawn = {
        (old, new, by) for old, new, by in re.findall(r"^    (\S+) --> (\S+): (\w+)$", text, re.M)
    }
    begin = {("[*]", "ready", "begin")}
    assert watcher.seen | begin == drawn  # a run begins within its submit
