"""All that may happen to the runs of one workflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from gostage_core.authoring.problems import suggestion
from gostage_core.errors import TrialError
from gostage_core.testing.crashes.scenario import Scenario, Trial
from gostage_core.testing.crashes.survey import Survey
from gostage_core.testing.engine import MemoryEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gostage_core.authoring.workflow import Workflow
    from gostage_core.testing.crashes.scenario import Script
    from gostage_core.testing.crashes.survey import Point


class Crashes(Sequence[Scenario]):
    """All scenarios of one workflow, in the order in which they happen."""

    def __init__(self, scenarios: Sequence[Scenario]) -> None:
        self._scenarios = tuple(scenarios)

    def close(self) -> None:
        """Tear down what the factories of the last engine made. Safe to repeat."""
        for scenario in self:
            scenario.trial.close()

    @overload
    def __getitem__(self, index: int) -> Scenario: ...
    @overload
    def __getitem__(self, index: slice) -> Crashes: ...

    def __getitem__(self, index: int | slice) -> Scenario | Crashes:
        found = self._scenarios[index]
        return found if isinstance(found, Scenario) else Crashes(found)

    def __len__(self) -> int:
        return len(self._scenarios)

    def __repr__(self) -> str:
        return f"<{len(self)} scenarios>"

    def only(self, which: str | int) -> Crashes:
        """Return the one that is called or numbered so.

        Raises:
            TrialError: there is none.
        """
        found = [one for one in self if which in (one.name, one.number)]
        if not found:
            names = {one.name for one in self}
            hint = suggestion(which, names) if isinstance(which, str) else ""
            raise TrialError(f"no scenario {which!r} among {len(self)}{hint}")
        return Crashes(found)


def crashes(
    workflow: Workflow | Mapping[str, Any] | str,
    *,
    store: Mapping[Any, Any] | None = None,
    script: Script | None = None,
    engine: Callable[[], MemoryEngine] = MemoryEngine,
    only: str | int | None = None,
    **options: Any,
) -> Crashes:
    """Return every way in which a run of *workflow* can be disturbed once, each to be run.

    ::

        for scenario in crashes(order, store={"amount": 10}):
            payments.clear()
            result = scenario.run()
            assert result.status == "completed", scenario
            assert len(payments) == 1, scenario

    The workflow is run once without anything happening, which tells where something may. Then, for
    every request of a worker to the server (a claim, a read, a checkpoint, the keeping of
    ``ctx.once``, a message, a wait, a failure, a commit): the worker dies before it, or after it
    was applied; the request or its answer is lost, and it is sent again; the server is away for a
    moment; the worker freezes before it, or after it, until another one has done its work, and then
    goes on. For every message: it is lost, comes twice, or comes to another worker while the first
    one is at work. Each of these is a scenario, and each run of one is a run of its own, in memory.

    What bodies do must depend on nothing but the store and on fakes that are new each time: made
    by *engine*, or emptied by the test. A death unwinds the body: its ``finally`` blocks are
    executed, which a real death spares it.

    Args:
        workflow: what is run.
        store: first values of each run's store.
        script: what happens from outside, called with the engine and the run once that is
            submitted: ``lambda engine, run: (engine.settle(), run.signal("go"))``. Behind it the
            run is waited for. Leave it some seconds of time: getting over a death takes that long.
        engine: makes the engine for each run: ``lambda: MemoryEngine(resources={"bank": Bank()})``.
        only: name or number of one scenario.
        options: further ones of the submit.

    Raises:
        TrialError: there is no scenario *only*.
        RunStuckError: nothing happened, and the run does not end; *script* may have to send what it
            waits for.
        ConfigurationError: the package lupa is not installed.
    """
    trial = Trial(workflow, {"store": store, **options}, engine, script)
    try:
        survey, _run = trial.run(lambda engine, run: Survey(engine.world.state, run.run_id))
    except BaseException as error:
        error.add_note("This was the run to which nothing happened.")
        trial.close()
        raise
    found = Crashes(list(_scenarios(trial, survey.points)))
    return found if only is None else found.only(only)


def _scenarios(trial: Trial, points: Sequence[Point]) -> Iterator[Scenario]:
    names: Counter[str] = Counter()
    number = 0
    for point in points:
        for mishap in point.mishaps():
            number += 1
            name = mishap.value.format(point.name)
            names[name] += 1
            nth = f" #{names[name]}" if names[name] > 1 else ""
            yield Scenario(number, name + nth, point.path, mishap, trial, point)
