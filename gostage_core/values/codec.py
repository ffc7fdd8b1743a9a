"""The codec of the store: values to bytes and back, as ASCII JSON.

What JSON has is plain JSON; a whole number at the top is its decimal digits, so that the server can
count with it. Anything else is an object with a tag under ``"$"``:

=====================================  =============================================================
``{"$": "datetime", "v": "2024-…"}``   a single value: bytes, dates and times, Decimal, UUID, paths,
                                       addresses, URLs; a float that is not finite, an int of more
                                       than 2048 bits, text that JSON's escapes would change;
                                       SecretStr and SecretBytes
``{"$": "tuple", "v": […]}``           tuple, set, frozenset; and dict, as pairs, if a key is not
                                       text, or is ``"$"``
``{"$": "model", "t": name, "v": …}``  an instance of a registered class: ``model``, ``data`` and
                                       ``named`` have their fields by name, ``enum`` its member
=====================================  =============================================================

What begins with ``~`` or ``[~`` is none of these: it is encrypted, and opened before it comes here.

Nothing is ever imported because of what is stored: a name is looked up among registered classes.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import Any, Final, TypeVar, overload

from gostage_core.errors import CorruptValueError, SealedValueError, StoreError, StoreTypeError
from gostage_core.values.adapters import adapter, reason_of
from gostage_core.values.annotations import alternatives, class_of, is_subclass, is_typed_dict
from gostage_core.values.packing import is_plain, to_tree
from gostage_core.values.records import MisfitError, kind_of
from gostage_core.values.refusals import no_stack_left
from gostage_core.values.scalars import WRITERS
from gostage_core.values.types import class_named, label
from gostage_core.values.unpacking import from_tree, unpack

__all__ = ["decode", "decode_as", "encode", "from_tree", "matches_type", "to_tree", "type_of"]

T = TypeVar("T")

# The depth of so few brackets needs no look: it cannot pass what the codec allows.
_FEW_BRACKETS: Final = 100

_HEAD: Final = re.compile(rb'\{"\$":"(?P<tag>\w+)"(?:,"t":(?P<name>"(?:[^"\\]|\\.)*"))?')
_SEALED: Final = re.compile(rb"\[?~1\.(?P<key_id>[\w-]{1,40})\.")
_FIRST: Final = dict.fromkeys("-0123456789", "int") | {
    '"': "str",
    "[": "list",
    "{": "dict",
    "t": "bool",
    "f": "bool",
    "n": "None",
}
_TYPES: Final[dict[str, type]] = {
    **{cls.__name__: cls for cls in (*WRITERS, bool, list, dict, tuple, set, frozenset)},
    "None": type(None),
}


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_dumps: Final = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, check_circular=False, separators=(",", ":")
).encode
_decoder: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def encode(value: object) -> bytes:
    """Return *value* as ASCII JSON. No process's own order of sets shows in it.

    Raises:
        NotStorableError: no type of the store holds it; names the place inside the value.
        DefinitionError: the default name of a class that was not registered belongs to another.
    """
    if is_plain(value):
        if type(value) is int:
            return b"%d" % value
        text = _plain_text(value)
        if text is not None:
            return text.encode("ascii")
    try:
        return _dumps(to_tree(value)).encode("ascii")
    except RecursionError:
        raise no_stack_left() from None


def decode(data: bytes) -> object:
    """Return the value that *data* holds, a fresh copy each time.

    Raises:
        CorruptValueError: not what :func:`encode` writes, or an object that its class refuses.
        UnknownTypeError: an object of a class that is not registered in this process.
    """
    tree, is_value = _parsed(data)
    return tree if is_value else from_tree(tree)


@overload
def decode_as(data: bytes, type_: type[T], key: str) -> T: ...
@overload
def decode_as(data: bytes, type_: object, key: str) -> Any: ...
def decode_as(data: bytes, type_: object, key: str) -> Any:
    """Return the value that *data* holds, as the type that is asked for, strictly validated.

    Objects are read as the classes in the type even if they are stored under another name. A whole
    number is good for a float. ``object`` and ``Any`` take every value, as :func:`decode` does.

    Args:
        data: what :func:`encode` returned.
        type_: any type form that pydantic can validate.
        key: what the value is called in an error.

    Raises:
        StoreTypeError: the value is not of this type.
        CorruptValueError: as :func:`decode`.
        UnknownTypeError: an unknown class where the type allows anything.
        DefinitionError: pydantic cannot validate this type.
    """
    if type_ is Any or type_ is object:
        return decode(data)
    value = _hinted(data, type_, key)
    if type(value) is type_ and not isinstance(value, tuple):
        return value
    validator = adapter(type_)
    try:
        return validator.validate_python(value, strict=True)
    except Exception as error:  # an Annotated may bring validators of the user's
        raise _mismatch(data, type_, key, reason_of(error)) from error


def type_of(data: bytes) -> str:
    """Return a short name of the stored type, without rebuilding the value.

    It is Python's name of the type, or the stored name of a class: ``"shop:Order"``.

    Raises:
        CorruptValueError: not the beginning of what :func:`encode` writes.
    """
    head = _HEAD.match(data)
    if head is not None:
        return str(_parsed(head["name"])[0]) if head["name"] else head["tag"].decode()
    refuse_sealed(data)
    first = _FIRST.get(chr(data[0])) if data else None
    if first is None:
        raise _corrupt("it does not begin like a stored value")
    is_float = first == "int" and not data.removeprefix(b"-").isdigit()
    return "float" if is_float else first


def refuse_sealed(*texts: bytes) -> None:
    """Refuse what is still encrypted.

    Raises:
        SealedValueError: one of *texts* is, for this process has no key for it.
    """
    for text in texts:
        if found := _SEALED.match(text):
            raise SealedValueError(found["key_id"].decode())


def matches_type(data: bytes, type_: object) -> bool:
    """Whether a query for values of *type_* finds this one.

    A bool is no int here, an int no float and a datetime no date. What a type says of its members
    (``list[int]``) counts too. Damaged values match nothing.

    Raises:
        DefinitionError: pydantic cannot validate this type.
    """
    if type_ is Any or type_ is object:
        return True
    try:
        found = type_of(data)
        if not any(hint is Any or _is_class(found, hint) for hint in alternatives(type_)):
            return False
        if not isinstance(type_, type) or is_typed_dict(type_):
            decode_as(data, type_, "")
    except StoreError:
        return False
    return True


def _is_class(found: str, hint: object) -> bool:
    cls = dict if is_typed_dict(hint) else class_of(hint)
    if cls is None:
        return False
    plain = _TYPES.get(found)
    if plain is not None:
        is_other = (plain is bool and cls is int) or (plain is datetime and cls is date)
        return is_subclass(plain, cls) and not is_other
    known = class_named(found)
    if known is not None and is_subclass(known, cls):
        return cls.__module__ != "builtins"
    return kind_of(cls) is not None and cls.__qualname__ == found.rpartition(":")[2]


def _plain_text(value: object) -> str | None:
    """Return JSON's own form, or ``None`` for what needs a closer look."""
    try:
        text = _dumps(value)
    except (ValueError, RecursionError):
        return None  # a float that is not finite
    # Halves of surrogate pairs are rare, and not told from whole ones here.
    return None if "\\ud" in text else text


def _hinted(data: bytes, type_: object, key: str) -> object:
    tree, is_value = _parsed(data)
    if is_value:
        return tree
    try:
        return unpack(tree, alternatives(type_))
    except MisfitError as misfit:
        raise _mismatch(data, type_, key, misfit.reason) from misfit


def _parsed(data: bytes) -> tuple[object, bool]:
    """Return the JSON of *data*, and whether it is the value already."""
    try:
        text = data.decode("ascii")
        tree, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        refuse_sealed(data)
        raise _corrupt(reason_of(error)) from error
    if end != len(text):
        raise _corrupt("more follows after its end")
    is_value = '"$"' not in text and text.count("[") + text.count("{") <= _FEW_BRACKETS
    return tree, is_value


def _mismatch(data: bytes, type_: object, key: str, detail: str) -> StoreTypeError:
    return StoreTypeError(key, label(type_), type_of(data), detail)


def _corrupt(reason: str) -> CorruptValueError:
    return CorruptValueError(f"not a stored value: {reason}")
