"""What all operations came to, one after another, and what of it should not have been."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from gostage_core.testing.memory.replies import CommandError

if TYPE_CHECKING:
    from gostage_core.state.keys import Keys
    from tests.simulation.server import ToldServer


class Facts:
    """The history of one server, as its operations tell it.

    Attributes:
        wrong: What should not have been, as sentences.
        counts: How often each operation was carried out, and with which answer.
        committed: The token under which each entry of a run was committed.
        order: Of each run, the tokens that were committed, one after another.
        kept: Of each entry, the checkpoints that were written.
        said: Of each run, the messages that its own actions have sent.
        signals: Of each run, the signals that it got, by their ids.
        fired: Of each schedule, the runs that it has submitted by its times.
        retried: How often each run was opened again.
    """

    def __init__(self, server: ToldServer, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self.forget()

    def forget(self) -> None:
        """Begin anew: the server has gone back to a time before."""
        self.tokens: dict[str, tuple[str, str]] = {}
        self.committed: dict[tuple[str, str], str] = {}
        self._holds: dict[tuple[str, str], str] = {}
        self.order: defaultdict[str, list[str]] = defaultdict(list)
        self.kept: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.said: defaultdict[str, set[str]] = defaultdict(set)
        self.signals: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.fired: defaultdict[str, list[str]] = defaultdict(list)
        self.retried: defaultdict[str, set[str]] = defaultdict(set)
        self._purged: Counter[str] = Counter()
        self._begins: defaultdict[str, list[int]] = defaultdict(list)
        self._bounds: defaultdict[str, list[int]] = defaultdict(list)

    def hear(self, name: str, args: list[str], reply: Any) -> None:
        """Take note of an operation."""
        self.counts[name] += 1
        if isinstance(reply, CommandError):
            self.wrong.append(f"{name} {args[:3]} ended with an error: {reply}")
            return
        word = reply[0].decode() if reply and type(reply[0]) is bytes else ""
        self.counts[f"{name}: {word}"] += 1
        told = _TOLD.get(name)
        if told is not None:
            told(self, word, args, reply)

    def most(self, key: str, planned: int) -> int:
        """Return how many may be within a throttle at most, whatever was set since; 0 for any."""
        bounds = [planned, *self._bounds[key]]
        return 0 if 0 in bounds else max(bounds)

    def lives(self, run_id: str) -> int:
        """Return how often a run with this id may have been deleted, with one above it or alone."""
        gone = self._purged.items()
        return sum(times for one, times in gone if f"{run_id}.".startswith(f"{one}."))

    def _claim(self, word: str, args: list[str], reply: Any) -> None:
        if word != "claimed":
            return
        run_id, entry, token = args[0], args[1], reply[1].decode()
        if token.partition(":")[2] != args[2]:
            self.wrong.append(f"{run_id} {entry} was given to two at once")
        known = self.tokens.get(token)
        self._holds[run_id, entry] = token
        if known is None:
            self.tokens[token] = run_id, entry
            self._check_throttle(run_id, entry)
        elif known != (run_id, entry):
            self.wrong.append(f"token {token} is that of {known} and of {run_id} {entry}")

    def _commit(self, word: str, args: list[str], _reply: Any) -> None:
        run_id, entry, token = args[:3]
        if word == "committed":
            if (run_id, entry) in self.committed and not self._is_hook(run_id, entry):
                self.wrong.append(f"{run_id} {entry} was committed twice")
            if self.tokens.get(token) != (run_id, entry):
                self.wrong.append(f"{run_id} {entry} was committed under a strange token")
            if self._holds.get((run_id, entry)) != token:
                self.wrong.append(f"{run_id} {entry} was committed by who had lost it")
            self.committed[run_id, entry] = token
            self.order[run_id].append(token)
        elif word == "fenced" and self.committed.get((run_id, entry)) == token:
            self.wrong.append(f"{run_id} {entry} was committed, and its worker is told otherwise")

    def _is_hook(self, run_id: str, entry: str) -> bool:
        """Whether an entry is one of those that run again when what is around them is."""
        text = self._server.ask("HGET", self._keys.of("plan", run_id), f"s{entry}")
        return b'"gostage.hook"' in (text or b"")

    def _checkpoint(self, word: str, args: list[str], _reply: Any) -> None:
        if word == "written":
            self.kept[args[0], args[1]].add(args[3])

    def _say(self, word: str, args: list[str], _reply: Any) -> None:
        if word == "said":
            self.said[args[0]].add(args[3])

    def _signal(self, word: str, args: list[str], _reply: Any) -> None:
        run_id, signal, _name, text = args[:4]
        if word in ("consumed", "kept"):
            if signal in self.signals[run_id]:
                self.wrong.append(f"{run_id} got signal {signal} twice")
            self.signals[run_id][signal] = text

    def _fire(self, word: str, args: list[str], reply: Any) -> None:
        run_id, _window, name, due = args[:4]
        if word == "created" and due:
            if run_id in self.fired[name]:
                self.wrong.append(f"schedule {name} has submitted {run_id} twice")
            self.fired[name].append(run_id)

    def _retry(self, word: str, args: list[str], _reply: Any) -> None:
        if word == "retried":
            self.retried[args[0]].add(args[1])

    def _purge(self, word: str, args: list[str], _reply: Any) -> None:
        """Forget what was of a run and of those below it: their ids may come again."""
        if word == "purged":
            self._purged[args[0]] += 1
            gone = args[0], f"{args[0]}."
            for of_entry in (self.committed, self.kept):
                for key in [k for k in of_entry if k[0] == gone[0] or k[0].startswith(gone[1])]:
                    del of_entry[key]
            for of_run in (self.order, self.said, self.signals):
                for run_id in [one for one in of_run if one == gone[0] or one.startswith(gone[1])]:
                    del of_run[run_id]

    def _invite(self, _word: str, args: list[str], _reply: Any) -> None:
        key, _window, change = args[:3]
        if change:
            self._begins[key].clear()
            if change == "set" and args[3]:
                self._bounds[key].append(int(args[3]))

    def _check_throttle(self, run_id: str, entry: str) -> None:
        """Check that the one that has just begun was let in by its throttle as it should be."""
        text = self._server.ask("HGET", self._keys.of("plan", run_id), f"t{entry}")
        if not text:
            return
        *given, key = text.decode().split("|", 3)
        own = self._server.ask("HMGET", self._keys.of("throttle", key), "most", "rate", "per")
        numbers = [int(said if one is None else one) for one, said in zip(own, given, strict=True)]
        self._check_rate(key, *numbers[1:])
        most = self.most(key, int(given[0]))
        inside = self._server.ask("SCARD", self._keys.of("inside", key))
        if most and inside > most:
            self.wrong.append(f"{inside} are within throttle {key}, which lets {most} in")

    def _check_rate(self, key: str, rate: int, per: int) -> None:
        begins = self._begins[key]
        begins.append(self._server.clock.milliseconds)
        within = len(begins) - bisect_left(begins, begins[-1] - per + 1)
        if rate and within > rate:
            self.wrong.append(f"{within} began within {per} ms in throttle {key}, allowed {rate}")


_TOLD = {
    "claim": Facts._claim,
    "commit": Facts._commit,
    "checkpoint": Facts._checkpoint,
    "say": Facts._say,
    "signal": Facts._signal,
    "fire": Facts._fire,
    "retry": Facts._retry,
    "purge": Facts._purge,
    "invite": Facts._invite,
}
