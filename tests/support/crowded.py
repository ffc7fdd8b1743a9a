"""An action that counts who is in it, whichever process that is, and whoever of these has died."""

from __future__ import annotations

import os
import time
import uuid

import psutil
import redis

from gostage_core import ActionContext, action

INSIDE, PEAKS = "crowded-inside", "crowded-peaks"


def client() -> redis.Redis:
    return redis.Redis.from_url(os.environ["CROWDED_URL"])


@action("crowded.visit")
def visit(ctx: ActionContext, seconds: float = 0.01) -> None:
    """Note how many are inside, myself included, and stay for a little while."""
    with client() as server:
        me = f"{os.getpid()} {uuid.uuid4().hex}"
        server.sadd(INSIDE, me)
        others = server.smembers(INSIDE)
        living = [one for one in others if psutil.pid_exists(int(one.split()[0]))]  # type: ignore[union-attr]
        server.rpush(PEAKS, len(living))
        time.sleep(seconds)
        server.srem(INSIDE, me)
    ctx.store.increment("visits")
