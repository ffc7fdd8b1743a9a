"""An engine in memory: the real one, over a server, a clock and workers that a test holds."""

from gostage_core.testing.engine.engine import START, MemoryEngine
from gostage_core.testing.engine.tasks import PublishedTask

__all__ = ["START", "MemoryEngine", "PublishedTask"]
