"""``MemoryEngine``: whole runs in a test's own process, with a clock that the test holds."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gostage_core.attempt import Place
from gostage_core.duration import seconds
from gostage_core.event_loop import close_loop
from gostage_core.runner import Runner
from gostage_core.sealing.vault import Vault
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from gostage_core.testing.engine.clock import HeldClock
from gostage_core.testing.engine.crew import Crew, is_interrupted
from gostage_core.testing.engine.listening import InlineListening
from gostage_core.testing.engine.machine import HeldMachine
from gostage_core.testing.engine.post import Post
from gostage_core.testing.engine.server import DrivenServer
from gostage_core.testing.engine.tasks import Tasks
from gostage_core.testing.engine.world import World
from gostage_core.testing.given import GivenResources
from gostage_core.testing.memory import MemoryClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from gostage_core.authoring.middleware import Middleware
    from gostage_core.authoring.workflow import Workflow
    from gostage_core.duration import Duration
    from gostage_core.result import RunResult
    from gostage_core.run import Run
    from gostage_core.testing.engine.tasks import PublishedTask

START: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""When an engine begins, unless it is told otherwise: a Monday."""
_NOWHERE: Final = "memory://"
_SLOT: Final = "1"


class MemoryEngine:
    """Executes runs in memory: no Redis, no Celery, no worker, and no real time.

    ::

        engine = MemoryEngine(resources={"bank": FakeBank()})
        result = engine.execute(order, store={"order.id": 7})

        run = engine.submit(order)
        engine.settle()
        assert run.status == "waiting"
        run.signal("approval", Approval(ok=True))
        engine.advance("2d")

    What executes is the engine itself, with its own scripts, so a run ends here as it ends on a
    server: claims, commits, retries, timers, throttles, child runs, schedules. Bodies are called on
    the test's own thread, one after another; those side by side too. ``isolation="process"`` is not
    looked at, nor are priorities.

    Time stands still, but for three ways: :meth:`advance`; who waits for a run (``run.wait()``,
    :meth:`execute`, ``run.watch()``), which skips the time in which nothing happens; and
    ``engine.clock.advance()`` in a fake that a body calls, by which a body takes time, and is
    interrupted when that is more than its ``timeout=``. What a body itself sleeps is real, and
    counts for nothing. ``ctx.now`` is the engine's time.

    Ids, nonces and jitter come from *seed*: the same test is the same to the byte, as far as
    its bodies are. For the thread that made it; needs ``pip install 'gostage[testing]'``.
    """

    def __init__(
        self,
        *,
        resources: Mapping[str, object] | None = None,
        factories: Mapping[str, Callable[[], object]] | None = None,
        tasks: Mapping[str, Callable[..., object]] | None = None,
        middleware: Iterable[Middleware] = (),
        settings: Settings | None = None,
        seed: int = 0,
        start: datetime = START,
    ) -> None:
        """Begin with an empty server.

        Args:
            resources: what bodies find in ``ctx.resources``, by name; most often fakes.
            factories: what makes such an object when it is first asked for, once an engine. A
                generator function yields it, and goes on at :meth:`close`: one that ``@resource``
                decorates may stand here.
            tasks: what is called for a ``CeleryTask``, by the name of the task; what it returns or
                raises is the end of the task. The others wait for :meth:`finish_task`.
            middleware: of the runner, the outermost first.
            settings: as of a worker; those that are about a server mean nothing. Without keys to
                encrypt them secrets are kept as they are, in the memory of the test.
            seed: of all that is left to chance.
            start: what the clock shows at first.

        Raises:
            ConfigurationError: the package lupa is not installed.
            ValueError: *start* does not say where it is that time.
        """
        if start.tzinfo is None:
            raise ValueError(f"start has no timezone: {start!r}; give it one, UTC for example")
        self.clock = HeldClock(start.timestamp())
        """``engine.clock.now`` is the time; ``advance`` is for fakes that bodies call."""
        self.server = DrivenServer(self.clock)
        """The server in memory, with everything that a Redis would have."""
        self._made = ExitStack()
        advice = "give it one: MemoryEngine(resources={{{name!r}: …}})"
        self.resources = GivenResources(resources or {}, factories or {}, advice, self._made)
        """What bodies find in ``ctx.resources``."""
        settings = settings or Settings(redis_url=_NOWHERE)
        # Without keys secrets stay as they are: this server is the test's own memory.
        vault = Vault.of(settings, keeps=True)
        state = State(settings, MemoryClient(self.server), HeldMachine(self.clock, seed), vault)
        post = Post(settings.namespace)
        listening = InlineListening(state)
        self._tasks = Tasks(state, post, tasks or {})
        self.world = World(
            state, self.clock, post, Crew(self.server, state, self._place), self._tasks, listening
        )
        """What goes on, for tests that interfere."""
        self.server.go_on = self.world.go_on
        self.runner = Runner.over(state, post.send, middleware, listening)
        """A whole runner: ``on``, ``schedules``, ``throttles``, ``list``, ``retry`` and so on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def execute(
        self,
        workflow: Workflow | Mapping[str, Any] | str,
        *,
        store: Mapping[Any, Any] | None = None,
        timeout: Duration | None = None,
        **options: Any,
    ) -> RunResult:
        """Submit *workflow*, go on until the run has ended, and return its result.

        Time is skipped where nothing happens. Takes what :meth:`Runner.execute` takes; a run that
        failed is a result.

        Raises:
            RunStuckError: the run waits for what does not come by itself, a signal for example.
            RunTimeoutError: it has not ended within *timeout* of the engine's time.
        """
        return self.runner.execute(workflow, store=store, timeout=timeout, **options)

    def submit(self, workflow: Workflow | Mapping[str, Any] | str, **options: Any) -> Run:
        """Create a run and return its handle; nothing of it is done yet. As :meth:`Runner.submit`.

        ``run.wait()`` has it go on, as :meth:`execute` does.
        """
        return self.runner.submit(workflow, **options)

    def settle(self) -> None:
        """Do all that can be done now, until every run has ended, or waits for time or others.

        No time passes for it, unless a crash test has a worker die: that is found out and taken up
        again within seconds.
        """
        self.world.settle()

    def advance(self, duration: Duration) -> None:
        """Let *duration* pass. What falls due meanwhile is done in order, each at its time.

        Raises:
            ValueError: not a duration, or longer than a year.
        """
        self.world.advance(seconds(duration))

    @property
    def published(self) -> list[PublishedTask]:
        """The messages of other Celery tasks that actions have published, in order."""
        return list(self._tasks.published)

    def finish_task(self, task: PublishedTask | str, result: object = None) -> None:
        """Let a Celery task return *result*; who waits for it goes on with :meth:`settle`.

        Args:
            task: one of :attr:`published`, or the name of one: of several that have not ended, the
                oldest.
            result: anything that the store can hold.

        Raises:
            TrialError: no task of this name waits for its end.
        """
        self._tasks.finish(task, result)

    def fail_task(self, task: PublishedTask | str, error: BaseException) -> None:
        """Let a Celery task fail with *error*; otherwise as :meth:`finish_task`."""
        self._tasks.fail(task, error)

    def close(self) -> None:
        """Tear down what factories have made. Safe to repeat."""
        with ExitStack() as stack:
            stack.callback(close_loop)
            stack.callback(self.runner.close)
            stack.callback(self._made.close)

    def _place(self, worker: str) -> Place:
        return Place(
            worker,
            guard=self.clock.limited,
            stopping=is_interrupted,
            resources=lambda: nullcontext(self.resources),
            publish=lambda *message, **options: self._tasks.publish(*message, **options),
            slot=lambda: _SLOT,
        )
