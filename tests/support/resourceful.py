"""Resources that note what becomes of them in the file that ``RESOURCE_LOG`` names."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gostage_core import ActionContext, Resources, Retry, action
from gostage_workers import resource

if TYPE_CHECKING:
    from collections.abc import Iterator


def note(what: str) -> None:
    """Note *what*, and in which process."""
    with Path(os.environ["RESOURCE_LOG"]).open("a") as log:
        log.write(f"{what} {os.getpid()}\n")


class Line:
    """Stands for a connection; knows the process and the thread that opened it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.users: set[int] = set()
        self.lock = threading.Lock()

    def use(self) -> int:
        """Return how many threads have used it."""
        with self.lock:
            self.users.add(threading.get_ident())
            return len(self.users)


@resource("line")
def line() -> Iterator[Line]:
    """Open once a process; slowly, so that others come meanwhile."""
    note("make line")
    time.sleep(0.05)
    yield Line()
    note("end line")


@resource("desk", scope="attempt")
def desk(resources: Resources) -> Iterator[Line]:
    """Open once an attempt, on the line of the process."""
    note("make desk")
    try:
        yield resources.line
    except BaseException as error:
        note(f"undo desk {type(error).__name__}")
        raise
    note("end desk")


@resource("clumsy", scope="attempt")
def clumsy() -> Iterator[None]:
    """Fail when it is torn down."""
    yield
    note("end clumsy")
    raise OSError("cannot close")


@resource("unsteady")
def unsteady() -> str:
    """Fail as long as there is no file beside the log."""
    flag = Path(os.environ["RESOURCE_LOG"]).with_name("steady")
    if not flag.exists():
        flag.touch()
        raise ConnectionError("no route")
    return "steady"


@resource("broken")
def broken() -> None:
    """Fail, whenever it is called."""
    raise ConnectionError("no route")


@resource("hen")
def hen(resources: Resources) -> object:
    """Be made of what is made of it."""
    return resources.egg


@resource("egg")
def egg(resources: Resources) -> object:
    """Be made of what is made of it."""
    return resources.hen


@action
def use_line(ctx: ActionContext) -> None:
    """Use what the process keeps."""
    assert ctx.resources.line.pid == os.getpid()
    time.sleep(0.05)
    ctx.store.append("pids", os.getpid())
    ctx.store.append("threads", ctx.resources.line.use())


@action
def use_desk(ctx: ActionContext) -> None:
    """Use what the attempt keeps."""
    assert ctx.resources.desk is ctx.resources.desk is ctx.resources.line


@action
async def use_desk_in_coroutine(ctx: ActionContext) -> None:
    """Use it in a coroutine."""
    assert ctx.resources.desk.pid == os.getpid()


@action(retry=Retry(2, delay=0))
def stumble(ctx: ActionContext) -> None:
    """Fail with a desk, at the first try."""
    _ = ctx.resources.desk
    if ctx.attempt == 1:
        raise KeyError("lost")


@action
def bail(ctx: ActionContext) -> None:
    """End the run with a desk."""
    _ = ctx.resources.desk
    ctx.bail("enough")


@action(timeout=0.5)
def overrun(ctx: ActionContext) -> None:
    """Take too long, with a desk; end as if nothing was, once told."""
    _ = ctx.resources.desk
    while not ctx.cancelled:
        time.sleep(0.02)


@action
def be_clumsy(ctx: ActionContext) -> None:
    """Use what fails when it is torn down."""
    assert ctx.resources.clumsy is None
    ctx.store["done"] = True


@action(store_as="found", retry=Retry(3, delay=0, on=ConnectionError))
def insist(ctx: ActionContext) -> str:
    """Use what fails at first."""
    return str(ctx.resources.unsteady)


@action
def go_astray(ctx: ActionContext) -> None:
    """Use what fails."""
    _ = ctx.resources.broken


@action
def go_round(ctx: ActionContext) -> None:
    """Use what is made of itself."""
    _ = ctx.resources.hen


@action
def miss(ctx: ActionContext) -> None:
    """Use what there is not."""
    _ = ctx.resources.nothing_of_the_kind


@action
def use_none(ctx: ActionContext) -> None:
    """Use no resource, but look at what there is."""
    ctx.store["names"] = dir(ctx.resources)
