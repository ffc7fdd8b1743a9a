"""Numbers as the server reads and writes them."""

from __future__ import annotations

import math
import re
from typing import Final

from gostage_core.testing.memory.replies import CommandError

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_FLOAT: Final = re.compile(
    rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE
)
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
_WHOLE: Final = 2**62
"""Whole numbers up to here are written without an exponent."""

NO_INTEGER: Final = "ERR value is not an integer or out of range"
NO_FLOAT: Final = "ERR value is not a valid float"


def integer(text: bytes, refusal: str = NO_INTEGER) -> int:
    """Return the integer of 64 bits that *text* is.

    Raises:
        CommandError: it is none, or has a sign, zeros or spaces too many.
    """
    if _INTEGER.fullmatch(text):
        value = int(text)
        if _LEAST <= value <= _MOST:
            return value
    raise CommandError(refusal)


def real(text: bytes, refusal: str = NO_FLOAT) -> float:
    """Return the number that *text* is; it may be infinite.

    Raises:
        CommandError: it is none.
    """
    if text.isdigit() or _FLOAT.fullmatch(text):
        return float(text)
    raise CommandError(refusal)


def sum_of(value: int, by: int) -> int:
    """Add within 64 bits.

    Raises:
        CommandError: the sum does not fit.
    """
    total = value + by
    if _LEAST <= total <= _MOST:
        return total
    raise CommandError("ERR increment or decrement would overflow")


def number_text(value: float) -> bytes:
    """Return *value* as scores and arguments of scripts are written: the shortest exact form.

    The server's own routine is a little less exact: now and then it writes a digit more of a
    fraction, or of a number beyond 64 bits.
    """
    if type(value) is int and -_WHOLE <= value <= _WHOLE:
        return b"%d" % value
    if not math.isfinite(value):
        sign = "-" if math.copysign(1.0, value) < 0 else ""
        return f"{sign}{'nan' if math.isnan(value) else 'inf'}".encode()
    value = float(value)
    if value.is_integer() and -_WHOLE <= value <= _WHOLE:
        return b"%d" % int(value)
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    power = int(exponent or 0) - len(fraction)
    shown = digits.rstrip("0")
    text = _laid_out(shown, power + len(digits) - len(shown))
    return (f"-{text}" if value < 0 else text).encode()


def _laid_out(digits: str, power: int) -> str:
    """Write digits times ten to *power* where the server's own routine puts point and exponent."""
    count = len(digits)
    exponent = power + count - 1
    if power >= 0 and exponent < count + 7:
        return digits + "0" * power
    if power < 0 and (power > -7 or abs(exponent) < 4):
        point = count + power
        if point <= 0:
            return "0." + "0" * -point + digits
        return f"{digits[:point]}.{digits[point:]}"
    head = digits[0] + ("." + digits[1:] if count > 1 else "")
    return f"{head}e{'-' if exponent < 0 else '+'}{abs(exponent)}"
