"""One run to which one thing happens, and all of them for a workflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from gostage_core.errors import TrialError
from gostage_core.testing.crashes.disturbance import Disturbance
from gostage_core.testing.crashes.requests import load_scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gostage_core.authoring.workflow import Workflow
    from gostage_core.result import RunResult
    from gostage_core.run import Run
    from gostage_core.testing.crashes.mishaps import Mishap
    from gostage_core.testing.crashes.survey import Point
    from gostage_core.testing.engine import MemoryEngine
    from gostage_core.testing.engine.crew import Watch

    Script = Callable[[MemoryEngine, Run], object]

W = TypeVar("W", bound="Watch")


@dataclass(slots=True)
class Trial:
    """What is run again and again. At most one engine is open at a time."""

    workflow: Workflow | Mapping[str, Any] | str
    options: Mapping[str, Any]
    engine: Callable[[], MemoryEngine]
    script: Script | None
    latest: MemoryEngine | None = None

    def run(self, watched_by: Callable[[MemoryEngine, Run], W]) -> tuple[W, Run]:
        """Run it once, to its end, and return who has watched."""
        self.close()
        engine = self.latest = self.engine()
        load_scripts(engine.server)
        run = engine.submit(self.workflow, **self.options)
        watch = watched_by(engine, run)
        engine.world.crew.watched_by(watch)
        if self.script is not None:
            self.script(engine, run)
        run.wait()
        return watch, run

    def close(self) -> None:
        """Close the last engine."""
        if self.latest is not None:
            self.latest.close()
            self.latest = None


@dataclass(eq=False)
class Scenario:
    """One thing that happens to a run, at one point of it."""

    number: int
    """Among all scenarios of the workflow, from 1: ``only=12`` repeats it."""
    name: str
    """What happens: ``"dies before the commit of pay/charge (attempt 1)"``."""
    path: str
    """Of the action that it happens at."""
    mishap: Mishap
    """What kind of thing it is."""
    trial: Trial = field(repr=False)
    point: Point = field(repr=False)
    _engine: MemoryEngine | None = field(default=None, init=False, repr=False)

    def __str__(self) -> str:
        return f"scenario {self.number}: {self.name}"

    def __repr__(self) -> str:
        # It is what pytest shows of ``assert …, scenario``.
        return f"<{self}; only={self.number} repeats it>"

    @property
    def engine(self) -> MemoryEngine:
        """The engine of the last :meth:`run`, with its resources and all that is left of the run.

        What its factories made is torn down when the next scenario is run.

        Raises:
            TrialError: it was not run yet.
        """
        if self._engine is None:
            raise TrialError(f"{self} was not run yet, and has no engine; call run() first")
        return self._engine

    def run(self) -> RunResult:
        """Run the workflow anew while that happens, and return how it ended.

        Safe to repeat: it is the same each time.

        Raises:
            TrialError: the run has gone another way than when nothing happened to it.
            RunStuckError: it waits for what does not come by itself: *script* does not send it.
        """
        try:
            disturbance, run = self.trial.run(self._disturbed)
            disturbance.check()
            return run.result()
        except BaseException as error:
            error.add_note(f"This was {self!r}.")
            raise

    def _disturbed(self, engine: MemoryEngine, run: Run) -> Disturbance:
        self._engine = engine
        return Disturbance(engine.world, run.run_id, self.point, self.mishap)
