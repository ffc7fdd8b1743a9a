"""The operations of the rescuer: leases, timers, messages that may be lost, throttles."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gostage_core.sealing.texts import failure_text
from gostage_core.state.answers import (
    Answer,
    Due,
    Roused,
    Sought,
    answer_of,
    pairs_of,
    text_of,
    texts_of,
)
from gostage_core.state.client import our_errors
from gostage_core.state.keys import escaped
from gostage_core.state.scripted import HOLD_MS, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gostage_core.state.answers import Member


class Upkeep(Scripted):
    """What keeps every run moving."""

    def tick(self, processes: Iterable[str], *, judge: bool, limit: int = 200) -> Due:
        """Renew the leases of *processes* and hand out what is due."""
        living = list(processes)
        reply = self._run_shared(
            "tick",
            "wake",
            round(self.settings.lease * 1000),
            round((self.settings.lease - 1.5 * self.settings.tick) * 1000),
            HOLD_MS,
            limit,
            int(judge),
            len(living),
            *living,
        )
        now, timers, unseen, dead, *others = cast("list[list[object]]", reply)
        expired, throttles, schedules, doomed = others
        return Due(
            now=cast("int", now),
            timers=_members(timers),
            unseen=_members(unseen),
            dead={
                text_of(process): pairs_of(claims)
                for process, claims in zip(dead[::2], dead[1::2], strict=True)
            },
            expired=texts_of(expired),
            throttles=texts_of(throttles),
            schedules=texts_of(schedules),
            doomed=pairs_of(doomed),
        )

    def renew(self, processes: Iterable[str]) -> dict[str, str]:
        """Renew the leases of *processes*; return what of theirs is to be stopped.

        Told until it has been: ``"slot run entry"`` of each such process.
        """
        return self.tick(processes, judge=False, limit=0).doomed

    def rouse(self, run_id: str, what: str, timer: str, deadline: str) -> Roused:
        """Look at one due timer of a run."""
        reply = self._run(
            "rouse", run_id, what, timer, deadline, self.settings.max_losses, self.settings.window,
            round(self.settings.cancel_grace * 1000),
        )  # fmt: skip
        return Roused(answer_of(reply, "taken"), reply[1:])

    def seek(self, run_id: str, entry: str) -> Sought | None:
        """Look for the message of an action; ``None`` when it waits for none any more."""
        word, *parts = self._run("seek", run_id, entry)
        if word != b"waiting":
            return None
        return Sought(run_id, entry, *cast("tuple[bytes, int, int]", tuple(parts)))

    def lose(self, run_id: str, entry: str, process: str, slot: str, *, counted: bool) -> Answer:
        """Take an attempt from a process that has died, or (not counted) is leaving."""
        reply = self._run(
            "lose", run_id, entry, process, slot, int(counted), self.settings.max_losses,
            self.settings.window,
        )  # fmt: skip
        return answer_of(reply, "taken")

    def expire(self, run_id: str, entry: str, *, policy: str, failure: str, details: str) -> Answer:
        """End an entry that was not done at its deadline: ``failed``, ``continued`` or ``gone``."""
        told = (failure_text(failure), failure_text(details))
        reply = self._run("expire", run_id, entry, policy, self.settings.window, *told)
        return answer_of(reply, "failed", "continued")

    def compensate(self, run_id: str, stage: str, spec: str, details: str) -> Answer:
        """Begin to undo what a run has done, in a stage of its own."""
        reply = self._run("compensate", run_id, stage, spec, details, self.settings.window)
        return answer_of(reply, "compensating")

    def invite(self, throttle: str, *change: object) -> Answer:
        """Let those go on that stand in line for a throttle, as far as there is room.

        *change* is ``"set"`` with other numbers (how many at a time, how many within how many ms;
        empty for what actions bring), or ``"clear"`` for all that these bring.
        """
        reply = self._run_shared(
            "invite", "refill", throttle, self.settings.window, *(change or ("",))
        )
        return answer_of(reply, "invited")

    def working(self) -> set[str]:
        """Return the processes that work on something now. Reads the name of every key."""
        prefix = self.keys.of("claims", "")
        with our_errors(url=self.settings.redis_url):
            found = list(self.client.scan_iter(f"{escaped(prefix)}*", count=1_000))
        return {text_of(key).removeprefix(prefix) for key in found}

    def claims_of(self, process: str) -> dict[str, str]:
        """Return what a process works on: slot -> ``"run entry"``."""
        with our_errors(url=self.settings.redis_url):
            held = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.of("claims", process)))
        return {text_of(slot): text_of(member) for slot, member in held.items()}

    def marks(self) -> dict[str, int]:
        """Return for each queue when the youngest message that was taken from it had been sent."""
        with our_errors(url=self.settings.redis_url):
            marks = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.of("marks")))
        return {text_of(queue): int(at) for queue, at in marks.items() if at.isdigit()}

    def postpone(self, index: str, member: str, seconds: float, *, known: bool = True) -> None:
        """Leave *member* of an index alone for so long: its run is damaged.

        One that is not there any more stays away, unless it need not be *known*.
        """
        until = self.server_ms() + round(seconds * 1000)
        with our_errors(url=self.settings.redis_url):
            self.client.zadd(self.keys.of(index), {member: until}, xx=known)

    def drop_claim(self, process: str, slot: str) -> None:
        """Take a claim off the books of a process."""
        with our_errors(url=self.settings.redis_url):
            self.client.hdel(self.keys.of("claims", process), slot)

    def end_lease(self, process: str) -> None:
        """Let the lease of a process that has ended be over.

        It stays on the books until a tick finds them empty: a claim of it may still be under way.
        """
        with our_errors(url=self.settings.redis_url):
            self.client.zadd(self.keys.of("alive"), {process: 0})


def _members(reply: object) -> tuple[Member, ...]:
    return tuple(tuple(text.split(" ")) for text in texts_of(reply))
