"""Actions that do not end when they are asked to, and others that stand beside them."""

from __future__ import annotations

import ctypes
import os
import signal
import time

from gostage_core import ActionContext, action


def _tell(ctx: ActionContext) -> None:
    """Say in which process this is."""
    ctx.progress(0.5, str(os.getpid()))


@action
def hang(ctx: ActionContext) -> None:
    """Sleep on, whatever is asked."""
    _tell(ctx)
    time.sleep(600)


@action
def hang_with_the_lock(ctx: ActionContext) -> None:
    """Sleep on in C, and keep the interpreter's lock."""
    _tell(ctx)
    ctypes.PyDLL(None).sleep(600)


@action
def hang_deaf(ctx: ActionContext) -> None:
    """Sleep on, and hear no alarm."""
    _tell(ctx)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(600)


@action(isolation="process")
def hang_isolated(ctx: ActionContext) -> None:
    """Sleep on in a process of its own."""
    _tell(ctx)
    time.sleep(600)


@action
def hang_until_told(ctx: ActionContext) -> None:
    """Go on until it is told to stop, and end well then."""
    _tell(ctx)
    while not ctx.cancelled:
        time.sleep(0.02)
    ctx.store["told"] = True


@action(store_as="pid")
def quick(ctx: ActionContext) -> int:
    """Say in which process this was."""
    return os.getpid()


@action
def undo(ctx: ActionContext) -> None:
    """Note that something was undone."""
    ctx.store["undone"] = True
