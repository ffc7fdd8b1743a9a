"""Imported by every interpreter that has this directory on its path: sets ``time.time`` wrong.

By how much is read, at each call, from a file that all processes of one worker share; see
``tests/support/clock.py``. What C code asks, such as ``datetime.now``, stays right.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from urllib.parse import urlsplit


def step_clock(path: Path) -> None:
    """Have the clock of this process be wrong by what the file says."""
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    right = time.time
    time.time = lambda: right() + struct.unpack("d", offset[:8])[0]


if "STEPPED_CLOCKS" in os.environ and "GOSTAGE_REDIS_URL" in os.environ:
    port = urlsplit(os.environ["GOSTAGE_REDIS_URL"]).port
    step_clock(Path(os.environ["STEPPED_CLOCKS"]) / str(port))
