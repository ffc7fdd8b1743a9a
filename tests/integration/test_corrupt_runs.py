"""Damaged runs: a clear error or it works, no other run's loss, and they can be deleted."""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis import ResponseError

from gostage_core import CorruptRunError, GostageError, RunNotFoundError, StoreUnavailableError
from gostage_core.state import scripts
from tests.support import standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import Run
    from gostage_core.testing.memory import MemoryClient, MemoryServer
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
        self.messages: list[Message] = list(bench.post.messages)

    def restore(self) -> None:
        self.client.server.restore(self._content)
        self.bench.post.messages = deque(self.messages)
        self.bench.died.clear()

    def key(self, record: str) -> str:
        return self.bench.state.keys.of(record, self.run.run_id)

    def fields(self, record: str, beginning: str) -> list[bytes]:
        """The fields of a record whose names begin so."""
        found = cast("list[bytes]", self.client.hkeys(self.key(record)))
        return [one for one in found if one.startswith(beginning.encode())]

    def field(self, record: str, name: bytes) -> bytes:
        return cast("bytes", self.client.hget(self.key(record), cast("str", name)))

    def acts(self) -> Iterator[tuple[str, Damage]]:
        """What operators, workers and rescuers may do there."""
        for number, operation in enumerate(OPERATIONS):
            yield f"operation {number}", partial(operation, self.run)
        for message in self.messages:
            yield f"message for {message.entry}", partial(self.bench.deliver, message)
        for process in ("dead", "holder"):
            yield f"the death of {process}", partial(self.bench.rescuer.lost, process)
        yield "a tick", self.bench.pass_time

    def left_of(self, run_id: str) -> list[bytes]:
        """The keys, timers and names in indexes that are of a run; lines lose it in their turn."""
        found = cast("list[bytes]", list(self.client.scan_iter("*")))
        for index in cast("list[bytes]", list(self.client.scan_iter("*", _type="zset"))):
            if b":line:" not in index:
                found += cast("list[bytes]", self.client.zrange(cast("str", index), 0, -1))
        return [one for one in found if _names(one, run_id)]

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


def _names(text: bytes, run_id: str) -> bool:
    """Whether a key or a member of an index is a run's, and not one of a child run of it."""
    return run_id in re.split(r"[:/ ]", text.decode("utf-8", "replace"))


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
    children = [one.child_run_id for one in scene.run.plan.actions if one.child_run_id]
    for turn, (what, damage) in enumerate(scene.damages()):
        if turn % 2:
            continue
        scene.restore()
        damage()
        scene.run.delete("it is damaged")
        with pytest.raises(RunNotFoundError):
            scene.run.result()
        assert scene.left_of(scene.run.run_id) == [], what
        for child in children:
            gone = not scene.client.exists(memory_bench.state.keys.of("run", child))
            assert not gone or scene.left_of(child) == [], what


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


def test_a_run_is_deleted_with_its_timers_though_nobody_can_tell_what_lives_in_it(
    memory_bench: Bench,
) -> None:
    scene = Scene(memory_bench, "middle")
    for field in scene.fields("plan", "r"):
        scene.restore()
        scene.garble(scene.key("plan"), field, b"x|y|z")
        scene.run.delete("it is damaged")
        assert scene.left_of(scene.run.run_id) == [], field
    scene.restore()
    scene.client.delete(scene.key("live"))
    scene.run.delete("it is damaged")
    assert scene.left_of(scene.run.run_id) == []


@pytest.mark.parametrize("record", ["run", "store", "live"])
def test_a_damaged_child_run_is_deleted_whole_with_the_run_above_it(
    memory_bench: Bench, record: str
) -> None:
    scene = Scene(memory_bench, "below")
    for _ in range(2):
        memory_bench.deliver(next(one for one in scene.messages if one.run_id == scene.run.run_id))
    assert any(b"items:" in one for one in scene.left_of(scene.run.run_id))
    scene.client.delete(scene.key(record))
    scene.client.set(scene.key(record), "of another type")
    above = memory_bench.runner.get(scene.run.run_id.partition(".")[0])
    above.delete("a part of it is damaged")
    assert scene.left_of(scene.run.run_id) == []
    assert scene.left_of(above.run_id) == []


@pytest.mark.parametrize("state", ["middle", "stopping", "undoing", "retried"])
def test_links_that_are_damaged_are_told_of_before_anything_is_written_or_end_the_run(
    memory_bench: Bench, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(memory_bench, state)
    seen: list[str] = []
    monkeypatch.setattr(scripts, "run", watching(scene.client.server, seen))
    for field in scene.fields("plan", "l"):
        for garbage in (b"x|y|z", None, scene.field("plan", field) + b","):
            for what, act in scene.acts():
                scene.restore()
                scene.garble(scene.key("plan"), field, garbage)
                with suppress(GostageError):
                    act()
                assert seen == [], (what, field, garbage)


def watching(server: MemoryServer, seen: list[str]) -> Callable[..., scripts.Reply]:
    """What runs scripts, and notes each that raises and has changed something."""
    run = scripts.run

    def watched(client: MemoryClient, name: str, *rest: Any) -> scripts.Reply:
        before = server.content()
        try:
            return run(client, name, *rest)
        except ResponseError as error:
            if server.content() != before:
                seen.append(f"{name}: {error}")
            raise

    return watched


def test_who_sends_what_is_waited_for_is_told_that_it_cannot_be_read_what_that_is(
    memory_bench: Bench,
) -> None:
    scene = Scene(memory_bench, "middle")
    for field in scene.fields("plan", "j"):
        scene.garble(scene.key("plan"), field, b"\xff\xfe\x00")
    with pytest.raises(CorruptRunError, match="its inbox cannot be read"):
        scene.run.signal("answer", 5)
