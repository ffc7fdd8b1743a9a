"""Faults of the network between one worker and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.lanes import Direction

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.scene import Scene, Strike
    from tests.support.crew import Member
    from tests.support.proxy import FaultProxy

_ANSWERS = 5
"""How many answers are dropped at most, one after another."""


def cut(scene: Scene) -> Strike | None:
    """Connections are reset: one, or all."""
    return _strike(scene, "cut", 0, lambda way: way.cut(scene.dice.choice((1, None))))


def black_hole(scene: Scene) -> Strike | None:
    """Nothing arrives, in one direction or both, for up to three leases."""
    ways = scene.dice.choice(((), (Direction.TO_SERVER,), (Direction.TO_CLIENT,)))
    seconds = scene.lease * scene.dice.uniform(0.2, 3)
    cuts = scene.dice.random() < 0.3

    def heal(way: FaultProxy) -> None:
        if cuts:  # what was under way never arrives; else it does, late
            way.cut()
        way.heal()

    return _strike(scene, "dark", seconds, lambda way: way.black_hole(*ways), heal)


def forget(scene: Scene) -> Strike | None:
    """Connections that are open carry nothing more, and nobody is told."""
    return _strike(scene, "forget", 0, lambda way: way.forget())


def refuse(scene: Scene) -> Strike | None:
    """Connections are reset, and no new one is taken for a while."""

    def strike(way: FaultProxy) -> None:
        way.refuse()
        way.cut()

    return _strike(scene, "refuse", scene.dice.uniform(0.2, 5), strike)


def drop_answers(scene: Scene) -> Strike | None:
    """What is asked is done, and the connection reset before the answer."""

    def strike(way: FaultProxy) -> None:
        for _ in range(scene.dice.randint(1, _ANSWERS)):
            way.drop_answer(b"EVALSHA" if scene.dice.random() < 0.7 else b"")

    return _strike(scene, "drop", 1, strike)


def slow(scene: Scene) -> Strike | None:
    """Everything takes longer, or little gets through."""

    def strike(way: FaultProxy) -> None:
        if scene.dice.random() < 0.5:
            way.delay(scene.dice.uniform(0.02, 0.3))
        else:
            way.throttle(scene.dice.uniform(5_000, 100_000))

    return _strike(scene, "slow", scene.dice.uniform(0.5, 5), strike)


def _heal(way: FaultProxy) -> None:
    way.heal()


def _strike(
    scene: Scene,
    kind: str,
    seconds: float,
    do: Callable[[FaultProxy], object],
    heal: Callable[[FaultProxy], object] = _heal,
) -> Strike | None:
    member: Member | None = scene.idle_member()
    if member is None:
        return None
    way = member.proxy
    strike = scene.note(
        kind,
        member.holds(scene.state),
        seconds=seconds,
        heal=lambda: heal(way),
        victim=member,
        ends_when=scene.taken_from(member),
    )
    do(
        way
    )  # only once it is noted: a server that does not answer just then would leave it for ever
    return strike
