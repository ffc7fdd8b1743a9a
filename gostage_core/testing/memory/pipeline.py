"""Commands that a client collects, to send them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import redis
from redis.client import Pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gostage_core.testing.memory.faults import Words
    from gostage_core.testing.memory.line import Line

Stack = list[tuple[Any, dict[str, Any]]]


class MemoryPipeline(Pipeline):
    """What ``client.pipeline()`` is for a server in memory. There is no WATCH."""

    def __init__(self, client: Any, line: Line, *, together: bool) -> None:
        """Collect commands of *client*, a MemoryClient.

        Nobody comes between them in any case. Where they are to be carried out *together*, none is
        when one of them is none that the server could begin with.
        """
        super().__init__(client.connection_pool, client.response_callbacks, together, None)
        self._client = client
        self._line = line
        self._together = together

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Carry out a command now."""
        return self._client.execute_command(*args, **options)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Carry out what was collected, and return the answers, errors among them.

        Raises:
            ResponseError: the first error, if *raise_on_error*.
            ConnectionError: a fault.
        """
        own = cast("Any", self)  # redis-py has no types for these
        stack: Stack = self.command_stack
        try:
            if self.scripts:
                own.load_scripts()
            answers = self._answers(stack) if stack else []
            if raise_on_error:
                own.raise_first_error(stack, answers)
            return answers
        finally:
            self.reset()

    def _answers(self, stack: Stack) -> list[Any]:
        commands = [self._line.words(args) for args, _ in stack]
        if self._together:
            self._check(commands, stack)
        answers = []
        for reply, (args, options) in zip(self._line.send(commands), stack, strict=True):
            try:
                answers.append(self._line.read(reply, args[0], options))
            except redis.ResponseError as error:
                answers.append(error)
        return answers

    def _check(self, commands: Sequence[Words], stack: Stack) -> None:
        for number, (words, (args, _)) in enumerate(zip(commands, stack, strict=True), 1):
            error = self._line.check(words)
            if error is not None:
                cast("Any", self).annotate_exception(error, number, args)
                raise error
