"""AES-256-GCM, and the envelope that a sealed text is: ``~1.<id of the key>.<base64url>``.

In the last part are the nonce (96 bits, by chance), what is encrypted, and the tag (128 bits). All
of it is ASCII without quotes, and begins as no JSON does.
"""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import ConfigurationError

if TYPE_CHECKING:
    from gostage_core.sealing.keys import KeyRing

MARK: Final = "~"
"""What an envelope begins with."""

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ENVELOPE: Final = re.compile(r"~1\.([A-Za-z0-9_-]{1,40})\.([A-Za-z0-9_-]+)")


class UnknownKeyIdError(Exception):
    """An envelope names a key that is not there; never leaves the package."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


class NotOpenedError(Exception):
    """An envelope that its key does not open; never leaves the package."""


class Cipher:
    """Seals with the first key of a ring, and opens with any. Safe to share between threads."""

    def __init__(self, ring: KeyRing) -> None:
        """Take the keys of *ring*.

        Raises:
            ConfigurationError: the package cryptography is not installed.
        """
        self.first = ring.first
        """The id of the key that seals."""
        self._keys = {key_id: _aes(ring.get(key_id)) for key_id in ring.ids}

    def seal(self, data: bytes, bound: bytes) -> str:
        """Return *data* encrypted; it opens with the same *bound* alone."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._keys[self.first].encrypt(nonce, data, bound)
        return f"~1.{self.first}.{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"

    def open(self, envelope: str, bound: bytes) -> bytes:
        """Return what is in an *envelope*.

        Raises:
            UnknownKeyIdError: it is sealed with a key that is not there.
            NotOpenedError: it was changed, or was sealed with something else *bound* to it.
        """
        found = _ENVELOPE.fullmatch(envelope)
        if found is None:
            raise NotOpenedError
        key_id, encoded = found.groups()
        if key_id not in self._keys:
            raise UnknownKeyIdError(key_id)
        data = _bytes_of(encoded)
        try:
            opened: bytes = self._keys[key_id].decrypt(
                data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound
            )
        except (_invalid_tag(), ValueError):
            raise NotOpenedError from None
        return opened


def key_of(envelope: str) -> str | None:
    """Return the id of the key of an envelope; ``None`` for what is none."""
    found = _ENVELOPE.fullmatch(envelope)
    return None if found is None else found[1]


def _bytes_of(encoded: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        raise NotOpenedError from None
    # The last character has bits that mean nothing: another one there is a change as well.
    rest = data[len(data) - len(data) % 3 :]
    is_exact = encoded.endswith(base64.urlsafe_b64encode(rest).decode().rstrip("="))
    if len(data) < _NONCE_BYTES + _TAG_BYTES or not is_exact:
        raise NotOpenedError
    return data


def _aes(key: bytes | None) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigurationError(
            "GOSTAGE_ENCRYPTION_KEYS is set, and the package cryptography is not installed; "
            "pip install 'gostage[crypto]'"
        ) from None
    assert key is not None
    return AESGCM(key)


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag
