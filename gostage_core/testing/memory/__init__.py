"""A Redis server in memory for tests: nothing to start, nothing real about its time.

::

    server = MemoryServer()
    state = State(Settings(), client=MemoryClient(server))
    server.clock.advance(60)

It runs gostage's own scripts, unchanged, so what holds here holds on a server. It needs the package
lupa: ``pip install "gostage[testing]"``.
"""

from gostage_core.testing.memory.client import MemoryClient
from gostage_core.testing.memory.clock import START, Clock
from gostage_core.testing.memory.faults import Fault, Faults
from gostage_core.testing.memory.keyspace import Snapshot
from gostage_core.testing.memory.server import MemoryServer

__all__ = ["START", "Clock", "Fault", "Faults", "MemoryClient", "MemoryServer", "Snapshot"]
