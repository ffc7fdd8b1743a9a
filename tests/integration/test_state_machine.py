"""The diagram of an entry's states is what the operations do: every arrow is seen, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import ActionContext, Retry, Stage, Workflow, action
from gostage_core.state.operations import Claim, State

if TYPE_CHECKING:
    from gostage_core import Run
    from tests.support.bench import Bench

ARCHITECTURE = Path(__file__).parent.parent.parent / "ARCHITECTURE.md"
NAMES = {
    "r": "ready",
    "x": "running",
    "z": "sleeping",
    "c": "completed",
    "f": "failed",
    "k": "cancelled",
}
OWN = ("claim", "commit", "fail", "release", "lose", "rouse")


class Watcher:
    """Notes how each operation changes the records of a run's actions."""

    def __init__(self, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: set[tuple[str, str, str]] = set()
        self.state = state
        for name in (*OWN, "halt"):
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
        for n, state in after.items():
            old = before.get(n)
            if old is None:
                self.seen.add(("[*]", NAMES[state], "begin"))
            elif old != state:
                by = name if n == entry and name in OWN else "halt"
                self.seen.add((NAMES[old], NAMES[state], by))


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


def test_every_arrow_of_the_diagram_is_taken_and_no_other(bench: Bench, watcher: Watcher) -> None:
    go_through_everything(bench)
    text = ARCHITECTURE.read_text(encoding="utf-8")
    drawn = {
        (old, new, by) for old, new, by in re.findall(r"^    (\S+) --> (\w+): (\w+)$", text, re.M)
    }
    begin = {("[*]", "ready", "begin")}
    assert watcher.seen | begin == drawn  # a run begins within its submit
