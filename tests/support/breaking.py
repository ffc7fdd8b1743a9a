"""Actions that break the process that they run in, and others that stand beside them."""

from __future__ import annotations

import collections
import ctypes
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gostage_core import ActionContext, ActionFunction, Retry, Stage, action
from gostage_workers import resource

if TYPE_CHECKING:
    from collections.abc import Iterator


@resource("notebook")
def notebook() -> Iterator[Path]:
    """Something to write to, closed at the end of its process."""
    path = Path(os.environ["NOTEBOOK"])
    yield path
    with path.open("a") as book:
        book.write(f"closed by {os.getpid()}\n")


@action(isolation="process")
def segfault(ctx: ActionContext) -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


@action(isolation="process")
def leave(ctx: ActionContext, status: int) -> None:
    """End the process at once."""
    ctx.store["lost"] = True
    os._exit(status)


@action(isolation="process")
def kill_oneself(ctx: ActionContext) -> None:
    """End as the kernel ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


@action(isolation="process", memory_mb=96)
def hoard(ctx: ActionContext) -> None:
    """Ask Python for more memory than there is."""
    kept = [bytearray(4 * 1024 * 1024) for _ in itertools.count()]
    ctx.store["kept"] = len(kept)


@action(isolation="process", memory_mb=96)
def hoard_in_c(ctx: ActionContext) -> None:
    """Ask as a library in C does, which gives up when it is refused."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    size = 1024 * 1024
    while block := libc.malloc(size):
        ctypes.memset(block, 1, size)
    os.abort()


@action(isolation="process", cpu_seconds=1)
def spin(ctx: ActionContext) -> None:
    """Never end, in C, where no signal of Python's is heard."""
    collections.deque(itertools.repeat(0), maxlen=0)


@action(isolation="process", timeout=1)
def overrun(ctx: ActionContext) -> None:
    """Never end, in C, and tell who does not."""
    ctx.progress(0.1, str(os.getpid()))
    collections.deque(itertools.repeat(0), maxlen=0)


@action(isolation="process", timeout=1)
def overrun_with_care(ctx: ActionContext) -> None:
    """Take too long, and clean up."""
    try:
        time.sleep(600)
    finally:
        ctx.progress(0.9, "cleaned up")


@action(isolation="process", retry=Retry(max_attempts=2, delay=0))
def recover(ctx: ActionContext) -> None:
    """Break at the first try."""
    if ctx.attempt == 1:
        ctypes.string_at(0)
    ctx.store["recovered_at"] = ctx.attempt


@action(isolation="process", store_as="answer", memory_mb=512, cpu_seconds=30)
def do_everything(ctx: ActionContext) -> int:
    """Use all that a body may use."""
    ctx.store["pid"] = os.getpid()
    ctx.store.append("list", "first")
    ctx.checkpoint()
    ctx.progress(0.5, "half")
    ctx.store["cancelled"] = ctx.cancelled
    ctx.store["workflow"] = ctx.workflow.id
    with ctx.resources.notebook.open("a") as book:
        book.write(f"used by {os.getpid()}\n")
    ctx.add_action(note.s("added"))
    ctx.add_stage(Stage("more", [note.s("staged")]))
    return 42


@action
def note(ctx: ActionContext, what: str) -> None:
    """Note in which process this runs."""
    ctx.store.append("list", what)
    ctx.store["worker_pid"] = os.getpid()


@action(isolation="process")
def hold_apart(ctx: ActionContext, until: str) -> None:
    """Hold a process of its own until there is a file; tell which."""
    ctx.progress(0.1, str(os.getpid()))
    while not Path(until).exists() and not ctx.cancelled:
        time.sleep(0.02)
    ctx.store.append("held", ctx.attempt)


@action
def hold(ctx: ActionContext, until: str) -> None:
    """Hold the worker's own process until there is a file."""
    ctx.progress(0.1, str(os.getpid()))
    while not Path(until).exists():
        time.sleep(0.02)
    ctx.store["attempt"] = ctx.attempt


@action(isolation="process")
def talk(ctx: ActionContext) -> None:
    """Say something in every way."""
    ctx.log.info("said %s", "quietly", extra={"customer": 7})
    print("said plainly")
    print("said as a complaint", file=sys.stderr)


@action(isolation="process")
def leave_something_behind(ctx: ActionContext) -> None:
    """Start a process, and die without it."""
    child = subprocess.Popen(["sleep", "600"])
    ctx.progress(0.1, str(child.pid))
    os.kill(os.getpid(), signal.SIGKILL)


@action(isolation="process")
def use_processes(ctx: ActionContext) -> None:
    """Work in processes of the body's own, which a pool's child may not."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        ctx.store["squares"] = pool.map(_square, [1, 2, 3])


def _square(number: int) -> int:
    return number * number


@action
def define_another(ctx: ActionContext) -> None:
    """Define an action in this very process."""
    defined_on_the_way()


def defined_on_the_way() -> ActionFunction[[], None]:
    """Define an action that loading this module does not define."""

    @action("breaking.defined_on_the_way", isolation="process")
    def inner(ctx: ActionContext) -> None: ...

    return inner


@action(isolation="process")
def close_everything(ctx: ActionContext) -> None:
    """Close what the process has open, as programs do that become daemons: also the line home."""
    ctx.store.append("list", "closed")
    os.closerange(3, 256)
