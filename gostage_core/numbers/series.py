"""Reads what the scripts count by workflow and action out of the fields of one hash."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from gostage_core.numbers.spans import Durations, together
from gostage_core.numbers.values import OTHER, OUTCOMES, ActionNumbers
from gostage_core.plan import Carrier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FIELD: Final = re.compile(r"(?P<kind>[a-z])(?P<span>\d*)(?P<series>\[.*)", re.DOTALL)
_ENDED: Final = "cfksm"
_JSON: Final = json.JSONDecoder()


class _Place(NamedTuple):
    """What is counted together: carriers differ in more, such as in their timeouts."""

    workflow: str
    action: str
    queue: str


def actions_of(fields: Mapping[str, int], default_queue: str) -> tuple[ActionNumbers, ...]:
    """Return what is counted of each action, in the order of the names.

    A field that cannot be read is left out: none of ours wrote it.
    """
    found: defaultdict[_Place, list[ActionNumbers]] = defaultdict(list)
    for series, counts in _by_series(fields).items():
        place = _place_of(series, default_queue)
        if place is not None:
            found[place].append(_numbers(place, counts))
    return tuple(_merged(place, found[place]) for place in sorted(found))


def _by_series(fields: Mapping[str, int]) -> dict[str, dict[tuple[str, str], int]]:
    series: defaultdict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for name, value in fields.items():
        if match := _FIELD.fullmatch(name):
            series[match["series"]][match["kind"], match["span"]] = value
    return series


def _place_of(series: str, default_queue: str) -> _Place | None:
    try:
        _, end = _JSON.raw_decode(series)
    except ValueError:
        return None
    carrier, workflow = Carrier.from_text(series[:end].encode()), series[end:]
    if not carrier.name:
        return None
    return _Place(workflow or OTHER, carrier.name, carrier.queue or default_queue)


def _numbers(place: _Place, counts: Mapping[tuple[str, str], int]) -> ActionNumbers:
    outcomes = {
        name: sum(many for (kind, _), many in counts.items() if kind == letter)
        for letter, name in OUTCOMES.items()
    }
    spans = {int(span): many for (kind, span), many in counts.items() if kind == "c" and span}
    ended = sum(outcomes[OUTCOMES[letter]] for letter in _ENDED)
    return ActionNumbers(
        *place,
        outcomes=outcomes,
        durations=Durations(spans, counts.get(("u", ""), 0) / 1000),
        planned=counts.get(("p", ""), 0) - ended,
        recovered=counts.get(("v", ""), 0),
    )


def _merged(place: _Place, parts: Iterable[ActionNumbers]) -> ActionNumbers:
    all_ = list(parts)
    return ActionNumbers(
        *place,
        outcomes={name: sum(part.outcomes[name] for part in all_) for name in OUTCOMES.values()},
        durations=together(part.durations for part in all_),
        planned=max(0, sum(part.planned for part in all_)),
        recovered=sum(part.recovered for part in all_),
    )
