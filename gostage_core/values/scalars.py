"""Single values that JSON has no form for: each type's tag, its text, and the way back."""

from __future__ import annotations

import base64
import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import PosixPath, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import (
    AnyHttpUrl,
    AnyUrl,
    AnyWebsocketUrl,
    FileUrl,
    FtpUrl,
    HttpUrl,
    SecretBytes,
    SecretStr,
    WebsocketUrl,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Python refuses to turn more than 4300 digits into an int, a process may lower that to 640, and
# the way is quadratic: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
_PLAIN_BITS: Final = 2048
_PLAIN_LIMIT: Final = 1 << _PLAIN_BITS
_MICROSECOND: Final = timedelta(microseconds=1)

# JSON's escapes cannot tell two halves that stand side by side from the one character they mean.
_SPLIT_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")

# str() of these is exact, and the class reads it back.
_TEXTUAL: Final[tuple[type[Any], ...]] = (
    *(Decimal, UUID, PurePosixPath, PosixPath),
    *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
    *(AnyUrl, AnyHttpUrl, HttpUrl, AnyWebsocketUrl, WebsocketUrl, FileUrl, FtpUrl),
)


def is_plain_int(value: int) -> bool:
    """Whether *value* is short enough for decimal digits."""
    return -_PLAIN_LIMIT < value < _PLAIN_LIMIT


def is_plain_str(value: str) -> bool:
    """Whether JSON's escapes bring *value* back unchanged."""
    return value.isascii() or _SPLIT_PAIR.search(value) is None


def _tagged(tag: str, payload: object) -> dict[str, object]:
    return {"$": tag, "v": payload}


def _write_int(value: int) -> object:
    return value if is_plain_int(value) else _tagged("int", hex(value))


def _write_str(value: str) -> object:
    if is_plain_str(value):
        return value
    return _tagged("str", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode())


def _write_float(value: float) -> object:
    return value if value - value == 0 else _tagged("float", repr(value))


def _write_bytes(value: bytes) -> object:
    return _tagged("bytes", base64.b64encode(value).decode())


def _write_secret_text(value: SecretStr) -> object:
    text = value.get_secret_value()
    return _tagged("SecretStr", base64.b64encode(text.encode("utf-8", "surrogatepass")).decode())


def _write_secret_bytes(value: SecretBytes) -> object:
    return _tagged("SecretBytes", base64.b64encode(value.get_secret_value()).decode())


def _write_timedelta(value: timedelta) -> object:
    return _tagged("timedelta", [value.days, value.seconds, value.microseconds])


def _write_date(value: date) -> object:
    return _tagged("date", value.isoformat())


def _write_moment(value: datetime | time) -> object:
    """A zone is kept by name, with the wall clock; any other ``tzinfo`` as its offset."""
    tag = type(value).__name__
    zone = _zone_of(value)
    if zone is not None:
        return _tagged(tag, [value.replace(tzinfo=None).isoformat(), value.fold, zone])
    return _tagged(tag, [value.isoformat(), 1, None] if value.fold else value.isoformat())


def _zone_of(value: datetime | time) -> str | int | None:
    """Return what ISO 8601 cannot say of the zone: its name, or an offset in microseconds."""
    if value.tzinfo is None:
        return None
    if type(value.tzinfo) is ZoneInfo and value.tzinfo.key is not None:
        return value.tzinfo.key
    offset = value.utcoffset()
    if offset is None:
        raise ValueError("its tzinfo has no offset without a date")
    # fromisoformat() reads an offset below one second as UTC, at least in CPython 3.11.
    return offset // _MICROSECOND if offset.microseconds else None


def _text_writer(tag: str) -> Callable[[object], object]:
    def write(value: object) -> object:
        text = str(value)
        if not is_plain_str(text):
            raise ValueError("its text has the halves of a surrogate pair side by side")
        return _tagged(tag, text)

    return write


def _text(payload: object) -> str:
    if type(payload) is not str:
        raise TypeError(f"text expected, not {type(payload).__name__}")
    return payload


def _read_str(payload: object) -> str:
    return base64.b64decode(_text(payload), validate=True).decode("utf-8", "surrogatepass")


def _read_timedelta(payload: object) -> timedelta:
    if not isinstance(payload, list) or [type(part) for part in payload] != [int] * 3:
        raise TypeError("three integers expected")
    days, seconds, microseconds = payload
    return timedelta(days, seconds, microseconds)


def _moment_reader(
    parse: Callable[[str], datetime] | Callable[[str], time],
) -> Callable[[object], object]:
    def read(payload: object) -> object:
        if not isinstance(payload, list):
            return parse(_text(payload))
        iso, fold, zone = payload
        moment = parse(_text(iso)).replace(fold=fold)
        if zone is None:
            return moment
        if type(zone) is int:
            return moment.replace(tzinfo=timezone(timedelta(microseconds=zone)))
        return moment.replace(tzinfo=ZoneInfo(_text(zone)))

    return read


def _text_reader(cls: Callable[[str], object]) -> Callable[[object], object]:
    return lambda payload: cls(_text(payload))


WRITERS: Final[dict[type, Callable[[Any], object]]] = {
    int: _write_int,
    str: _write_str,
    float: _write_float,
    bytes: _write_bytes,
    SecretStr: _write_secret_text,
    SecretBytes: _write_secret_bytes,
    timedelta: _write_timedelta,
    date: _write_date,
    datetime: _write_moment,
    time: _write_moment,
    **{cls: _text_writer(cls.__name__) for cls in _TEXTUAL},
}
"""How to write a value of exactly this type; raises if this value cannot be kept."""

READERS: Final[dict[str, Callable[[object], object]]] = {
    "int": lambda payload: int(_text(payload), 16),
    "str": _read_str,
    "float": lambda payload: float(_text(payload)),
    "bytes": lambda payload: base64.b64decode(_text(payload), validate=True),
    "SecretStr": lambda payload: SecretStr(_read_str(payload)),
    "SecretBytes": lambda payload: SecretBytes(base64.b64decode(_text(payload), validate=True)),
    "timedelta": _read_timedelta,
    "date": lambda payload: date.fromisoformat(_text(payload)),
    "datetime": _moment_reader(datetime.fromisoformat),
    "time": _moment_reader(time.fromisoformat),
    **{cls.__name__: _text_reader(cls) for cls in _TEXTUAL},
}
"""How to read what stands under a tag; raises if :data:`WRITERS` did not write it."""
