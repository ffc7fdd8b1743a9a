"""What signals bring: as it is sent, kept, and read by who waits for it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from gostage_core.errors import CorruptValueError, StoreTypeError, ValueTooLargeError
from gostage_core.values.adapters import adapter, reason_of
from gostage_core.values.codec import decode_as, encode
from gostage_core.values.types import class_named, registration_of

_CAME: Final = b"v"
_NONE_CAME: Final = b"t"
"""What begins the answer to a wait."""
_TAGGED: Final = b'"$"'
"""What is in all that JSON has no form of its own for."""

_PLAIN: Final[dict[str, type]] = {
    cls.__name__: cls
    for cls in (
        *(bool, int, float, str, bytes, list, dict, tuple, set),
        *(Decimal, UUID, datetime, date, timedelta),
    )
}


def encoded_payload(name: str, payload: object, limit: int) -> bytes:
    """Return what a signal brings as it is kept.

    Raises:
        NotStorableError: the store could not hold it.
        ValueTooLargeError: it is more than *limit* bytes.
    """
    data = encode(payload)
    if len(data) > limit:
        raise ValueTooLargeError(f"signal {name!r}", len(data), limit, "GOSTAGE_MAX_MESSAGE_BYTES")
    return data


def read_payload(answer: bytes, type_: Any, name: str) -> Any:
    """Return what a signal brought, validated as *type_*.

    Raises:
        TimeoutError: none came in time.
        StoreTypeError: it is of another type.
        CorruptValueError: it cannot be read.
    """
    mark, data = answer[:1], answer[1:]
    if mark == _NONE_CAME:
        raise TimeoutError
    if mark != _CAME:
        raise CorruptValueError(f"the answer to a wait for signal {name!r} is none of ours")
    return payload_as(data, type_, name)


def payload_as(data: bytes, type_: Any, name: str) -> Any:
    """Return what a signal brings, as *type_*; plain JSON is good for what JSON writes so.

    Raises:
        StoreTypeError: it is of another type.
    """
    key = f"signal {name}"
    try:
        return decode_as(data, type_, key)
    except StoreTypeError as misfit:
        if _TAGGED in data:
            raise
        try:
            return adapter(type_).validate_json(data, strict=True)
        except Exception as error:  # validators may be the user's
            raise StoreTypeError(key, misfit.expected, misfit.found, reason_of(error)) from error


def check_expected(expected: str, data: bytes, name: str) -> None:
    """Check what a signal brings against the type that is *expected*, where that is known here.

    Raises:
        StoreTypeError: it is of another type.
    """
    type_ = expected_type(expected)
    if type_ is not Any:
        payload_as(data, type_, name)


def expected_name(type_: Any) -> str:
    """Return the name of what a signal is to bring, empty where it may be anything."""
    if not isinstance(type_, type):
        return ""
    registration = registration_of(type_)
    if registration is not None:
        return registration.name
    return type_.__name__ if _PLAIN.get(type_.__name__) is type_ else ""


def expected_type(name: str) -> Any:
    """Return what a name of :func:`expected_name` stands for in this process; else ``Any``."""
    return class_named(name) or _PLAIN.get(name) or Any
