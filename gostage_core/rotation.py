"""Encrypts anew, with the first key, what runs that go on and schedules keep under earlier ones."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import redis

from gostage_core.errors import ConfigurationError, SealedValueError, TamperedValueError
from gostage_core.sealing import places
from gostage_core.sealing.places import ENVELOPE
from gostage_core.state.client import our_errors
from gostage_core.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gostage_core.sealing.places import Found
    from gostage_core.state.operations import State

    Finder = Callable[[str, str], Iterable[Found]]
    """Finds what is sealed in the text of a field, or of an item."""
    Texts = list[tuple[Any, bytes]]
    """Fields or places of a key, each with its text."""

_PAGE: Final = 200
_TRIES: Final = 5
"""How often a page is written that changes while it is."""
_LIVE: Final = tuple(status.value for status in RunStatus if not status.is_terminal)


class Rotation:
    """One pass over all runs that go on, and all schedules. Safe to repeat, and to break off.

    What has ended is left alone: it goes with its retention.
    """

    def __init__(self, state: State, *, is_trial: bool = False) -> None:
        """Read nothing yet; where it *is_trial*, nothing is written either.

        Raises:
            ConfigurationError: there are no keys.
        """
        if not state.vault.is_open:
            raise ConfigurationError("GOSTAGE_ENCRYPTION_KEYS is not set; there is no key to write")
        self._state = state
        self._is_trial = is_trial
        self.written = 0
        """How many texts were encrypted anew, or would be."""
        self.left: dict[str, str] = {}
        """What was left as it is, by its Redis key, and why."""

    def go(self) -> Iterator[tuple[int, int]]:
        """Go through all, and yield after each how many of how many are done.

        Raises:
            StoreUnavailableError: the server does not answer.
        """
        with our_errors(url=self._state.settings.redis_url):
            indexes = [self._key("status", status) for status in _LIVE]
            runs = [run_id for index in indexes for run_id in self._members(index)]
            schedules = self._members(self._key("schedules"))
            total = len(runs) + len(schedules)
            for done, run_id in enumerate(runs, start=1):
                self._run(run_id)
                yield done, total
            for done, name in enumerate(schedules, start=len(runs) + 1):
                finder = partial(_in_schedule, f"schedule {name}")
                self._hash(self._key("schedule", name), finder)
                yield done, total

    def _run(self, run_id: str) -> None:
        signals = self._signals(run_id)
        self._hash(self._key("run", run_id), partial(_in_header, run_id))
        self._hash(
            self._key("plan", run_id),
            lambda field, text: places.in_plan(run_id, field, text, signals),
        )
        size = (self._key("run", run_id), "bytes")
        self._hash(self._key("store", run_id), partial(places.in_value, run_id), size)
        self._hash(self._key("meta", run_id), partial(places.in_labels, run_id))
        self._hash(
            self._key("inbox", run_id), lambda _, text: places.in_inbox(run_id, text, signals)
        )
        for key in self._appended(run_id):
            finder = partial(_in_item, run_id, key)
            self._list(self._key("items", run_id, key), finder, size)
        self._list(self._key("messages", run_id), lambda _, text: places.in_message(text))
        for name, find in _LISTS.items():
            total = (self._key("run", run_id), "past") if name == "past" else None
            self._list(self._key(name, run_id), partial(_by_text, find, run_id), total)

    def _hash(self, key: str, find: Finder, size: tuple[str, str] | None = None) -> None:
        client: Any = self._state.client
        page: Texts = []
        for field, text in client.hscan_iter(key, count=_PAGE):
            if ENVELOPE.search(text):
                page.append((field, text))
            if len(page) == _PAGE:
                self._page(key, page, find, size, _HashWriter)
                page = []
        self._page(key, page, find, size, _HashWriter)

    def _list(self, key: str, find: Finder, size: tuple[str, str] | None = None) -> None:
        client, start = self._state.client, 0
        while texts := cast("list[bytes]", client.lrange(key, start, start + _PAGE - 1)):
            page = [(start + at, text) for at, text in enumerate(texts) if ENVELOPE.search(text)]
            self._page(key, page, find, size, _ListWriter)
            start += _PAGE

    def _page(
        self,
        key: str,
        page: Texts,
        find: Finder,
        size: tuple[str, str] | None,
        writer: type[_HashWriter | _ListWriter],
    ) -> None:
        try:
            anew = [(where, text, self._anew(where, text, find)) for where, text in page]
        except (ValueError, LookupError, TypeError, TamperedValueError, SealedValueError) as error:
            self.left[key] = str(error) or repr(error)
            return
        changed = [one for one in anew if one[1] != one[2]]
        if self._is_trial or not changed:
            self.written += len(changed)
            return
        for _ in range(_TRIES):
            try:
                self.written += self._write(key, changed, size, writer)
                return
            except redis.WatchError:
                continue
        self.left[key] = "it changes all the time; try again later"

    def _anew(self, where: Any, text: bytes, find: Finder) -> bytes:
        """Return *text* with each envelope in it sealed with the first key."""
        name = where.decode("utf-8", "surrogateescape") if isinstance(where, bytes) else str(where)
        for envelope, own in find(name, text.decode("utf-8", "surrogateescape")):
            text = text.replace(envelope.encode(), self._state.vault.anew(envelope, own).encode())
        return text

    def _write(
        self,
        key: str,
        changed: Sequence[tuple[Any, bytes, bytes]],
        size: tuple[str, str] | None,
        writer: type[_HashWriter | _ListWriter],
    ) -> int:
        """Write what is still there as it was read; return how much that is.

        Raises:
            redis.WatchError: the key has changed while it was written.
        """
        pipeline: Any
        with self._state.client.pipeline(transaction=True) as pipeline:
            pipeline.watch(key)
            there = [one for one in changed if writer.read(pipeline, key, one[0]) == one[1]]
            pipeline.multi()
            for where, _, new in there:
                writer.write(pipeline, key, where, new)
            grown = sum(len(new) - len(old) for _, old, new in there)
            if size is not None and grown:
                pipeline.hincrby(*size, grown)
            pipeline.execute()
        return len(there)

    def _signals(self, run_id: str) -> list[str]:
        """Return the names of signals that a run has got or waits for."""
        client: Any = self._state.client
        fields = client.hkeys(self._key("inbox", run_id))
        names = {name[1:].decode() for name in fields if name[:1] in (b"q", b"w")}
        for text in client.lrange(self._key("journal", run_id), 0, -1):
            if b'"run.signalled"' in text:
                names.add(str(json.loads(text)[4].get("signal")))
        return sorted(names)

    def _appended(self, run_id: str) -> list[str]:
        client: Any = self._state.client
        found = client.hscan_iter(self._key("store", run_id), count=_PAGE)
        lists = [name for name, value in found if value.startswith(b"L")]
        return [name.decode("utf-8", "surrogateescape") for name in lists]

    def _members(self, index: str) -> list[str]:
        found = cast("list[bytes]", self._state.client.zrange(index, 0, -1))
        return [name.decode("utf-8", "surrogateescape") for name in found]

    def _key(self, name: str, *parts: str) -> str:
        return self._state.keys.of(name, *parts)


class _HashWriter:
    """Reads and writes a field."""

    @staticmethod
    def read(pipeline: Any, key: str, field: Any) -> Any:
        return pipeline.hget(key, field)

    @staticmethod
    def write(pipeline: Any, key: str, field: Any, text: bytes) -> None:
        pipeline.hset(key, field, text)


class _ListWriter:
    """Reads and writes an item."""

    @staticmethod
    def read(pipeline: Any, key: str, at: Any) -> Any:
        return pipeline.lindex(key, at)

    @staticmethod
    def write(pipeline: Any, key: str, at: Any, text: bytes) -> None:
        pipeline.lset(key, at, text)


def _in_header(run_id: str, field: str, text: str) -> Iterable[Found]:
    return places.in_document(run_id, text) if field in ("definition", "why") else ()


def _in_schedule(place: str, field: str, text: str) -> Iterable[Found]:
    return places.in_document(place, text) if field in ("definition", "options") else ()


def _in_item(run_id: str, key: str, _: str, text: str) -> Iterable[Found]:
    return places.in_item(run_id, key, text)


def _by_text(
    find: Callable[[str, str], Iterable[Found]], run_id: str, _: str, text: str
) -> Iterable[Found]:
    return find(run_id, text)


_LISTS: Final[dict[str, Callable[[str, str], Iterable[Found]]]] = {
    "journal": places.in_journal,
    "undo": places.in_undo,
    "past": places.in_past,
}
