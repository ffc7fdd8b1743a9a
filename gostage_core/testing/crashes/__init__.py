"""Every way in which one run can be disturbed once, for tests that effects survive it."""

from gostage_core.testing.crashes.catalogue import Crashes, crashes
from gostage_core.testing.crashes.scenario import Scenario

__all__ = ["Crashes", "Scenario", "crashes"]
