"""The shipped scripts, executor and rescuer over a server in memory, set to any standing."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from gostage_core.attempt import Executor, Place
from gostage_core.machine import Machine
from gostage_core.rescuer import Rescuer
from gostage_core.runner import Runner
from gostage_core.settings import Settings
from gostage_core.state import scripts
from gostage_core.state.answers import Due, answer_of
from gostage_core.state.operations import State
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.checker.standing import Standing, Worker
from tests.support.bench import Post

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.state.answers import Answer, Claim
    from gostage_core.testing.memory.faults import Words
    from tests.checker.standing import Words as Sent
    from tests.checker.worlds import World
    from tests.support.bench import Message

_LOOKING = frozenset(("read", "seek", "inspect", "control"))
"""Operations whose lost answer costs nothing."""
_WORKERS = 2


class AnswerLostError(BaseException):
    """The server has carried out a request, and its client does not know."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = tuple(words)


class _Numbered(Machine):
    """Nonces are numbers, and nothing is left to chance."""

    def __init__(self) -> None:
        self.given = 0

    def random(self) -> float:
        return 0.5

    def token(self, size: int = 16) -> str:
        del size
        self.given += 1
        return f"N{self.given}_"


class _Handed(State):
    """A state whose tick finds what it is told to find: one piece of a rescuer's work."""

    due = Due(0)

    def tick(self, *_args: object, **_options: object) -> Due:
        return self.due


class Engine:
    """All that is shipped, for one standing after another. For one thread."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        for name in scripts.names():
            self.server.execute([b"SCRIPT", b"LOAD", scripts.source(name).encode()])
        self._client = MemoryClient(self.server)
        self._machine = _Numbered()
        settings = Settings(namespace="checker", window=2, max_past_bytes=0, max_losses=100)
        self.state = _Handed(settings, self._client, self._machine)
        self.post = Post()
        self.runner = Runner.over(self.state, self.post.send)
        self._rescuer = Rescuer(self.state, self.post, lambda _queue: len(self.post.messages))
        self._operations = {scripts.digest(name).encode(): name for name in scripts.names()}

    def first(self, world: World, faults: int) -> Standing:
        """Return how a world begins: its runs are submitted, and two workers are idle."""
        self.server.execute([b"FLUSHALL"])
        self.post.messages.clear()
        self._machine.given = 0
        for number in range(1, world.runs + 1):
            self.runner.submit(world.plan(), run_id=f"run{number}")
        workers = tuple(Worker(self.new_process()) for _ in range(_WORKERS))
        return self.taken(Standing(self.server.snapshot(), workers, (), faults, world.deeds))

    def set_to(self, standing: Standing) -> None:
        """Let the server, the messages and chance be as they are there."""
        self.server.restore(standing.server)
        self.post.messages.clear()
        self.post.messages.extend(standing.queue)
        self._machine.given = standing.unique

    def taken(self, standing: Standing) -> Standing:
        """Return *standing* with the server, the messages and chance as they are now."""
        queue = sorted(
            (replace(one, head=False) for one in self.post.messages),
            key=lambda one: (one.run_id, int(one.entry), one.tail),
        )
        server, given = self.server.snapshot(), self._machine.given
        return replace(standing, server=server, queue=tuple(queue), unique=given)

    def new_process(self) -> str:
        """Return the name of a process that never was."""
        return self._machine.token().replace("N", "P")

    def nonce(self) -> str:
        """Return what no request had before."""
        return self._machine.token()

    def claim(self, process: str, message: Message, nonce: str) -> Claim | str:
        """Have a process claim what a message hints at."""
        return self.state.claim(
            message.run_id, message.entry, nonce=nonce, process=process, slot="s", mark=""
        )

    def executor(self, process: str) -> Executor:
        """Return what makes the attempts of a process."""
        return Executor(self.state, Place(process, slot=lambda: "s"))

    def rescue(self, **found: Any) -> None:
        """Have a rescuer do what its tick has found."""
        self.state.due = Due(0, **found)
        self._rescuer.tick()

    def give_back(self, process: str, slot: str, member: str) -> None:
        """Have a rescuer take what a living process is not at."""
        self._rescuer.give_back(process, slot, member)

    def record(self, run_id: str, entry: str) -> str:
        """Return the record of an entry, as it is kept."""
        found = self.state.client.hget(self.state.keys.of("plan", run_id), f"r{entry}")
        return found.decode() if isinstance(found, bytes) else ""

    def again(self, words: Sent) -> Answer:
        """Send a request again, byte for byte."""
        reply = self.server.execute(words)
        goes_on = len(reply) > 1 and reply[1] in (b"keep", b"chain", b"group")
        word = reply[0].decode()
        return answer_of([_plain(part) for part in reply], *((word,) if goes_on else ()))

    def operation(self, words: Sent) -> str:
        """Return which operation a request is."""
        return self._operations[words[1]]

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        """Lose the answer of the first operation inside that changes something."""
        self._client.answered = self._lose
        try:
            yield
        finally:
            self._client.answered = None

    def _lose(self, commands: Sequence[Words]) -> None:
        for words in commands:
            if words[0] == b"EVALSHA" and self.operation(tuple(words)) not in _LOOKING:
                raise AnswerLostError(words)


def _plain(part: object) -> object:
    return part if isinstance(part, (bytes, int, list)) else bytes(cast("Any", part))
