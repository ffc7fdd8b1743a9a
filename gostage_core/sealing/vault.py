"""The one place where texts are sealed on their way to the server, and opened on their way back."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import (
    CorruptRunError,
    NotStorableError,
    SealedValueError,
    TamperedValueError,
)
from gostage_core.sealing.box import Box, Opener
from gostage_core.sealing.cipher import MARK, Cipher, key_of
from gostage_core.sealing.keys import read_ring
from gostage_core.sealing.marks import HIDDEN, Mark, compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gostage_core.settings import Settings

_DOCUMENTS: Final = frozenset("seph")
"""Fields of a plan that are documents, by their letter."""


class Vault(Box):
    """What of a run is sealed, and how it is opened; without keys nothing is changed."""

    def __init__(
        self, namespace: str, cipher: Cipher | None = None, *, keeps: bool = False
    ) -> None:
        """Use *cipher*; without one, secrets are refused, unless it *keeps* them as they are."""
        super().__init__(namespace, cipher)
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

    def sealed(self, run_id: str, arguments: Sequence[object]) -> Sequence[object]:
        """Return the arguments of a script with what is marked in them sealed for a run.

        Raises:
            NotStorableError: there is a secret among them, and there are no keys.
        """
        if self._cipher is None:
            if not self._keeps:
                _refuse_secrets(arguments)
            return arguments
        seal = partial(self.seal, run_id)
        return [one.sealed(seal) if isinstance(one, Mark) else one for one in arguments]

    def opener(self, run_id: str, key: str) -> Opener | None:
        """Return what opens the values of one key; ``None`` where nothing is sealed."""
        return None if self._cipher is None else Opener(self, run_id, key)

    def payload(self, run_id: str, payload: Any, *names: str) -> Any:
        """Return the payload of a message; as it is where it cannot be opened here.

        Raises:
            CorruptRunError: it was changed, or is not where it was written.
        """
        envelope = payload.get(HIDDEN) if isinstance(payload, dict) and len(payload) == 1 else None
        if not isinstance(envelope, str) or key_of(envelope) is None:
            return payload
        try:
            return json.loads(self.opened(run_id, envelope, "a message", "message", *names))
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
            name: self.document(run_id, text, must=must) if name[:1] in _DOCUMENTS else text
            for name, text in fields.items()
        }

    def whole_field(self, run_id: str, name: str, text: bytes) -> bytes:
        """Return a field of a plan, *name*, with all that is sealed of it opened.

        Raises:
            SealedValueError: its key is not among those of this process.
            CorruptRunError: it was changed, or is not where it was written.
            TamperedValueError: likewise, of a value.
        """
        letter, entry = name[:1], name[1:]
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
        if isinstance(told.get("ops"), list):
            told = {**told, "ops": [self._operation(run_id, one) for one in told["ops"]]}
        return told

    def _operation(self, run_id: str, operation: Any) -> Any:
        match operation:
            case ["set", entry, str(text)]:
                old = text.encode("utf-8", "surrogatepass")
                return ["set", entry, self.document(run_id, old).decode("utf-8", "surrogatepass")]
        return operation

    def _reason(self, run_id: str, envelope: str) -> str:
        try:
            return self.opened(run_id, envelope, "a reason", "reason").decode()
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


def _refuse_secrets(arguments: Sequence[object]) -> None:
    for one in arguments:
        if isinstance(one, Mark) and one.has_secret():
            raise NotStorableError(
                "a SecretStr or SecretBytes is written encrypted or not at all; set "
                "GOSTAGE_ENCRYPTION_KEYS ('gostage keys new' makes one), or give the plain value "
                "if whoever can read the server may know it"
            )
