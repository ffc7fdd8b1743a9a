"""The operations of producers and operators: from the submit of a run to its deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import redis

from gostage_core.sealing.marks import Whole
from gostage_core.sealing.texts import marked, reply_text
from gostage_core.state import scripts
from gostage_core.state.answers import answer_of, text_of
from gostage_core.state.client import our_errors
from gostage_core.state.scripted import Scripted
from gostage_core.state.sweeping import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gostage_core.state.answers import Answer

_PUSH: Final = "for i = 2, #ARGV do redis.call(ARGV[1], KEYS[1], ARGV[i]) end"
"""What goes on was let in before the server was full; so must be the message that says so."""


class Controls(Scripted):
    """What is asked of a run from outside of it."""

    def submit(self, run_id: str, arguments: Sequence[object], *, most: int = 0) -> Answer:
        """Create a run: ``created``, ``exists`` (and whose the key is), ``taken`` or ``full``.

        *most* runs may live at a time; 0 for any number.
        """
        return answer_of(
            self._run("submit", run_id, self.settings.window, most, *arguments), "created"
        )

    def deliver(self, run_id: str, entry: str, awaited: str, text: str) -> Answer:
        """Bring a waiting entry what it waits for: ``delivered``, ``repeated`` or ``gone``."""
        brought = Whole(text.encode(), "delivery", entry, awaited)
        return answer_of(
            self._run("deliver", run_id, entry, awaited, brought, self.settings.window),
            "delivered",
        )

    def signal(self, run_id: str, signal: str, name: str, text: bytes, details: str) -> Answer:
        """Send a run a signal: ``consumed``, ``kept``, ``repeated``, ``full``, ``ended``, ``gone``.

        *signal* is its id: one that came before changes nothing.
        """
        reply = self._run(
            "signal", run_id, signal, name, Whole(text, "signal", name), details,
            self.settings.max_signals, self.settings.window,
        )  # fmt: skip
        return answer_of(reply, "consumed")

    def ask(self, run_id: str, reply_to: str) -> str:
        """Have a run's result put onto a list when it has ended: ``asked`` or ``gone``."""
        return text_of(self._run("ask", run_id, reply_to)[0])

    def inspect(self, run_id: str) -> str:
        """Say whether a run can be gone on with: ``sound`` or ``gone``.

        Raises:
            CorruptRunError: its record is damaged where every operation needs it.
        """
        return text_of(self._run("inspect", run_id)[0])

    def reply(self, run_id: str, text: str) -> str:
        """Put a run's result onto the lists that are to get it, once: ``sent`` or ``gone``."""
        return text_of(self._run("reply", run_id, reply_text(text))[0])

    def edit(
        self, run_id: str, *, nonce: str, revision: int, details: str, edits: Sequence[object]
    ) -> Answer:
        """Change a plan as it was at *revision*, all or nothing: ``applied``, or why not."""
        reply = self._run("edit", run_id, nonce, revision, self.settings.window, details, *edits)
        return answer_of(reply, "applied")

    def note(self, run_id: str, *, nonce: str, kind: str, entry: str, details: str) -> str:
        """Write an entry of a run's journal that changes nothing else."""
        return text_of(self._run("note", run_id, nonce, kind, entry or "0", details)[0])

    def halt(self, run_id: str, status: str, why: str, grace: float | None = None) -> Answer:
        """Ask a run to end as *status*; after *grace* seconds what still runs is ended."""
        reply = self._run(
            "halt", run_id, status, why, self.settings.window,
            "" if grace is None else round(grace * 1000),
        )  # fmt: skip
        return answer_of(reply, "halted")

    def pause(self, run_id: str, details: str) -> Answer:
        """Hold a run: ``paused``, ``ended`` (and how) or ``gone``."""
        return answer_of(self._run("pause", run_id, details, self.settings.window), "paused")

    def resume(self, run_id: str, details: str) -> Answer:
        """Let a run go on that was paused: ``resumed``, ``ended`` (and how) or ``gone``."""
        return answer_of(self._run("resume", run_id, details, self.settings.window), "resumed")

    def retry(
        self,
        run_id: str,
        *,
        nonce: str,
        details: str,
        deadline: float | None,
        changes: Sequence[object],
        skip: Sequence[str],
    ) -> Answer:
        """Open a run again that has failed or was cancelled: ``retried``, or why not."""
        due = "" if deadline is None else max(1, round(deadline * 1000))
        reply = self._run(
            "retry", run_id, nonce, details, due, self.settings.window, *changes, len(skip), *skip
        )
        return answer_of(reply, "retried")

    def fork(
        self,
        run_id: str,
        *,
        head: Sequence[object],
        nodes: int,
        fields: Mapping[str, str],
        values: Sequence[object],
        edit_details: str,
        edits: Sequence[object],
    ) -> Answer:
        """Create a run whose plan and store are given: ``created``, ``taken``, or why not."""
        pairs = [part for name, text in fields.items() for part in (name, marked(name, text))]
        reply = self._run(
            "fork", run_id, self.settings.window, *head, nodes, len(fields), *pairs, *values,
            edit_details, *edits,
        )  # fmt: skip
        return answer_of(reply, "created")

    def purge(self, run_id: str, why: str = "") -> Answer:
        """Forget a run that has ended: ``purged``, ``damaged``, ``live`` or ``gone``.

        ``damaged`` is one that is forgotten too, whatever was left of it; ``live`` one that has not
        ended, or that the run above it may still ask for.

        Given *why*, as JSON, one that has not is ended first, and child runs are forgotten with it;
        and one that cannot be read is forgotten too.
        """
        word, *rest = self._run("purge", run_id, self.settings.window, why)
        if text_of(word) == "damaged":
            unreadable = text_of(rest.pop(0)).split()
            with our_errors(run_id, self.settings.redis_url):
                sweep(self.client, self.keys, unreadable)
        return answer_of([word, *rest], "purged", "damaged")

    def push(self, queue: str, texts: list[str], head: bool) -> None:
        """Put messages onto a queue of the broker, where that is this very server."""
        push, command = (self.client.rpush, "RPUSH") if head else (self.client.lpush, "LPUSH")
        with our_errors(url=self.settings.redis_url):
            try:
                push(queue, *texts)
            except redis.exceptions.OutOfMemoryError:
                self.client.eval(scripts.THOUGH_FULL + _PUSH, 1, queue, command, *texts)
