"""What a run may keep, and for how long."""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """What a run may keep, and for how long it is kept itself."""

    retention_ms: int
    journal: int
    """Entries of its history."""
    store_bytes: int
    past_bytes: int
    """Of what was replaced in its store."""
    grace_ms: int
    """How long what runs may go on of a run that makes place for it."""
