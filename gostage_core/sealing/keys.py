"""Keys by their ids: from a setting or a file, the first one for what is written from now on."""

from __future__ import annotations

import base64
import re
import secrets
from typing import TYPE_CHECKING, Final

from gostage_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from pydantic import SecretStr

KEY_BYTES: Final = 32
"""Of AES-256, and of HMAC with SHA-256."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_BETWEEN: Final = re.compile(r"[,\s]+")
_ADVICE: Final = "make one with 'gostage keys new'"


class KeyRing:
    """Keys by their ids. No key shows in its ``repr``, nor in any error."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take *keys*; the first one is for what is written."""
        self._keys = dict(keys)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the one for writing first."""
        return tuple(self._keys)

    @property
    def first(self) -> str:
        """The id of the key for what is written."""
        return next(iter(self._keys))

    def get(self, key_id: str) -> bytes | None:
        """Return a key, if there is one of this id."""
        return self._keys.get(key_id)


def read_ring(setting: str, text: SecretStr | None, file: Path | None) -> KeyRing | None:
    """Return the keys of a *setting* or of its file; ``None`` where neither is given.

    Raises:
        ConfigurationError: both are given, the file cannot be read, or there is no key in it that
            is one; names the key's id, never the key.
    """
    if text is not None and file is not None:
        raise ConfigurationError(f"{setting} and {setting}_FILE are both set; keep one of them")
    if text is not None:
        return parse_ring(setting, text.get_secret_value())
    if file is None:
        return None
    try:
        return parse_ring(f"{setting}_FILE", file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{setting}_FILE={str(file)!r} cannot be read: {type(error).__name__}"
        ) from None


def parse_ring(setting: str, text: str) -> KeyRing:
    """Return the keys of ``id:base64``, one after another with commas or ends of lines between.

    Raises:
        ConfigurationError: one is none; names its id, never the key.
    """
    keys: dict[str, bytes] = {}
    for number, part in enumerate(filter(None, _BETWEEN.split(text)), start=1):
        key_id, colon, encoded = part.partition(":")
        if not colon or not _ID.fullmatch(key_id):
            raise ConfigurationError(
                f"{setting}: key {number} is not id:base64, with an id of 1 to 40 of "
                f"A-Z a-z 0-9 _ -; {_ADVICE}"
            )
        if key_id in keys:
            raise ConfigurationError(f"{setting}: two keys have the id {key_id!r}")
        keys[key_id] = _key(setting, key_id, encoded)
    if not keys:
        raise ConfigurationError(f"{setting} has no key in it; {_ADVICE}")
    return KeyRing(keys)


def new_key(key_id: str) -> str:
    """Return a key that nobody has had before, as the settings take it.

    Raises:
        ConfigurationError: no key can have this id.
    """
    if not _ID.fullmatch(key_id):
        raise ConfigurationError(f"an id of a key is 1 to 40 of A-Z a-z 0-9 _ -, not {key_id!r}")
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def new_id(today: date) -> str:
    """Return an id for a key that is made *today*."""
    return f"{today:%Y-%m-%d}-{secrets.token_hex(2)}"


def _key(setting: str, key_id: str, encoded: str) -> bytes:
    try:
        plain = encoded.replace("-", "+").replace("_", "/")
        key = base64.b64decode(plain, validate=True)
    except ValueError:
        raise ConfigurationError(f"{setting}: key {key_id!r} is not base64; {_ADVICE}") from None
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{setting}: key {key_id!r} is {len(key)} bytes long, and {KEY_BYTES} are wanted; "
            f"{_ADVICE}"
        )
    return key
