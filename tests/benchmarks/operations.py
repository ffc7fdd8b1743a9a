"""What claims and commits cost the server, by its own count.

``python -m tests.benchmarks.operations`` prints microseconds of the server's time a call: of many
short spells the best one, as whatever else the machine does only adds to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gostage_core import Action, ActionContext, Stage, Workflow
from gostage_core.plan import NewRun
from gostage_core.settings import Settings
from gostage_core.state.answers import CommitParts
from gostage_core.state.operations import State
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable

_SPELLS = 40
_RUNS = 50
_ACTIONS = 10


class Nothing(Action):
    """Has nothing to do."""

    def execute(self, ctx: ActionContext) -> None:
        pass


class Spells:
    """Runs of ten actions that go on side by side, step by step."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._made = 0
        self._best: dict[str, float] = {}
        workflow = Workflow("w")
        workflow.add_stage(Stage("s", [Nothing() for _ in range(_ACTIONS)]))
        self._arguments = NewRun(
            run_id="r", nonce="n", definition=workflow.definition(), details='{"actor":"x"}',
            bounds=state.settings.bounds,
        ).arguments()  # fmt: skip

    def best(self) -> dict[str, float]:
        """Return the microseconds of each operation in its best spell."""
        for _ in range(_SPELLS):
            runs = self._measured(f"submit of {_ACTIONS}", self._new, range(_RUNS))
            claims = self._measured("claim", self._claimed, runs)
            self._measured("commit", self._committed, claims)
            for run_id in runs:
                self._state.purge(run_id, why='{"actor":"x"}')
        return self._best

    def _measured(self, what: str, step: Callable[[Any], Any], given: Any) -> list[Any]:
        self._state.client.config_resetstat()
        made = [step(one) for one in given]
        stats = cast("dict[str, Any]", self._state.client.info("commandstats"))["cmdstat_evalsha"]
        took = float(stats["usec_per_call"])
        self._best[what] = min(took, self._best.get(what, took))
        return made

    def _new(self, _number: int) -> str:
        self._made += 1
        assert self._state.submit(f"r{self._made}", self._arguments).word == "created"
        return f"r{self._made}"

    def _claimed(self, run_id: str) -> Any:
        return self._state.claim(run_id, "2", nonce="n", process="p", slot=run_id, mark="queue")

    def _committed(self, claim: Any) -> None:
        answer = self._state.commit(claim, have="3", parts=CommitParts())
        assert answer.next.mode == "keep"


def main() -> None:
    """Print the table."""
    with RedisServer() as server:
        for name, took in Spells(State(Settings(redis_url=server.url))).best().items():
            print(f"{name:14}{took:8.1f} µs")


if __name__ == "__main__":
    main()
