"""What an operation costs in memory, beside the real server over its socket.

``python -m tests.benchmarks.memory`` prints microseconds: of many short spells the best one, as
whatever else the machine does only adds to them. In memory each spell also pays for the copies
that a snapshot has the next writes make.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gostage_core import Action, ActionContext, Stage, Workflow
from gostage_core.plan import NewRun
from gostage_core.settings import Settings
from gostage_core.state.answers import CommitParts
from gostage_core.state.operations import State
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable

_SPELLS = 120
_CALLS = 25
_ACTIONS = 10


class Nothing(Action):
    """Has nothing to do."""

    def execute(self, ctx: ActionContext) -> None:
        pass


class Course:
    """One way through a run of ten actions, as often as asked for."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._runs = 0
        workflow = Workflow("w")
        workflow.add_stage(Stage("s", [Nothing() for _ in range(_ACTIONS)]))
        self._arguments = NewRun(
            run_id="r", nonce="n", definition=workflow.definition(), details='{"actor":"x"}',
            bounds=state.settings.bounds,
        ).arguments()  # fmt: skip

    def new(self) -> str:
        """Submit a run."""
        self._runs += 1
        assert self._state.submit(f"r{self._runs}", self._arguments).word == "created"
        return f"r{self._runs}"

    def claimed(self, run_id: str) -> Any:
        """Claim its first action."""
        return self._state.claim(run_id, "2", nonce="n", process="p", slot="1", mark="queue")

    def committed(self, claim: Any) -> None:
        """Commit that, with the next one at hand."""
        answer = self._state.commit(claim, have="3", parts=CommitParts())
        assert answer.next.mode == "keep"

    def tick(self, _given: Any) -> None:
        """Look for what is due."""
        self._state.tick(["p"], judge=True)

    def steps(self) -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
        """Name what is measured, with what it needs before."""
        return {
            f"submit of {_ACTIONS}": (lambda: None, lambda _given: self.new()),
            "claim": (self.new, self.claimed),
            "commit": (lambda: self.claimed(self.new()), self.committed),
            "tick": (lambda: None, self.tick),
        }


def best(before: Callable[[], Any], step: Callable[[Any], Any]) -> float:
    """Return the microseconds of *step* in the best spell."""
    spells = []
    for _ in range(_SPELLS):
        took = 0.0
        for _ in range(_CALLS):
            given = before()
            began = time.perf_counter()
            step(given)
            took += time.perf_counter() - began
        spells.append(took / _CALLS * 1e6)
    return min(spells)


def main() -> None:
    """Print the table."""
    server = MemoryServer()
    course = Course(State(Settings(), MemoryClient(server)))
    claim = course.claimed(course.new())
    kept = server.snapshot()
    with RedisServer() as real:
        others = Course(State(Settings(redis_url=real.url))).steps()
        print(f"{'':14}{'memory':>10}{'server':>10}   µs")
        for name, (before, step) in course.steps().items():

            def fresh(before: Callable[[], Any] = before) -> Any:
                server.restore(kept)
                given = before()
                server.snapshot()
                return given

            print(f"{name:14}{best(fresh, step):10.1f}{best(*others[name]):10.1f}")
    copies = {
        "snapshot": lambda _given: server.snapshot(),
        "restore": lambda _given: server.restore(kept),
    }
    for name, copy in copies.items():
        print(f"{name:14}{best(lambda: None, copy):10.1f}")
    written = best(
        lambda: (server.restore(kept), course.committed(claim)), lambda _: server.content()
    )
    print(f"{'content':14}{written:10.1f}   after a commit")


if __name__ == "__main__":
    main()
