"""Which keys the texts on the server are encrypted with, so that one can be taken away."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, cast

from gostage_core.sealing.places import ENVELOPE
from gostage_core.state.client import our_errors
from gostage_core.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gostage_core.state.operations import State

_PAGE: Final = 500
_HASHES: Final = ("run", "plan", "store", "meta", "inbox")
_LISTS: Final = ("messages", "journal", "undo", "past")
_LIVE: Final = frozenset(status.value.encode() for status in RunStatus if not status.is_terminal)


class SealedTexts:
    """Counts the encrypted texts of one namespace by the ids of their keys. Changes nothing."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.live: Counter[str] = Counter()
        """In runs that go on."""
        self.ended: Counter[str] = Counter()
        """In runs that have ended, which leave by their retention."""
        self.schedules: Counter[str] = Counter()
        """In schedules, which keep theirs until they are written anew."""

    def count(self) -> Iterator[tuple[int, int]]:
        """Count, and yield after each run or schedule how many of how many were looked at.

        Reads everything that runs keep, a page at a time. What changes meanwhile may be missed.

        Raises:
            StoreUnavailableError: the server does not answer.
        """
        with our_errors(url=self._state.settings.redis_url):
            runs = self._members("runs")
            schedules = self._members("schedules")
            total = len(runs) + len(schedules)
            for done, run_id in enumerate(runs, start=1):
                self._look_at(run_id)
                yield done, total
            for done, name in enumerate(schedules, start=len(runs) + 1):
                self.schedules += _keys_in(self._values(self._key("schedule", name)))
                yield done, total

    @property
    def ids(self) -> list[str]:
        """The ids of all keys that were found, sorted."""
        return sorted(self.live.keys() | self.ended.keys() | self.schedules.keys())

    def _look_at(self, run_id: str) -> None:
        status = self._state.client.hget(self._key("run", run_id), "status")
        found = self.live if status in _LIVE else self.ended
        for name in _HASHES:
            found += _keys_in(self._values(self._key(name, run_id)))
        lists = [self._key(name, run_id) for name in _LISTS]
        for key in (*lists, *self._appended(run_id)):
            found += _keys_in(self._items(key))

    def _appended(self, run_id: str) -> Iterator[str]:
        """Yield the keys of what was appended to values of a store."""
        for name, value in self._fields(self._key("store", run_id)):
            if value.startswith(b"L"):
                yield self._key("items", run_id, name.decode("utf-8", "surrogateescape"))

    def _members(self, index: str) -> list[str]:
        found = cast("list[bytes]", self._state.client.zrange(self._key(index), 0, -1))
        return [name.decode("utf-8", "surrogateescape") for name in found]

    def _values(self, key: str) -> Iterator[bytes]:
        return (value for _, value in self._fields(key))

    def _fields(self, key: str) -> Iterator[tuple[bytes, bytes]]:
        client: Any = self._state.client
        return cast("Iterator[tuple[bytes, bytes]]", client.hscan_iter(key, count=_PAGE))

    def _items(self, key: str) -> Iterator[bytes]:
        client, start = self._state.client, 0
        while page := cast("list[bytes]", client.lrange(key, start, start + _PAGE - 1)):
            yield from page
            start += _PAGE

    def _key(self, name: str, *parts: str) -> str:
        return self._state.keys.of(name, *parts)


def _keys_in(texts: Iterable[bytes]) -> Counter[str]:
    return Counter(found.decode() for text in texts for found in ENVELOPE.findall(text))
