"""``gostage doctor``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from rich.text import Text

from gostage_core.preflight import Finding, inspect_server
from gostage_core.settings import Settings
from gostage_core.state.client import redacted
from gostage_core.state.operations import State
from gostage_workers.app import create_app
from gostage_workers.cli.options import as_json, connection
from gostage_workers.cli.output import data, out

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLES = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "refused": ("✗", "red")}


@click.command()
@connection
@as_json
def doctor(url: str | None, broker: str | None, namespace: str | None, json_: bool) -> None:
    """Check that the server can keep the promises, and that workers are there."""
    settings = Settings.from_env(
        os.environ, redis_url=url, broker_url=broker, namespace=namespace
    )
    state = State(settings)
    findings = [*inspect_server(state), *_workers(settings)]
    if json_:
        data({"url": redacted(settings.redis_url), "findings": findings})
    else:
        _show(settings, findings)
    if any(finding.level == "refused" for finding in findings):
        raise click.exceptions.Exit(1)


def _workers(settings: Settings) -> list[Finding]:
    """Ask the workers on the broker who they are."""
    app = create_app(settings=settings.model_copy(update={"modules": ()}))
    names = sorted(name for reply in app.control.ping(timeout=1.0) or () for name in reply)
    if not names:
        return [Finding("warning", "workers", "none answers; start one with: gostage worker MODULE")]
    return [Finding("ok", "workers", f"{len(names)}: {', '.join(names)}")]


def _show(settings: Settings, findings: Iterable[Finding]) -> None:
    out.print(Text(f"{redacted(settings.redis_url)}, namespace {settings.namespace}", "bold"))
    for finding in findings:
        mark, style = _STYLES[finding.level]
        out.print(Text(f"{mark} ", style).append(finding.setting, "bold").append(f"  {finding.message}"))
