"""Actions for workers under every pool."""

from __future__ import annotations

import asyncio
import os
import time

from gostage_core import ActionContext, action


@action(store_as="answer")
async def later(ctx: ActionContext) -> int:
    """Answer on an event loop."""
    await asyncio.sleep(0.01)
    return 42


@action
def which(ctx: ActionContext) -> None:
    """Say in which process this runs."""
    ctx.store["pid"] = os.getpid()


@action
def announce_and_take_a_while(ctx: ActionContext, seconds: float) -> None:
    """Say that it has begun, take a while, and say that it has ended."""
    ctx.progress(0.1, "begun")
    time.sleep(seconds)
    ctx.store["attempt"] = ctx.attempt


@action(timeout=0.5)
def patient(ctx: ActionContext) -> None:
    """Go on until it is told to stop."""
    while not ctx.cancelled:
        time.sleep(0.02)
    ctx.store["told"] = True


@action(timeout=0.5)
async def patient_coroutine(ctx: ActionContext) -> None:
    """Wait for far too long."""
    await asyncio.sleep(600)
