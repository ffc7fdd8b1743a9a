"""Durations as users write them: seconds, ``timedelta``, or ``"90s" "5m" "2h" "2d" "1w"``."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator

Duration = float | int | str | timedelta

LONGEST_SECONDS: Final = 366 * 86_400.0
"""No duration of ours may be longer: beyond it is a mistake, and timers stay exact integers."""

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_TEXT: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d|w)\s*")


def seconds(value: Duration) -> float:
    """Return *value* in seconds.

    Raises:
        ValueError: not a duration, negative, not finite, or longer than a year.
    """
    if isinstance(value, bool):
        raise ValueError(f"not a duration: {value!r}")
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, int | float):
        number = float(value)
    elif isinstance(value, str):
        number = _from_text(value)
    else:
        raise ValueError(f"not a duration: {value!r}; use seconds, a timedelta, or text like '5m'")
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"a duration must be finite and not negative, not {value!r}")
    if number > LONGEST_SECONDS:
        raise ValueError(f"a duration may be at most 366 days, not {value!r}")
    return number


def _from_text(text: str) -> float:
    parts = list(_TEXT.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise ValueError(f"not a duration: {text!r}; write it like '90s', '5m', '2h', '1d' or '1w'")
    return sum(float(part["number"]) * _UNITS[part["unit"]] for part in parts)


Seconds = Annotated[float, BeforeValidator(seconds)]
"""A pydantic field that takes any :data:`Duration` and holds seconds."""
