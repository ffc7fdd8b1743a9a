"""Checks that a Redis server can keep the promises that are asked of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from gostage_core.errors import ServerUnfitError
from gostage_core.state.client import our_errors

if TYPE_CHECKING:
    from gostage_core.state.operations import State

logger: Final = logging.getLogger(__name__)

OLDEST: Final = (6, 2)
"""Below it Redis lacks commands that kombu's transport and our operations use."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the server."""

    level: Literal["ok", "warning", "refused"]
    setting: str
    message: str


def inspect_server(state: State) -> list[Finding]:
    """Return what is to be said of the server.

    Raises:
        StoreUnavailableError: it does not answer, or refuses us.
    """
    with our_errors(url=state.settings.redis_url):
        info = state.client.info()
    strict = state.settings.durability == "strict"
    asked = state.settings.durability != "none"
    return [
        _version(info),
        _role(info),
        _eviction(info),
        _persistence(info, asked=asked, strict=strict),
    ]


def check_server(state: State) -> None:
    """Refuse a server that is not fit, and warn of what weakens a promise.

    Raises:
        ServerUnfitError: the message names the server's settings.
        StoreUnavailableError: it does not answer, or refuses us.
    """
    findings = inspect_server(state)
    for finding in findings:
        if finding.level == "warning":
            logger.warning("%s: %s", finding.setting, finding.message)
    refused = [f"{f.setting}: {f.message}" for f in findings if f.level == "refused"]
    if refused:
        raise ServerUnfitError("; ".join(refused))


def _version(info: dict[str, Any]) -> Finding:
    name = "valkey_version" if "valkey_version" in info else "redis_version"
    text = str(info.get("redis_version", "0"))
    version = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    shown = f"{name.removesuffix('_version')} {info.get(name, text)}"
    if version < OLDEST:
        return Finding("refused", "version", f"{shown} is too old; 6.2 or later is needed")
    return Finding("ok", "version", shown)


def _role(info: dict[str, Any]) -> Finding:
    if info.get("role") == "master":
        return Finding("ok", "role", "primary")
    return Finding("refused", "role", "this is a replica, which takes no writes; name the primary")


def _eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return Finding("ok", "maxmemory-policy", policy)
    message = f"{policy} lets the server throw runs away when it is full; set it to noeviction"
    limited = int(info.get("maxmemory", 0)) > 0
    return Finding("refused" if limited else "warning", "maxmemory-policy", message)


def _persistence(info: dict[str, Any], *, asked: bool, strict: bool) -> Finding:
    if int(info.get("aof_enabled", 0)):
        return Finding("ok", "appendonly", "yes")
    if not asked:
        return Finding("ok", "appendonly", "no, and GOSTAGE_DURABILITY is none")
    message = "no: runs are lost when the server restarts; set appendonly yes"
    return Finding("refused" if strict else "warning", "appendonly", message)
