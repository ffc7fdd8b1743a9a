"""Envelopes with what is bound to them: the run they belong to, what they are, and their names."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import CorruptRunError, SealedValueError, TamperedValueError
from gostage_core.sealing.cipher import MARK, NotOpenedError, UnknownKeyIdError, key_of
from gostage_core.sealing.marks import HIDDEN, canonical, compact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gostage_core.sealing.cipher import Cipher

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_FORM: Final = ("gostage", 1)
_MARK: Final = MARK.encode()
_HIDDEN: Final = f'"{HIDDEN}"'.encode()


class Box:
    """Seals and opens for one namespace. Safe to share between threads."""

    def __init__(self, namespace: str, cipher: Cipher | None) -> None:
        """Use *cipher*; without one nothing can be opened."""
        self._namespace = namespace
        self._cipher = cipher

    @property
    def is_open(self) -> bool:
        """Whether there are keys."""
        return self._cipher is not None

    def whole(self, run_id: str, data: bytes, kind: str, *names: str, what: str = "") -> bytes:
        """Return a text that was sealed as one, or *data* where it was not.

        Raises:
            SealedValueError: its key is not among those of this process.
            TamperedValueError: it was changed, or is not at its place.
        """
        if data[:1] != _MARK:
            return data
        return self.opened(run_id, data.decode("ascii", "replace"), what or kind, kind, *names)

    def document(
        self,
        run_id: str,
        text: bytes,
        *,
        must: bool = False,
        blank: Mapping[str, object] = _NOTHING,
    ) -> bytes:
        """Return a document with what is sealed of it in it.

        Where there is no key for that it is left out, unless it *must* be there; *blank* is then in
        its place.

        Raises:
            SealedValueError: it must, and is not.
            CorruptRunError: it was changed, or is not where it was written.
        """
        if not text or _HIDDEN not in text:
            return text
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return text  # whoever reads it tells what is damaged
        if not isinstance(data, dict):
            return text
        return compact(self.fields(run_id, data, must=must, blank=blank)).encode()

    def fields(
        self,
        run_id: str,
        data: dict[str, Any],
        *,
        must: bool = False,
        blank: Mapping[str, object] = _NOTHING,
    ) -> dict[str, Any]:
        """Return the fields of a document, as :meth:`document` does."""
        envelope = data.get(HIDDEN)
        if envelope is None:
            return data
        clear = {name: value for name, value in data.items() if name != HIDDEN}
        try:
            hidden = self.opened(run_id, str(envelope), "a text", "document", canonical(data))
        except SealedValueError:
            if must:
                raise
            return {**clear, **blank}
        except TamperedValueError as error:
            raise CorruptRunError(run_id, str(error)) from error
        return {**clear, **json.loads(hidden)}

    def anew(self, envelope: str, places: Iterable[Sequence[str]]) -> str:
        """Return an envelope sealed with the first key, for the one of *places* that is its own.

        Raises:
            SealedValueError: its key is not among those of this process.
            TamperedValueError: it is bound to none of them.
        """
        cipher = self._cipher
        if cipher is None or key_of(envelope) == cipher.first:
            return envelope
        run_id = "?"
        for run_id, *names in places:
            bound = self._bound(run_id, *names)
            try:
                return cipher.seal(cipher.open(envelope, bound), bound)
            except NotOpenedError:
                continue
            except UnknownKeyIdError as error:
                raise SealedValueError(error.key_id) from None
        raise TamperedValueError(run_id, "a text")

    def opened(self, run_id: str, envelope: str, what: str, kind: str, *names: str) -> bytes:
        """Return what is in an envelope; *what* it is called in an error.

        Raises:
            SealedValueError: its key is not among those of this process.
            TamperedValueError: it was changed, or is not at its place.
        """
        if self._cipher is None:
            raise SealedValueError(key_of(envelope) or "?")
        try:
            return self._cipher.open(envelope, self._bound(run_id, kind, *names))
        except UnknownKeyIdError as error:
            raise SealedValueError(error.key_id) from None
        except NotOpenedError:
            raise TamperedValueError(run_id, what) from None

    def seal(self, run_id: str, data: bytes, kind: str, *names: str) -> str:
        """Return *data* in an envelope for its place."""
        assert self._cipher is not None
        return self._cipher.seal(data, self._bound(run_id, kind, *names))

    def _bound(self, *place: str) -> bytes:
        return compact([*_FORM, self._namespace, *place]).encode()


class Opener:
    """Opens what belongs to one key of the store of one run."""

    __slots__ = ("_box", "_key", "_run_id")

    def __init__(self, box: Box, run_id: str, key: str) -> None:
        self._box = box
        self._run_id = run_id
        self._key = key

    def value(self, data: bytes) -> bytes:
        """Return a value, which may not be sealed."""
        head = "[" if data[:2] == b"[~" else ""
        return self._whole(data[len(head) :], "value", head) if head or data[:1] == _MARK else data

    def item(self, item: bytes) -> bytes:
        """Return what was appended, with its place, which may not be sealed."""
        place, newline, data = item.partition(b"\n")
        head = place.decode("utf-8", "surrogateescape")
        return place + newline + self._whole(data, "item", head)

    def properties(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the properties of the key, which may not be sealed."""
        envelope = data.get(HIDDEN)
        if not isinstance(envelope, str) or len(data) > 1 or key_of(envelope) is None:
            return data
        found: dict[str, Any] = json.loads(self._whole(envelope.encode(), "properties"))
        return found

    def _whole(self, data: bytes, kind: str, *names: str) -> bytes:
        what = f"the value of {self._key!r}"
        return self._box.whole(self._run_id, data, kind, self._key, *names, what=what)
