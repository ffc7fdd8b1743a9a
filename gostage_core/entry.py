"""One action of a plan, as the worker that claims it reads it out of its node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gostage_core.authoring.waits import NO_ITEM


@dataclass(frozen=True, slots=True)
class Entry:
    """What a node of a plan says of its action."""

    action: str
    params: dict[str, Any]
    name: str
    description: str
    tags: tuple[str, ...]
    retry: dict[str, Any] | None
    timeout: float | None
    deadline: float | None
    on_error: str
    store_as: str | None
    stage: str
    order: str
    is_last: bool
    within: str = ""
    """What it is nested in, between its stage and its name: ``pack-all[3]``."""
    depth: int = 0
    """How deep additions nest here: 0 for what was planned at first."""
    item: object = NO_ITEM
    """The item of a ``ForEach`` that it is for, as the codec writes it."""
    index: int | None = None
    collect: bool = False
    """Whether what it returns is kept for the entry that waits above it."""
    around: tuple[dict[str, Any], ...] = ()
    """The middleware around it, the outermost first."""
    limited: bool = False
    """Whether its workflow has guard rails of its own."""
    isolation: str | None = None
    memory_mb: int | None = None
    cpu_seconds: int | None = None
    compensate: dict[str, Any] | None = None
    """What undoes it, as a definition."""

    @property
    def path(self) -> str:
        """Where it stands: ``stage/name``, or with what it is nested in between."""
        return "/".join(part for part in (self.stage, self.within, self.name) if part)

    @classmethod
    def from_spec(cls, spec: bytes) -> Entry:
        """Read the text of a plan's node."""
        node = json.loads(spec)
        return cls(
            action=node["action"],
            params=node.get("params", {}),
            name=node["name"],
            description=node.get("description", ""),
            tags=tuple(node.get("tags", ())),
            retry=node.get("retry"),
            timeout=node.get("timeout"),
            deadline=node.get("deadline"),
            on_error=node.get("on_error", "fail"),
            store_as=node.get("store_as"),
            stage=node["stage"],
            order=node["order"],
            is_last=bool(node.get("last")),
            within=node.get("in", ""),
            depth=node.get("depth", 0),
            item=node.get("item", NO_ITEM),
            index=node.get("index"),
            collect=bool(node.get("collect")),
            around=tuple(node.get("around", ())),
            limited=bool(node.get("limited")),
            isolation=node.get("isolation"),
            memory_mb=node.get("memory_mb"),
            cpu_seconds=node.get("cpu_seconds"),
            compensate=node.get("compensate"),
        )
