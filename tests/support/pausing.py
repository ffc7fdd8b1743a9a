"""An action that occupies its worker until a file is there."""

from __future__ import annotations

import time
from pathlib import Path

from gostage_core import ActionContext, action


@action("pausing.hold")
def hold(ctx: ActionContext, until: str) -> None:
    """Wait for the file *until*."""
    while not Path(until).exists():
        time.sleep(0.02)
