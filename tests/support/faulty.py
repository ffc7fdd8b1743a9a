"""Actions for workers that are to die, and the hook by which they do, at a moment of our choice.

Imported by the workers. What is to happen is told by a key in Redis, so that it happens once.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import redis
from celery import signals

from gostage_core import Action, ActionContext, Stage, action
from gostage_workers.installation import installation_of

if TYPE_CHECKING:
    from gostage_core.attempt import Moment

PLAN = "faults"
"""A list of what is to happen: JSON of moment and victim; each item is taken once."""
BODIES = "bodies"
"""How often each body ran: hash of run:name."""


def client() -> redis.Redis:
    """A connection of this process."""
    return redis.Redis.from_url(os.environ["FAULTY_URL"])


@signals.celeryd_after_setup.connect(weak=False)  # type: ignore[untyped-decorator]
def hook_in(instance: Any, **_: Any) -> None:
    """Have the workers' installation ask at each moment whether to die."""
    installation = installation_of(instance.app)
    if installation is not None:
        installation.reached = die_if_told


def die_if_told(moment: Moment) -> None:
    """Take a fault that is meant for this moment, if there is one, and do it."""
    with client() as server:
        for item in server.lrange(PLAN, 0, -1):  # type: ignore[union-attr]
            fault = json.loads(item)
            if fault["moment"] == moment.value and server.lrem(PLAN, 1, item):
                strike(fault["victim"])


def strike(victim: str) -> None:
    """SIGKILL to this process, or to the worker with all its pool."""
    if victim == "worker":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


class Traced(Action):
    """Leaves a trace in the store, and counts how often its body ran."""

    adds: tuple[str, ...] = ()
    adds_stage: str = ""
    kills: str = ""

    def execute(self, ctx: ActionContext) -> None:
        with client() as server:
            first = server.hincrby(BODIES, f"{ctx.run_id}:{ctx.action.name}", 1) == 1
        ctx.store.append("order", ctx.action.name)
        ctx.store.increment("count")
        if self.adds:
            ctx.add_action(*(traced(name) for name in self.adds))
        if self.adds_stage:
            ctx.add_stage(Stage(self.adds_stage, [traced(self.adds_stage + "1")]))
        if self.kills and first:
            strike(self.kills)


def traced(name: str, **parameters: Any) -> Action:
    """A traced action of this name."""
    return Traced(**parameters).options(name=name)


@action
def hold_the_lock(ctx: ActionContext, seconds: float) -> None:
    """Hold the interpreter's lock without a break, as a long computation in C does."""
    import ctypes

    libc = ctypes.PyDLL(None)
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        libc.usleep(int(min(left, 30) * 1_000_000))
    ctx.store["attempt"] = ctx.attempt


@action
def wait_for_key(ctx: ActionContext, key: str) -> None:
    """Say where it runs, and end when the key is set."""
    ctx.store.append("who", ctx.attempt)
    with client() as server:
        server.rpush(f"{key}:pids", os.getpid())
        while not server.exists(key):
            time.sleep(0.05)


@action(timeout=1)
def stubborn(ctx: ActionContext) -> None:
    """Runs on past its timeout, whatever is raised in it."""
    ends = time.monotonic() + 600
    while time.monotonic() < ends:
        try:
            time.sleep(0.1)
            if ctx.cancelled:
                with client() as server:
                    server.set("told", 1)
                return
        except BaseException:
            continue
