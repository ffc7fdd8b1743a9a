"""The operations of an attempt: from the lease on an action to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gostage_core.sealing.marks import Document, Whole
from gostage_core.sealing.texts import failure_text, reason_text, result_text, scratch_text
from gostage_core.state.answers import Claim, Stored, answer_of, text_of
from gostage_core.state.client import our_errors
from gostage_core.state.scripted import GRACE_MS, Scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gostage_core.state.answers import Answer, CommitParts


class Attempts(Scripted):
    """What a worker asks for the attempts that it makes."""

    def claim(
        self, run_id: str, entry: str, *, nonce: str, process: str, slot: str, mark: str
    ) -> Claim | str:
        """Take the lease of an action; a word says why it is not to be had."""
        reply = self._run(
            "claim", run_id, entry, nonce, process, slot, round(self.settings.lease * 1000), mark,
            self.settings.small_store, GRACE_MS,
        )  # fmt: skip
        if reply[0] != b"claimed":
            return text_of(reply[0])
        return Claim(
            run_id=run_id,
            entry=entry,
            token=text_of(reply[1]),
            attempt=cast("int", reply[2]),
            fails=cast("int", reply[3]),
            spec=cast("bytes", reply[4]),
            store=_small_store(reply[5]),
            shared=reply[6] == 1,
            phase=cast("int", reply[7]),
            due=cast("int", reply[8]),
            left=cast("int", reply[9]) / 1000 if reply[8] else None,
        )

    def commit(self, claim: Claim, *, have: str, parts: CommitParts) -> Answer:
        """End an attempt that did its work, all or nothing."""
        reply = self._run(
            "commit", claim.run_id, claim.entry, claim.token, have, self.settings.window,
            reason_text(parts.bail), result_text(parts.value, claim.entry), parts.undo,
            *_report(parts.report), *parts.changes, *parts.planned,
        )  # fmt: skip
        return answer_of(reply, "committed")

    def wait(self, claim: Claim, *, changes: Sequence[object], parts: Sequence[object]) -> Answer:
        """End a phase of an attempt, whose entry now waits for what *parts* says."""
        if parts[0] == "run" and self.vault.is_open:
            parts = self.vault.sealed(self._child_id(claim, str(parts[1])), parts)
        reply = self._run(
            "wait", claim.run_id, claim.entry, claim.token, self.settings.window, *changes, *parts
        )
        return answer_of(reply, "waiting")

    def fail(
        self,
        claim: Claim,
        *,
        delay: float | None,
        policy: str,
        failure: str,
        details: str,
        missed: int | None = None,
    ) -> Answer:
        """End an attempt that failed; *delay* seconds until the next one, ``None`` for none.

        *missed* is the wait of the entry that nothing came for, if that is what failed it.
        """
        due = "" if delay is None else max(1, round(delay * 1000))
        reply = self._run(
            "fail", claim.run_id, claim.entry, claim.token, due, policy, self.settings.window,
            failure_text(failure), failure_text(details), "" if missed is None else missed,
        )  # fmt: skip
        return answer_of(reply, "retrying", "continued", "failed")

    def release(self, claim: Claim, *, delay: float, reason: str) -> Answer:
        """Give an attempt back that did not begin its work."""
        reply = self._run(
            "release", claim.run_id, claim.entry, claim.token, round(delay * 1000), reason,
            self.settings.window,
        )  # fmt: skip
        return answer_of(reply, "released")

    def checkpoint(self, claim: Claim, *, nonce: str, changes: Sequence[object]) -> Answer:
        """Write store changes of an attempt that goes on."""
        reply = self._run("checkpoint", claim.run_id, claim.entry, claim.token, nonce, *changes)
        return answer_of(reply)

    def remember(self, claim: Claim, what: str, text: bytes) -> str:
        """Keep what an entry did once: ``kept``, ``known`` (it was before) or ``lost``."""
        kept = Whole(text, "memo", claim.entry, what)
        return text_of(self._run("remember", claim.run_id, claim.entry, claim.token, what, kept)[0])

    def remembered(self, run_id: str, entry: str, what: str) -> bytes | None:
        """Return what an entry remembers under a name."""
        found = self._memo(run_id, entry, what)
        told = f"what entry {entry} has kept"
        return found and self.vault.whole(run_id, found, "memo", entry, what, what=told)

    def answered(self, run_id: str, entry: str, which: int, signal: str) -> bytes | None:
        """Return what became of a wait of an entry for a signal: a letter, and what it brings."""
        found = self._memo(run_id, entry, f"s{which}")
        if not found:
            return found
        told = f"signal {signal!r}"
        return found[:1] + self.vault.whole(run_id, found[1:], "signal", signal, what=told)

    def control(self, claim: Claim, progress: str = "") -> str:
        """Say whether an attempt may go on: ``go``, ``stop`` or ``lost``."""
        told = Document(progress, ("message",))
        return text_of(self._run("control", claim.run_id, claim.entry, claim.token, told)[0])

    def say(
        self, claim: Claim, *, nonce: str, type: str, payload: str, stage: str, action: str
    ) -> Answer:
        """Keep a message of an attempt: ``said``, ``full`` (and which run) or ``lost``."""
        reply = self._run(
            "say", claim.run_id, claim.entry, claim.token, nonce, self.settings.max_messages,
            type, Whole(payload.encode(), "message", type, stage, action, is_json=True), stage,
            action,
        )  # fmt: skip
        return answer_of(reply)

    def abandon(self, claim: Claim, process: str, slot: str) -> None:
        """Have the rescuer look at an attempt that has ended without being ended."""
        self._run("abandon", claim.run_id, claim.entry, process, slot)

    def read(self, run_id: str, names: Sequence[str]) -> list[Stored]:
        """Read keys of a run's store."""
        reply = self._run("read", run_id, *names, key=self.keys.of("store", run_id))
        return [
            Stored(
                cast("bytes | None", reply[i]),
                cast("bytes | None", reply[i + 1]),
                None if reply[i + 2] is None else tuple(cast("list[bytes]", reply[i + 2])),
                self.vault.opener(run_id, names[i // 3]),
            )
            for i in range(0, len(reply), 3)
        ]

    def _memo(self, run_id: str, entry: str, what: str) -> bytes | None:
        with our_errors(run_id, self.settings.redis_url):
            found = self.client.hget(self.keys.of("plan", run_id), f"d{entry} {what}")
        return cast("bytes | None", found)

    def _child_id(self, claim: Claim, first: str) -> str:
        """Return what the next child run of an entry is called, which its holder alone begins."""
        with our_errors(claim.run_id, self.settings.redis_url):
            known = self.client.hget(self.keys.of("plan", claim.run_id), f"a{claim.entry}")
        before = len(cast("bytes", known).split(b"\n")) if known else 0
        return f"{first}-{before}" if before else first


def _report(report: Sequence[str]) -> list[object]:
    """Return what a hook reports as the scripts read it: a count, then verdict and so on."""
    if not report:
        return [0]
    verdict, scratch, by, reason = report
    return [4, verdict, scratch_text(scratch), by, Whole(reason.encode(), "reason")]


def _small_store(reply: object) -> dict[str, bytes] | None:
    if reply is None:
        return None
    parts = cast("list[bytes]", reply)
    return {text_of(k): v for k, v in zip(parts[::2], parts[1::2], strict=True)}
