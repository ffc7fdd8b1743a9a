"""Faults of the server, and of what is in its queue."""

from __future__ import annotations

import base64
import json
import os
import resource
import time
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from tests.chaos.scene import Hit, Scene, Strike

_ITEMS = 8
"""How many items of the queue are tampered with at most."""


def kill_server(scene: Scene) -> Strike | None:
    """SIGKILL to the server, which is started again on its data a moment later."""
    server = scene.crew.server
    if scene.suffers(server):
        return None
    strike = scene.note("server", scene.held_by_all())
    server.kill()
    time.sleep(scene.dice.uniform(0, 1.5))
    server.start()
    return strike


def lose_moments(scene: Scene) -> Strike | None:
    """The server loses what it wrote in its last moment, as at a power failure, and is started."""
    server = scene.crew.server
    if scene.suffers(server):
        return None
    log = server.log
    kept = log.stat().st_size
    time.sleep(scene.dice.uniform(0.1, 1))
    strike = scene.note("power", scene.held_by_all())
    server.kill()
    if server.log == log:  # it was not rewritten meanwhile
        os.truncate(log, scene.dice.randint(kept, log.stat().st_size))
    server.start()
    return strike


def fill_memory(scene: Scene) -> Strike | None:
    """``maxmemory`` is reached, and nothing may be evicted; relieved a while later."""
    server, client = scene.crew.server, scene.state.client
    if scene.suffers(server):
        return None
    strike = scene.note(
        "memory",
        scene.held_by_all(),
        seconds=scene.dice.uniform(0.3, 5),
        heal=lambda: client.config_set("maxmemory", 0),
        victim=server,
    )
    client.config_set("maxmemory", 1)
    return strike


def fill_disk(scene: Scene) -> Strike | None:
    """The append-only file can grow no further, as on a full disk; a while later it can.

    A server that writes through (``appendfsync always``) ends of that, and is started again.
    """
    server = scene.crew.server
    if scene.suffers(server):
        return None

    def heal() -> None:
        if server.running:
            limit_files(server.pid, resource.RLIM_INFINITY)
        server.start()

    strike = scene.note(
        "disk",
        scene.held_by_all(),
        seconds=scene.dice.uniform(0.3, 5),
        heal=heal,
        victim=server,
    )
    limit_files(server.pid, 1)
    return strike


def forget_scripts(scene: Scene) -> Strike | None:
    """``SCRIPT FLUSH``."""
    strike = scene.note("scripts", scene.held_by_all())
    scene.state.client.script_flush()
    return strike


def copy_messages(scene: Scene) -> Strike | None:
    """Messages are copied, and come once more, later."""
    items = _some_items(scene)
    if not items:
        return None
    return _come_later(scene, "copy", items, [])


def delay_messages(scene: Scene) -> Strike | None:
    """Messages are taken away, and come when they have been sent again, perhaps."""
    remove: Any = scene.state.client.lrem  # whose stubs know of text alone
    items = [item for item in _some_items(scene) if remove(scene.queue, 1, item)]
    if not items:
        return None
    return _come_later(scene, "late", items, [named_by(item) for item in items])


def lose_messages(scene: Scene) -> Strike | None:
    """The queue is deleted."""
    with scene.state.client.pipeline() as pipe:
        pipe.lrange(scene.queue, 0, -1)
        pipe.delete(scene.queue)
        items, _ = pipe.execute()
    return scene.note("loss", [named_by(item) for item in items])


def limit_files(pid: int, size: int) -> None:
    """Let a process write no further into any file than *size*."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def named_by(item: bytes) -> tuple[str, str]:
    """Return the run and the entry that a message of ours names."""
    args, _, _ = json.loads(base64.b64decode(json.loads(item)["body"]))
    return args[0], args[1]


def _some_items(scene: Scene) -> list[bytes]:
    items = cast("list[bytes]", scene.state.client.lrange(scene.queue, 0, -1))
    return scene.dice.sample(items, min(len(items), scene.dice.randint(1, _ITEMS)))


def _come_later(scene: Scene, kind: str, items: list[bytes], hit: Hit) -> Strike:
    push = scene.dice.choice((scene.state.client.lpush, scene.state.client.rpush))
    return scene.note(
        kind,
        hit,
        seconds=scene.dice.uniform(0.2, 2 * scene.lease),
        heal=lambda: push(scene.queue, *items),
    )
