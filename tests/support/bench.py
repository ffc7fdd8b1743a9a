"""A workbench for the engine: the real executor, scripts and rescuer, with messages in a list.

Messages are delivered by hand, lost, doubled or kept back; an attempt may die at each of its
moments; timers come due when the test says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gostage_core.attempt import Ended, Executor, Moment, Place
from gostage_core.rescuer import Rescuer
from gostage_core.runner import Runner
from gostage_core.scheduling.firing import Firing
from gostage_core.state.operations import State

if TYPE_CHECKING:
    from redis import Redis

    from gostage_core.authoring.workflow import Workflow
    from gostage_core.plan import Carrier
    from gostage_core.port import AttemptPort
    from gostage_core.result import RunResult
    from gostage_core.run import Run
    from gostage_core.settings import Settings
    from gostage_core.state.answers import Next, Ready


class Crash(BaseException):
    """The death of a worker's process."""


class Doubting(Executor):
    """Keeps what bodies find wrong: else it would be their failure alone, which nobody may see."""

    doubt: AssertionError | None = None

    def _fail(self, port: AttemptPort, error: BaseException) -> Ended:
        if isinstance(error, AssertionError):
            self.doubt = error
        return super()._fail(port, error)


@dataclass(frozen=True)
class Message:
    """A hint on its way, with the tail that its chain carries."""

    run_id: str
    entry: str
    tail: tuple[str, ...] = ()
    head: bool = False


@dataclass
class Post:
    """Stands where the coordinator would: keeps messages instead of publishing them."""

    messages: deque[Message] = field(default_factory=deque)
    sent_again: int = 0

    def send(self, run_id: str, following: Next, *, head: bool = False) -> None:
        for first, *others in following.messages():
            tail, at_head = tuple(ready.entry for ready in others), head or first.head
            message = Message(first.run_id or run_id, first.entry, tail, at_head)
            (self.messages.appendleft if at_head else self.messages.append)(message)

    def send_again(self, run_id: str, ready: Ready) -> None:
        self.sent_again += 1
        self.messages.appendleft(Message(run_id, ready.entry, head=True))

    def queue_of(self, carrier: Carrier) -> str:
        return carrier.queue or "queue"


class Bench:
    """One run's world: a runner, workers by name, messages, and a rescuer."""

    def __init__(self, settings: Settings, client: Redis | None = None) -> None:
        """Stand on the server of *settings*, or on whosever *client* it is."""
        self.settings = settings
        self.state = State(settings, client)
        self.post = Post()
        self.die_at: Moment | None = None
        self.died: list[str] = []
        self._workers: dict[str, Doubting] = {}
        self._runner = Runner.over(self.state, self.post.send)
        firing = Firing(self.state, self.post.send)
        self.rescuer = Rescuer(self.state, self.post, lambda _queue: 0, fire=firing.fire)

    def submit(self, workflow: Workflow, **options: object) -> Run:
        return self._runner.submit(workflow, **options)  # type: ignore[arg-type]

    @property
    def runner(self) -> Runner:
        """Its runs' runner, whose messages are kept here."""
        return self._runner

    def close(self) -> None:
        """Close the connections."""
        self._runner.close()

    def deliver(self, message: Message, worker: str = "w") -> Ended | None:
        """Hand a message to a worker; ``None`` when the worker died of it.

        Raises:
            AssertionError: that of a body, when its attempt has ended.
        """
        have = message.tail[0] if message.tail else ""
        mark = "" if message.head else "queue"
        executor = self._worker(worker)
        try:
            ended = executor.attempt(message.run_id, message.entry, mark=mark, have=have)
        except Crash:
            self.died.append(worker)
            return None
        if executor.doubt is not None:
            raise executor.doubt
        if ended.next.mode == "keep":
            self.post.messages.append(Message(message.run_id, have, message.tail[1:]))
        else:
            self.post.send(message.run_id, ended.next)
        return ended

    def step(self, worker: str = "w") -> Ended | None:
        """Deliver the next message."""
        return self.deliver(self.post.messages.popleft(), worker)

    def drain(self, run: Run) -> RunResult:
        """Deliver, let time pass and take from the dead, until the run has ended."""
        for _ in range(5_000):
            if run.status.is_terminal:
                return run.result()
            if self.post.messages:
                self.step()
            else:
                self.bury()
                self.pass_time()
        raise AssertionError(f"the run does not end: {run.result()}")

    def bury(self) -> None:
        """Take back what dead workers held."""
        while self.died:
            worker = self.died.pop()
            self.rescuer.lost(worker)

    def pass_time(self) -> None:
        """Let every timer come due, and the rescuer see it."""
        client = self.state.client
        for index in map(self.state.keys.of, ("wake", "sent", "refill")):
            for member in client.zrange(index, 0, -1):  # type: ignore[union-attr]
                self._make_due(member.decode())
                client.zadd(index, {member: 0}, xx=True)
        self.state.renew([worker for worker in self._workers if worker not in self.died])
        self.rescuer.tick()

    def _make_due(self, member: str) -> None:
        """Set the due time in the record of a sleeping entry to the past."""
        run_id, entry, *timer = [*member.split(" "), ""][:3]
        plan = self.state.keys.of("plan", run_id)
        record = self.state.client.hget(plan, f"r{entry}")
        if timer == [""] and record and record[:1] in (b"z", b"w"):  # type: ignore[union-attr]
            parts = record.split(b"|")  # type: ignore[union-attr]
            parts[5] = b"1" if parts[5] != b"0" else b"0"
            self.state.client.hset(plan, f"r{entry}", b"|".join(parts))  # type: ignore[arg-type]

    def _worker(self, name: str) -> Doubting:
        if name not in self._workers:
            self._workers[name] = Doubting(self.state, Place(name), reached=self._reached)
        return self._workers[name]

    def _reached(self, moment: Moment) -> None:
        if moment is self.die_at:
            self.die_at = None
            raise Crash
