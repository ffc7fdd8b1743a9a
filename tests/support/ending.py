"""Actions that are at work when their worker is asked to stop."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from gostage_core import ActionContext, action


@action
def hold(ctx: ActionContext, until: str) -> None:
    """Hold the worker until there is a file."""
    ctx.progress(0.1, "begun")
    while not Path(until).exists():
        time.sleep(0.02)
    ctx.store.append("held", ctx.attempt)


@action
async def hold_coroutine(ctx: ActionContext, until: str) -> None:
    """Hold the worker on its event loop."""
    ctx.progress(0.1, "begun")
    await _appears(until)
    ctx.store.append("held", ctx.attempt)


@action
async def hold_in_a_group(ctx: ActionContext, until: str) -> None:
    """Hold the worker in a group of coroutines."""
    ctx.progress(0.1, "begun")
    async with asyncio.TaskGroup() as group:
        group.create_task(_appears(until))
        group.create_task(_appears(until))
    ctx.store.append("held", ctx.attempt)


@action
def after(ctx: ActionContext) -> None:
    """Say that it ran."""
    ctx.store["after"] = ctx.attempt


async def _appears(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.02)  # at work in the loop itself, where the signal finds it
        await asyncio.sleep(0)
