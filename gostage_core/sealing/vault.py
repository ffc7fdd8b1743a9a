"""The one place where texts are sealed on their way to the server, and opened on their way back."""

from __future__ import annotations

import json
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import (
    CorruptRunError,
    NotStorableError,
    SealedValueError,
    TamperedValueError,
)
from gostage_core.sealing.cipher import MARK, Cipher, NotOpenedError, UnknownKeyIdError, key_of
from gostage_core.sealing.keys import read_ring
from gostage_core.sealing.marks import HIDDEN, Mark, canonical, compact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gostage_core.settings import Settings

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_FORM: Final = ("gostage", 1)
_MARK: Final = MARK.encode()
_HIDDEN: Final = f'"{HIDDEN}"'.encode()
_DOCUMENTS: Final = frozenset("seph")
"""Fields of a plan that are documents, by their letter."""


class Vault:
    """Seals and opens for one namespace; without keys nothing is changed. Safe to share."""

    def __init__(
        self, namespace: str, cipher: Cipher | None = None, *, keeps: bool = False
    ) -> None:
        """Use *cipher*; without one, secrets are refused, unless it *keeps* them as they are."""
        self._namespace = namespace
        self._cipher = cipher
        self._keeps = keeps

    @classmethod
    def of(cls, settings: Settings, *, keeps: bool = False) -> Vault:
        """Return the vault for *settings*; without keys it *keeps* secrets as they are, or not.

        Raises:
            ConfigurationError: the keys in them are none, or what is needed is not installed.
        """
        name = "GOSTAGE_ENCRYPTION_KEYS"
        ring = read_ring(name, settings.encryption_keys, settings.encryption_keys_file)
        return cls(settings.namespace, None if ring is None else Cipher(ring), keeps=keeps)

    @property
    def is_open(self) -> bool:
        """Whether there are keys."""
        return self._cipher is not None

    def sealed(self, run_id: str, arguments: Sequence[object]) -> Sequence[object]:
        """Return the arguments of a script with what is marked in them sealed for a run.

        Raises:
            NotStorableError: there is a secret among them, and there are no keys.
        """
        if self._cipher is None:
            if not self._keeps:
                _refuse_secrets(arguments)
            return arguments
        seal = partial(self._seal, self._cipher, run_id)
        return [one.sealed(seal) if isinstance(one, Mark) else one for one in arguments]

    def opener(self, run_id: str, key: str) -> Opener | None:
        """Return what opens the values of one key; ``None`` where nothing is sealed."""
        return None if self._cipher is None else Opener(self, run_id, key)

    def whole(self, run_id: str, data: bytes, kind: str, *names: str, what: str = "") -> bytes:
        """Return a text that was sealed as one, or *data* where it was not.

        Raises:
            SealedValueError: its key is not among those of this process.
            TamperedValueError: it was changed, or is not at its place.
        """
        if data[:1] != _MARK:
            return data
        return self._opened(run_id, data.decode("ascii", "replace"), what or kind, kind, *names)

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
        if _HIDDEN not in text:
            return text
        return compact(self.fields(run_id, json.loads(text), must=must, blank=blank)).encode()

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
        if not isinstance(envelope, str) or key_of(envelope) is None:
            return data
        clear = {name: value for name, value in data.items() if name != HIDDEN}
        try:
            hidden = self._opened(run_id, envelope, "a text", "document", canonical(data))
        except SealedValueError:
            if must:
                raise
            return {**clear, **blank}
        except TamperedValueError as error:
            raise CorruptRunError(run_id, str(error)) from error
        return {**clear, **json.loads(hidden)}

    def payload(self, run_id: str, payload: Any, *names: str) -> Any:
        """Return the payload of a message; as it is where it cannot be opened here.

        Raises:
            CorruptRunError: it was changed, or is not where it was written.
        """
        envelope = payload.get(HIDDEN) if isinstance(payload, dict) and len(payload) == 1 else None
        if not isinstance(envelope, str) or key_of(envelope) is None:
            return payload
        try:
            return json.loads(self._opened(run_id, envelope, "a message", "message", *names))
        except SealedValueError:
            return payload
        except TamperedValueError as error:
            raise CorruptRunError(run_id, str(error)) from error

    def header(
        self, run_id: str, fields: Mapping[str, bytes], *, must: bool = False
    ) -> dict[str, bytes]:
        """Return the header of a run with its documents opened; as :meth:`document` does."""
        return {
            name: self.document(run_id, text, must=must) if name in ("definition", "why") else text
            for name, text in fields.items()
        }

    def plan(
        self, run_id: str, fields: Mapping[str, bytes], *, must: bool = False
    ) -> dict[str, bytes]:
        """Return the fields of a plan with their documents opened; as :meth:`document` does."""
        return {
            name: self.document(run_id, text, must=must) if name[0] in _DOCUMENTS else text
            for name, text in fields.items()
        }

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

    def whole_field(self, run_id: str, name: str, text: bytes) -> bytes:
        """Return a field of a plan, *name*, with all that is sealed of it opened.

        Raises:
            SealedValueError: its key is not among those of this process.
            CorruptRunError: it was changed, or is not where it was written.
            TamperedValueError: likewise, of a value.
        """
        letter, entry = name[0], name[1:]
        if letter in _DOCUMENTS:
            return self.document(run_id, text, must=True)
        if letter == "v":
            return self.whole(run_id, text, "result", entry, what=f"the result of entry {entry}")
        return self._initial(run_id, text) if letter == "i" and MARK.encode() in text else text

    def details(self, run_id: str, details: dict[str, Any]) -> dict[str, Any]:
        """Return what an entry of the journal tells, opened as far as there are keys for it.

        Raises:
            CorruptRunError: it was changed, or is not where it was written.
        """
        told = self.fields(run_id, details)
        if key_of(str(told.get("reason", ""))):
            told = {**told, "reason": self._reason(run_id, told["reason"])}
        if "ops" in told:
            told = {**told, "ops": [self._operation(run_id, *one) for one in told["ops"]]}
        return told

    def _operation(self, run_id: str, word: str, *parts: str) -> list[str]:
        if word != "set":
            return [word, *parts]
        entry, text = parts
        return [word, entry, self.document(run_id, text.encode()).decode()]

    def _reason(self, run_id: str, envelope: str) -> str:
        try:
            return self._opened(run_id, envelope, "a reason", "reason").decode()
        except SealedValueError:
            return ""
        except TamperedValueError as error:
            raise CorruptRunError(run_id, str(error)) from error

    def _initial(self, run_id: str, text: bytes) -> bytes:
        parts = json.loads(text)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        opened: list[str] = []
        for key, one in pairs:
            opened += [key, Opener(self, run_id, key).value(one.encode()).decode()]
        return compact(opened).encode()

    def _opened(self, run_id: str, envelope: str, what: str, kind: str, *names: str) -> bytes:
        if self._cipher is None:
            raise SealedValueError(key_of(envelope) or "?")
        try:
            return self._cipher.open(envelope, self._bound(run_id, kind, *names))
        except UnknownKeyIdError as error:
            raise SealedValueError(error.key_id) from None
        except NotOpenedError:
            raise TamperedValueError(run_id, what) from None

    def _seal(self, cipher: Cipher, run_id: str, data: bytes, kind: str, *names: str) -> str:
        return cipher.seal(data, self._bound(run_id, kind, *names))

    def _bound(self, *place: str) -> bytes:
        return compact([*_FORM, self._namespace, *place]).encode()


class Opener:
    """Opens what belongs to one key of the store of one run."""

    __slots__ = ("_key", "_run_id", "_vault")

    def __init__(self, vault: Vault, run_id: str, key: str) -> None:
        self._vault = vault
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
        return self._vault.whole(self._run_id, data, kind, self._key, *names, what=what)


def _refuse_secrets(arguments: Sequence[object]) -> None:
    for one in arguments:
        if isinstance(one, Mark) and one.has_secret():
            raise NotStorableError(
                "a SecretStr or SecretBytes is written encrypted or not at all; set "
                "GOSTAGE_ENCRYPTION_KEYS ('gostage keys new' makes one), or give the plain value "
                "if whoever can read the server may know it"
            )
