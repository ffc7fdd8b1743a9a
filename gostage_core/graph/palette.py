"""The colours of states, light enough for dark text on any page."""

from __future__ import annotations

from typing import Final, NamedTuple


class Colours(NamedTuple):
    """How a state is painted."""

    fill: str
    border: str
    text: str


_CALM = Colours("#f3eefe", "#8250df", "#3e1f79")
_ENDED_EARLY = Colours("#fff8c5", "#9a6700", "#4d2d00")

PALETTE: Final = {
    "pending": Colours("#f6f8fa", "#8c959f", "#24292f"),
    "running": Colours("#ddf4ff", "#0969da", "#0a3069"),
    "sleeping": _CALM,
    "waiting": _CALM,
    "paused": _ENDED_EARLY,
    "completed": Colours("#dafbe1", "#1a7f37", "#044f1e"),
    "failed": Colours("#ffebe9", "#cf222e", "#82071e"),
    "skipped": Colours("#eaeef2", "#afb8c1", "#6e7781"),
    "removed": Colours("#ffffff", "#d0d7de", "#8c959f"),
    "cancelled": _ENDED_EARLY,
    "bailed": _ENDED_EARLY,
}
"""By the word of a status."""

STRONG: Final = frozenset({"running", "failed"})
"""States whose border is broad."""
