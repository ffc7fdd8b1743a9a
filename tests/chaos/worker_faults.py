"""Faults of processes: killed, asked to end, frozen, with a clock that is wrong."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.chaos.scene import UNREACHABLE
from tests.support.processes import send

if TYPE_CHECKING:
    from tests.chaos.scene import Hit, Scene, Strike
    from tests.support.crew import Member


def kill_child(scene: Scene) -> Strike | None:
    """SIGKILL to a process of a pool."""
    member = scene.dice.choice(scene.crew.members)
    children = member.children
    if not children:
        return None
    child = [scene.dice.choice(children)]
    strike = scene.note("child", _stopped_with(scene, member, child))
    send(child, signal.SIGKILL)
    return strike


def kill_worker(scene: Scene) -> Strike | None:
    """SIGKILL to a whole worker, which is started again."""
    member = scene.idle_member()
    if member is None:
        return None
    strike = scene.note("worker", _stopped_with(scene, member, member.children))
    member.cluster.kill_worker()
    return strike


def ask_to_end(scene: Scene) -> Strike | None:
    """SIGTERM to a worker's main process, or to all its processes as service managers do."""
    member = scene.idle_member()
    if member is None or not member.processes:
        return None
    asked = member.processes[: scene.dice.choice((1, None))]
    strike = scene.note("term", member.holds(scene.state))
    send(asked, signal.SIGTERM)
    return strike


def freeze(scene: Scene) -> Strike | None:
    """SIGSTOP to a process of a pool, or to a whole worker, past its lease; then SIGCONT."""
    member = scene.idle_member()
    if member is None or not member.children:
        return None
    whole = scene.dice.random() < 0.5
    frozen = member.processes if whole else scene.dice.sample(member.children, 1)
    return scene.note(
        "freeze",
        _stopped_with(scene, member, frozen),
        seconds=scene.lease * scene.dice.uniform(1.2, 3),
        heal=lambda: send(frozen[::-1], signal.SIGCONT),
        victim=member,
        ends_when=scene.taken_from(member, frozen),
    )


def step_clock(scene: Scene) -> Strike | None:
    """A worker's clock jumps, by an hour at most, and back later."""
    member = scene.idle_member()
    if member is None:
        return None
    strike = scene.note(
        "clock",
        member.holds(scene.state),
        seconds=scene.dice.uniform(0.5, 5),
        heal=lambda: member.clock.step(0),
        victim=member,
    )
    member.clock.step(scene.dice.uniform(-3600, 3600))
    return strike


def _stopped_with(scene: Scene, member: Member, pids: list[int]) -> Hit:
    """Stop processes, so that what they work on is still the same when they are struck."""
    send(pids, signal.SIGSTOP)
    try:
        return member.holds(scene.state, pids)
    except UNREACHABLE:
        send(pids, signal.SIGCONT)
        raise
