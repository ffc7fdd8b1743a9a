"""Every fault that a storm knows, and how often each comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.chaos import network_faults, server_faults, worker_faults
from tests.chaos.scene import UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.chaos.scene import Scene, Strike


@dataclass(frozen=True)
class Fault:
    """One kind of fault."""

    strike: Callable[[Scene], Strike | None]
    """Strikes; ``None`` when there was nothing to strike."""
    weight: int
    """How often it comes, beside the others."""
    kills: bool = False
    """Whether it is a SIGKILL."""

    @property
    def what(self) -> str:
        """What it does, in one sentence."""
        return (self.strike.__doc__ or "").partition("\n")[0]


FAULTS: Final = {
    "child": Fault(worker_faults.kill_child, 22, kills=True),
    "worker": Fault(worker_faults.kill_worker, 12, kills=True),
    "term": Fault(worker_faults.ask_to_end, 8),
    "freeze": Fault(worker_faults.freeze, 10),
    "clock": Fault(worker_faults.step_clock, 4),
    "cut": Fault(network_faults.cut, 8),
    "dark": Fault(network_faults.black_hole, 8),
    "forget": Fault(network_faults.forget, 3),
    "refuse": Fault(network_faults.refuse, 3),
    "drop": Fault(network_faults.drop_answers, 7),
    "slow": Fault(network_faults.slow, 3),
    "server": Fault(server_faults.kill_server, 7, kills=True),
    "power": Fault(server_faults.lose_moments, 3, kills=True),
    "memory": Fault(server_faults.fill_memory, 3),
    "disk": Fault(server_faults.fill_disk, 2),
    "scripts": Fault(server_faults.forget_scripts, 4),
    "copy": Fault(server_faults.copy_messages, 5),
    "late": Fault(server_faults.delay_messages, 4),
    "loss": Fault(server_faults.lose_messages, 3),
}


def strike(scene: Scene, kinds: Sequence[str]) -> Strike | None:
    """Let one of these kinds strike, by its weight; ``None`` when it found nothing to strike."""
    [kind] = scene.dice.choices(kinds, [FAULTS[kind].weight for kind in kinds])
    try:
        struck = FAULTS[kind].strike(scene)
    except UNREACHABLE:
        return None
    if struck is not None:
        scene.keep(struck)
    return struck
