"""Damaged runs: a clear error or it works, no other run's loss, and they can be deleted."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

import pytest

from gostage_core import CorruptRunError, GostageError, RunNotFoundError, StoreUnavailableError
from tests.support import standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import Run
    from gostage_core.testing.memory import MemoryClient
    from tests.support.bench import Bench, Message

    Damage = Callable[[], object]

RECORDS = [
    "run", "plan", "live", "store", "meta", "journal", "messages", "inbox", "undo", "past",
]  # fmt: skip
GARBAGE = [b"\xff\xfe\x00", b"", b"-1", b"9" * 400, b"x|y|z", b"{}", b"[]", b'{"a":', b"nan", None]
"""What a field may be found to hold; ``None`` where it is gone."""

COUNTERS = {
    "run": ["revision", "retention", "bytes", "nodes", "longest", "most_bytes", "busy", "outside"],
    "inbox": ["n", "c"],
}
"""Numbers that a script counts on; damage of one would stop it after its first write."""


class Scene:
    """A run in one state, that can be damaged again and again, beside another run."""

    def __init__(self, bench: Bench, state: str) -> None:
        self.bench = bench
        self.run = standing.STATES[state](bench)
        self.client = cast("MemoryClient", bench.state.client)
        self._content = self.client.server.snapshot()
        self._messages: list[Message] = list(bench.post.messages)

    def restore(self) -> None:
        self.client.server.restore(self._content)
        self.bench.post.messages = deque(self._messages)

    def key(self, record: str) -> str:
        return self.bench.state.keys.of(record, self.run.run_id)

    def damages(self) -> Iterator[tuple[str, Damage]]:
        """Each field of each record in one of ten ways, and each record as of another type."""
        turn = 0
        for record in RECORDS:
            key = self.key(record)
            yield f"{record} as text", lambda key=key: self._as_text(key)
            if self.client.type(key) != b"hash":
                continue
            for field in cast("list[bytes]", self.client.hkeys(key)):
                turn += 1
                garbage = GARBAGE[turn % len(GARBAGE)]
                yield (
                    f"{record} {field!r} is {garbage!r:.20}",
                    lambda key=key, field=field, garbage=garbage: self.garble(key, field, garbage),
                )

    def garble(self, key: str, field: bytes | str, garbage: bytes | None) -> None:
        if garbage is None:
            self.client.hdel(key, cast("str", field))
        else:
            self.client.hset(key, field, garbage)

    def _as_text(self, key: str) -> None:
        self.client.delete(key)
        self.client.set(key, "of another type")


def edit(run: Run) -> None:
    with run.edit("as it stands") as plan:
        plan.actions["last"].disable()


OPERATIONS: list[Callable[[Run], object]] = [
    lambda run: run.status,
    lambda run: run.result(),
    lambda run: run.plan.revisions,
    lambda run: run.journal(),
    lambda run: list(run.messages(timeout=0)),
    lambda run: run.store.export(),
    lambda run: run.why(),
    lambda run: run.pause("later"),
    lambda run: run.resume("now"),
    lambda run: run.signal("answer", 5),
    lambda run: run.signal("unknown", {}),
    lambda run: run.retry(store={"more": 1}),
    lambda run: run.fork("second"),
    edit,
    lambda run: run.cancel("enough"),
]


@pytest.mark.parametrize("state", standing.STATES)
def test_whatever_is_damaged_each_operation_works_or_says_clearly_what_is_wrong(
    memory_bench: Bench, state: str
) -> None:
    scene = Scene(memory_bench, state)
    for turn, (what, damage) in enumerate(scene.damages()):
        for number in range(8):
            scene.restore()
            damage()
            operation = OPERATIONS[(turn + number * 2) % len(OPERATIONS)]
            try:
                operation(scene.run)
            except GostageError as error:
                assert not isinstance(error, StoreUnavailableError), (what, error)
                assert "user_script" not in str(error), what


@pytest.mark.parametrize("state", standing.STATES)
def test_a_damaged_run_can_be_deleted_with_all_that_was_its(
    memory_bench: Bench, state: str
) -> None:
    scene = Scene(memory_bench, state)
    for turn, (what, damage) in enumerate(scene.damages()):
        if turn % 2:
            continue
        scene.restore()
        damage()
        scene.run.delete("it is damaged")
        with pytest.raises(RunNotFoundError):
            scene.run.result()
        pieces = f":{scene.run.run_id}".encode()
        left = [k for k in scene.client.scan_iter("*") if k.endswith(pieces)]
        assert left == [], what


@pytest.mark.parametrize("state", ["middle", "paused", "undoing"])
def test_a_rescuer_goes_on_for_other_runs_whatever_is_damaged(
    memory_bench: Bench, state: str
) -> None:
    scene = Scene(memory_bench, state)
    for turn, (what, damage) in enumerate(scene.damages()):
        if turn % 6:
            continue
        scene.restore()
        damage()
        other = standing.submit_plain(memory_bench)
        for _ in range(40):
            if other.status.is_terminal:
                break
            if memory_bench.post.messages:
                memory_bench.step()
            else:
                standing.clock_of(memory_bench).advance(61)
                memory_bench.state.renew(["w"])
                memory_bench.rescuer.tick()
        assert other.status == "completed", what


@pytest.mark.parametrize("garbage", [b"", b"x", b"-1", b"9" * 16])
@pytest.mark.parametrize(
    ("record", "field"), [(one, field) for one, fields in COUNTERS.items() for field in fields]
)
def test_a_counter_that_is_no_number_is_found_before_anything_is_written(
    memory_bench: Bench, record: str, field: str, garbage: bytes
) -> None:
    scene = Scene(memory_bench, "middle")
    scene.garble(scene.key(record), field, garbage)
    before = scene.client.server.content()
    with pytest.raises(CorruptRunError) as told:
        scene.run.signal("answer", 5)
    assert told.value.run_id == scene.run.run_id
    assert scene.client.server.content() == before
