"""The work of a storm: short actions that leave a trace, one of which adds another."""

from __future__ import annotations

import time

from gostage_core import ActionContext, action


@action
def work(ctx: ActionContext, adds: bool = False) -> None:
    """Take a little while; count, and say who."""
    ctx.store.increment("count")
    ctx.store.append("who", ctx.idempotency_key)
    if adds:
        ctx.add_action(work.s())
    time.sleep(0.02)
