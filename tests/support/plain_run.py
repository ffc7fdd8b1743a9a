"""A plain model of one run as its operations see it: no server, no messages, no time but a count.

A run of actions one after the other. Each operation says what the scripts are to answer; afterwards
the model stands as the record of the run is to stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

OVER: Final = frozenset({"completed", "failed", "cancelled"})
ENDED_AN_ATTEMPT: Final = frozenset("cfzw")


@dataclass
class Attempt:
    """A claim that was handed out, told apart by its nonce and by which try it was."""

    index: int
    nonce: str
    slot: str
    number: int = 0


@dataclass
class Entry:
    """One action of the run."""

    state: str = ""
    """As records have it; empty while it is pending."""
    nonce: str = ""
    number: int = 0
    """Nonce and number of its last attempt."""
    tries: int = 0
    """Without those that did not begin, or that wait."""
    slot: str = ""
    lost: int = 0
    heard: bool = False
    """Whether the signal that it waits for has come."""


@dataclass
class PlainRun:
    """One run; ``live`` is the index of the action whose turn it is."""

    count: int
    most_losses: int
    entries: list[Entry] = field(default_factory=list)
    live: int = 0
    began: bool = False
    paused: bool = False
    stop: bool = False
    status: str = "pending"
    kept: int = 0
    signals: set[str] = field(default_factory=set)
    retried: str = ""

    def __post_init__(self) -> None:
        """Begin with the first action ready."""
        self.entries = [Entry() for _ in range(self.count)]
        self.entries[0].state = "r"

    # What a worker asks

    def claim(self, index: int, nonce: str, slot: str) -> str:
        one = self.entries[index]
        if one.nonce == nonce:
            return "claimed" if one.state == "x" else "done"
        words = {"": "early", "z": "early", "w": "early", "x": "held"}
        if one.state != "r":
            return words.get(one.state, "done")
        if self.status == "paused":
            return "paused"
        one.state, one.nonce, one.slot = "x", nonce, slot
        one.number = one.tries = one.tries + 1
        self.began = True
        self._settle()
        return "claimed"

    def commit(self, attempt: Attempt) -> str:
        if word := self._refusal(attempt):
            return word
        self._end("c")
        return "committed"

    def fail(self, attempt: Attempt, *, again: bool) -> str:
        if word := self._refusal(attempt):
            return word
        if again and not self.stop:
            self._now("z")
            return "retrying"
        self.entries[attempt.index].state = "f"
        self._finish("cancelled" if self.stop else "failed")
        return "failed"

    def release(self, attempt: Attempt) -> str:
        if word := self._refusal(attempt):
            return word
        self.entries[attempt.index].tries -= 1
        self._wait("r")
        return "released"

    def sleep(self, attempt: Attempt) -> str:
        if word := self._refusal(attempt):
            return word
        self.entries[attempt.index].tries -= 1
        self._wait("z")
        return "waiting"

    def listen(self, attempt: Attempt) -> str:
        if word := self._refusal(attempt):
            return word
        one = self.entries[attempt.index]
        one.tries -= 1
        if self.stop:
            self._wait("w")
        elif one.heard or self.kept:
            self.kept -= not one.heard
            one.heard = True
            self._now("r")
        else:
            self._wait("w")
        return "waiting"

    # What others ask

    def lose(self, attempt: Attempt) -> str:
        one = self.entries[attempt.index]
        if one.state != "x" or one.slot != attempt.slot:
            return "gone"
        one.lost += 1
        if one.lost >= self.most_losses:
            one.state = "f"
            self._finish("cancelled" if self.stop else "failed")
        else:
            self._wait("r")
        return "taken"

    def pass_time(self) -> None:
        if self.status not in OVER and not self.paused and self._one.state == "z":
            self._now("r")

    def signal(self, name: str) -> str:
        if name in self.signals:
            return "repeated"
        if self.status in OVER or self.stop:
            return "ended"
        self.signals.add(name)
        if self._one.state == "w":
            self._one.heard = True
            self._now("r")
            return "consumed"
        self.kept += 1
        return "kept"

    def pause(self) -> str:
        if self.status in OVER:
            return "ended"
        self.paused = True
        self._settle()
        return "paused"

    def resume(self) -> str:
        if self.status in OVER:
            return "ended"
        self.paused = False
        self._settle()
        return "resumed"

    def halt(self) -> str:
        if self.status in OVER:
            return "ended"
        self.stop, self.paused = True, False
        self._settle()
        if self._one.state != "x":
            self._one.state = "k"
            self._finish("cancelled")
        return "halted"

    def retry(self, nonce: str) -> str:
        if self.retried == nonce:
            return "retried"
        if self.status not in ("failed", "cancelled"):
            return "state"
        self.retried, self.stop = nonce, False
        left = [i for i, one in enumerate(self.entries) if one.state != "c"]
        if not left:  # it was cancelled while the last of them ran, which ended well
            self.status = "completed"
            return "retried"
        self.live = left[0]
        self._one.lost = 0
        self._now("r")
        return "retried"

    # How it goes on

    @property
    def _one(self) -> Entry:
        return self.entries[self.live]

    def _refusal(self, attempt: Attempt) -> str:
        one = self.entries[attempt.index]
        is_its = (one.nonce, one.number) == (attempt.nonce, attempt.number)
        if is_its and one.state in ENDED_AN_ATTEMPT:
            return "repeated"
        return "" if is_its and one.state == "x" else "fenced"

    def _now(self, state: str) -> None:
        self._one.state = state
        self.status = ""
        self._settle()

    def _wait(self, state: str) -> None:
        if self.stop:
            self._one.state = "k"
            self._finish("cancelled")
        else:
            self._now(state)

    def _end(self, state: str) -> None:
        self._one.state = state
        if self.stop:
            self._finish("cancelled")
        elif self.live + 1 == self.count:
            self._finish("completed")
        else:
            self.live += 1
            self._now("r")

    def _finish(self, status: str) -> None:
        self.status, self.paused = status, False

    def _settle(self) -> None:
        if self.status in OVER:
            return
        standing = {"r": "running", "x": "running", "z": "sleeping", "w": "waiting"}
        self.status = standing.get(self._one.state, "running") if self.began else "pending"
        if self.paused:
            self.status = "paused"
