"""A workbench that holds the clock, and checks every run between any two steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core import Stage, Workflow
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.bench import Bench
from tests.support.invariants import Snapshot, check_all
from tests.support.throttling import check_throttles

if TYPE_CHECKING:
    from gostage_core import Action, JournalEntry, Run, RunResult
    from gostage_core.attempt import Ended
    from gostage_core.settings import Settings
    from tests.support.bench import Message


class WatchedBench(Bench):
    """Runs over a server in memory, whose time passes when the test says so."""

    def __init__(self, settings: Settings, *, twice: bool = False) -> None:
        """Lose the first answer of each operation where all are called *twice*."""
        self.server = MemoryServer()
        super().__init__(settings, MemoryClient(self.server))
        self.twice = twice
        once = self.state._run

        def run(name: str, run_id: str, *args: object, key: str = "") -> Any:
            if (
                self.twice and name != "tick"
            ):  # what that hands out is handed out again after a while
                once(name, run_id, *args, key=key)
            return once(name, run_id, *args, key=key)

        self.state._run = run  # type: ignore[method-assign]

    def deliver(self, message: Message, worker: str = "w") -> Ended | None:
        ended = super().deliver(message, worker)
        self.check()
        return ended

    def tick(self) -> None:
        """Renew the leases of who lives, and let the rescuer look."""
        self.state.renew([worker for worker in self._workers if worker not in self.died])
        self.rescuer.tick()
        self.check()

    def pass_time(self) -> None:
        super().pass_time()
        self.check()

    def check(self) -> None:
        """Check every run, with those below it."""
        for run_id in self.run_ids():
            if not self.snapshot(run_id).header["parent"]:
                check_throttles(check_all(self.state, run_id))

    def one_step(self, idle: float = 30) -> None:
        """Deliver one message, or let time pass: until it is sent again, or till timers are due."""
        if not self.post.messages:
            lost = self.state.client.zcard(self.state.keys.of("sent"))
            self.server.clock.advance(2 if lost else idle)
            self.tick()
        if self.post.messages:
            self.step()

    def settle(self, worker: str = "w") -> None:
        """Let everything happen that does not wait for a time to come, or for somebody."""
        for _ in range(2_000):
            self.bury()
            self.tick()
            if self.post.messages:
                self.step(worker)
            elif self.state.client.zcard(self.state.keys.of("sent")):
                self.server.clock.advance(2)  # a message was lost: looked for after a second
            elif not self._is_due():
                return
        raise AssertionError("it does not settle")

    def later(self, seconds: float) -> None:
        """Let time pass, and then all that is due."""
        self.server.clock.advance(seconds)
        self.settle()

    def settled(self, *actions: Action, **options: Any) -> Run:
        """Submit a run of one stage, and let it go as far as it can."""
        run = self.submit(one_stage(*actions), **options)
        self.settle()
        return run

    def run_ids(self) -> list[str]:
        """Every run that is known."""
        prefix = self.state.keys.of("run", "")
        return [k.decode().removeprefix(prefix) for k in self.state.client.scan_iter(f"{prefix}*")]

    def snapshot(self, run_id: str) -> Snapshot:
        """One run as it is now."""
        return Snapshot(self.state, run_id)

    def child(self, run: Run, path: str = "") -> Run:
        """The child run that the action at *path* has, or the only one that has any."""
        found = [a for a in run.result().actions if a.child_run_id and path in (a.path, "")]
        return self.runner.get(found[-1].child_run_id)

    def _is_due(self) -> bool:
        now = self.server.clock.milliseconds
        wake = self.state.keys.of("wake")
        return bool(self.died or self.state.client.zcount(wake, "-inf", now))


def one_stage(*actions: Action, id: str = "w", **options: Any) -> Workflow:
    """A workflow of one stage, which is called s."""
    workflow = Workflow(id)
    workflow.add_stage(Stage("s", actions, **options))
    return workflow


def done(run: Run | RunResult) -> list[str]:
    """What the actions of a run have noted in its store, in plan order."""
    return list(run.store.get("done", list[str], default=[]))


def states(run: Run) -> dict[str, str]:
    """How the actions of a run stand, by their paths without the stage."""
    return {one.path.partition("/")[2]: str(one.status) for one in run.result().actions}


def kinds(run: Run, begins: str = "") -> list[str]:
    """What kinds of entries the run's journal has, in order."""
    return [one.kind for one in run.journal() if one.kind.startswith(begins)]


def last(run: Run, kind: str) -> JournalEntry:
    """The last entry of that kind in the run's journal."""
    return [one for one in run.journal() if one.kind == kind][-1]
