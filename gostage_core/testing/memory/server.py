"""A Redis server in memory: deterministic, with a clock that one holds, and copied in no time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from gostage_core.testing.memory.channels import Channels
from gostage_core.testing.memory.clock import Clock
from gostage_core.testing.memory.command import commands_of
from gostage_core.testing.memory.commands.hashes import Hashes
from gostage_core.testing.memory.commands.keys import Keys
from gostage_core.testing.memory.commands.lists import Lists
from gostage_core.testing.memory.commands.ranges import Ranges
from gostage_core.testing.memory.commands.scripting import Scripting
from gostage_core.testing.memory.commands.service import Service
from gostage_core.testing.memory.commands.sets import Sets
from gostage_core.testing.memory.commands.sorted_sets import SortedSets
from gostage_core.testing.memory.commands.strings import Strings
from gostage_core.testing.memory.interpreter import Interpreter
from gostage_core.testing.memory.keyspace import Keyspace
from gostage_core.testing.memory.replies import CommandError, wrong_number_of_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from gostage_core.testing.memory.channels import Mailbox
    from gostage_core.testing.memory.command import Command
    from gostage_core.testing.memory.keyspace import Snapshot


class MemoryServer:
    """What a Redis server is to gostage, with one database. Safe to share between threads.

    The same commands always give the same answers: nothing here knows real time or chance, and
    whatever has no order is told in the order of its names.

    Attributes:
        clock: What TIME answers and times to live are measured by.
        on_wait: Called with the seconds that a subscriber would wait for a notice, where that is
            the thread which made the server; by default that much time passes by the clock. Here a
            test has its world go on, or tells that nothing ever comes, by raising. Nobody sleeps.
    """

    def __init__(
        self, clock: Clock | None = None, *, on_wait: Callable[[float], object] | None = None
    ) -> None:
        """Make an empty server.

        Raises:
            ConfigurationError: the package lupa is not installed.
        """
        self.clock = clock or Clock()
        self.on_wait = on_wait or self.clock.advance
        self.channels = Channels()
        self.lock = threading.RLock()
        self._keyspace = Keyspace()
        self._commands = self._made()
        self._holder = threading.get_ident()

    def execute(self, words: Sequence[bytes]) -> Any:
        """Carry out a command, and return what it answers.

        Raises:
            CommandError: it is refused.
        """
        with self.lock:
            if self._keyspace.deadlines:
                self._keyspace.end(self.clock.milliseconds)
            return self.find(words).run(*words[1:])

    def find(self, words: Sequence[bytes]) -> Command:
        """Return the command that *words* call.

        Raises:
            CommandError: there is none of that name, or it takes more arguments, or fewer.
        """
        command = self._commands.get(words[0]) or self._commands.get(words[0].upper())
        if command is None:
            raise _unknown(words)
        if not command.least < len(words) <= command.most + 1:
            raise wrong_number_of_arguments(words[0].decode(errors="replace"))
        return command

    def wait(self, mailbox: Mailbox, seconds: float | None) -> None:
        """Let a subscriber wait for a notice, at most so long.

        On the thread that made the server nobody sleeps: ``on_wait`` is called. Another thread
        sleeps until something is published to it, for *seconds* of real time at most.

        Raises:
            RuntimeError: the thread that made the server would wait without end.
        """
        if threading.get_ident() != self._holder:
            self.channels.sleep(mailbox, seconds)
        elif seconds is None:
            raise RuntimeError("a subscriber waits without end for what this thread alone can send")
        else:
            self.pass_time(mailbox, seconds)

    def pass_time(self, mailbox: Mailbox, seconds: float) -> None:
        """Let at most so many seconds pass for a subscriber, on the thread that made the server."""
        self.on_wait(seconds)

    def snapshot(self) -> Snapshot:
        """Return all keys and the time, to go back to. It costs a few microseconds.

        Subscriptions and known scripts are no part of it.
        """
        with self.lock:
            return self._keyspace.snapshot(self.clock.microseconds)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to *snapshot*, as often as one likes. It may be another server's."""
        with self.lock:
            self._keyspace.restore(snapshot)
            self.clock.microseconds = snapshot.microseconds

    def content(self) -> Hashable:
        """Return all keys with what they hold and when they end, hashable.

        It is equal for servers that hold the same, whatever has led to that, and whatever their
        time is. What has not been written since the last call is not looked at again.
        """
        with self.lock:
            return self._keyspace.content()

    def _made(self) -> dict[bytes, Command]:
        keyspace, clock = self._keyspace, self.clock
        groups: list[object] = [
            Strings(keyspace, clock),
            Hashes(keyspace),
            Lists(keyspace),
            Sets(keyspace),
            SortedSets(keyspace),
            Ranges(keyspace),
            Keys(keyspace, clock),
            Service(keyspace, clock, self.channels),
        ]
        interpreter = Interpreter()
        groups.append(Scripting(interpreter))
        commands = {name: command for group in groups for name, command in commands_of(group)}
        for name, command in commands.items():
            interpreter.offer(name, command)
        return commands


def _unknown(words: Sequence[bytes]) -> CommandError:
    name, *arguments = (word.decode(errors="replace") for word in words)
    shown = "".join(f"'{argument}' " for argument in arguments)
    return CommandError(f"ERR unknown command '{name}', with args beginning with: {shown}")
