"""Texts on their way to the server that know what of them is secret, and what it is bound to.

Whoever writes a payload marks it; the vault seals what is marked, where requests leave. Each is a
``str`` or ``bytes`` as ever where nothing is encrypted.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Seal = Callable[..., str]
    """Seals bytes, bound to what kind of thing they are and to its names."""

SPEC_FIELDS: Final = ("params", "item", "around", "compensate", "middleware")
"""What is sealed in the text of an action, of a stage, or of a hook."""

HIDDEN: Final = "~"
"""The field of a document that has what is sealed of it."""

PROPERTIES: Final = b',\n"properties":'
"""What stands before the properties of a key, once in its metadata."""

UNSHOWN: Final = '"$":"Secret'
"""What every value has in its text that is for nobody to see: SecretStr, SecretBytes."""

_COUNTED: Final = re.compile(rb"-?\d{1,19}")
_UNSHOWN: Final = UNSHOWN.encode()
_QUOTED: Final = UNSHOWN.replace('"', '\\"')


class Mark:
    """What all marked texts have in common."""

    __slots__ = ()

    def sealed(self, seal: Seal) -> object:
        """Return it as it goes to the server."""
        raise NotImplementedError

    def has_secret(self) -> bool:
        """Tell whether something of it may not be written as it is."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Value(Mark, bytes):
    """A value of the store under a key, as the codec writes it.

    An integer of 64 bits stays as it is, for the server counts with it; not where *is_secret*. That
    a list is one shows, as the server appends to it.
    """

    key: str
    is_secret: bool

    def __new__(cls, data: bytes, key: str, *, is_secret: bool = False) -> Value:
        """Mark *data*."""
        made = super().__new__(cls, data)
        made.key, made.is_secret = key, is_secret
        return made

    def sealed(self, seal: Seal) -> bytes:
        """Return it as it goes to the server."""
        data = bytes(self)
        if data[:1] == b"L":  # others append to it
            return b"L" + (Value(data[1:], self.key).sealed(seal) if data[1:] else b"")
        if not self.is_secret and _COUNTED.fullmatch(data):
            return data
        head = "[" if data[:1] == b"[" else ""
        return f"{head}{seal(data, 'value', self.key, head)}".encode()

    def has_secret(self) -> bool:
        """Tell whether something of it may not be written as it is."""
        return self.find(_UNSHOWN) >= 0


class Item(Mark, bytes):
    """What is appended to a list of the store: a place, a newline, a value."""

    key: str

    def __new__(cls, data: bytes, key: str) -> Item:
        """Mark *data*."""
        made = super().__new__(cls, data)
        made.key = key
        return made

    def sealed(self, seal: Seal) -> bytes:
        """Return it as it goes to the server."""
        place, newline, value = self.partition(b"\n")
        text = seal(bytes(value), "item", self.key, place.decode("utf-8", "surrogateescape"))
        return bytes(place) + bytes(newline) + text.encode()

    def has_secret(self) -> bool:
        """Tell whether something of it may not be written as it is."""
        return self.find(_UNSHOWN) >= 0


class Whole(Mark, bytes):
    """A text that is sealed as one: a result, a signal, a delivery, the properties of a key."""

    kind: str
    names: tuple[str, ...]
    is_json: bool

    def __new__(cls, data: bytes, kind: str, *names: str, is_json: bool = False) -> Whole:
        """Mark *data*; where it *is_json* it stays JSON: text, in an object with one field."""
        made = super().__new__(cls, data)
        made.kind, made.names, made.is_json = kind, names, is_json
        return made

    def sealed(self, seal: Seal) -> bytes:
        """Return it as it goes to the server; nothing stays nothing."""
        if not self:
            return b""
        text = seal(bytes(self), self.kind, *self.names)
        return f'{{"{HIDDEN}":"{text}"}}'.encode() if self.is_json else text.encode()

    def has_secret(self) -> bool:
        """Tell whether something of it may not be written as it is."""
        return self.find(_UNSHOWN) >= 0


class Labels(Mark, bytes):
    """The metadata of a key as the scripts write it: of it the properties are sealed."""

    key: str

    def __new__(cls, data: bytes, key: str) -> Labels:
        """Mark *data*."""
        made = super().__new__(cls, data)
        made.key = key
        return made

    def sealed(self, seal: Seal) -> bytes:
        """Return it as it goes to the server; nothing stays nothing."""
        head, between, tail = self.partition(PROPERTIES)
        if tail in (b"", b"{}}"):
            return bytes(self)
        properties = Whole(tail[:-1], "properties", self.key, is_json=True)
        return bytes(head) + bytes(between) + properties.sealed(seal) + b"}"

    def has_secret(self) -> bool:
        """Tell whether something of it may not be written as it is."""
        return False


class Document(Mark, str):
    """A JSON object some of whose fields are sealed, bound to all of its others."""

    __slots__ = ("fields", "stay")

    fields: Sequence[str]
    stay: bool

    def __new__(cls, text: str, fields: Sequence[str], *, stay: bool = False) -> Document:
        """Mark *text*; where its fields *stay* they do so empty, for the server looks at them."""
        made = super().__new__(cls, text)
        made.fields, made.stay = fields, stay
        return made

    def sealed(self, seal: Seal) -> str:
        """Return it as it goes to the server; nothing stays nothing."""
        if not self:
            return ""
        data: dict[str, Any] = json.loads(str(self))
        hidden = {name: data[name] for name in self.fields if name in data}
        if not any(hidden.values()):
            return str(self)
        for name in hidden:
            if self.stay:
                data[name] = ""
            else:
                del data[name]
        data[HIDDEN] = seal(compact(hidden).encode(), "document", canonical(data))
        return compact(data)

    def has_secret(self) -> bool:
        """Tell whether something of it may not be written as it is."""
        return UNSHOWN in self or _QUOTED in self


class Undo(Mark, str):
    """How an action is undone: a JSON array that begins with the text of an entry of a plan."""

    __slots__ = ()

    def sealed(self, seal: Seal) -> str:
        """Return it as it goes to the server; nothing stays nothing."""
        if not self:
            return ""
        spec, *others = json.loads(str(self))
        return compact([Document(spec, SPEC_FIELDS).sealed(seal), *others])

    def has_secret(self) -> bool:
        """Tell whether something of it may not be written as it is."""
        return _QUOTED in self


class Initial(Mark, str):
    """First values of a stage: a JSON array of keys, each with the text of a value behind it."""

    __slots__ = ()

    def sealed(self, seal: Seal) -> str:
        """Return it as it goes to the server; nothing stays nothing."""
        parts = json.loads(str(self)) if self else []
        pairs = zip(parts[::2], parts[1::2], strict=True)
        values = [(key, Value(text.encode(), key).sealed(seal).decode()) for key, text in pairs]
        return compact([part for pair in values for part in pair]) if values else ""

    def has_secret(self) -> bool:
        """Tell whether something of it may not be written as it is."""
        return _QUOTED in self


def compact(value: object) -> str:
    """Return *value* as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def canonical(data: dict[str, Any]) -> str:
    """Return an object as the same JSON for all that are equal, without what is sealed of it."""
    clear = {name: value for name, value in data.items() if name != HIDDEN}
    return json.dumps(clear, separators=(",", ":"), sort_keys=True)
