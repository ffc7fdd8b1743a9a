"""What must hold of a run between any two operations, read straight out of Redis."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from gostage_core.status import RunStatus
from tests.support.counting import check_nothing_planned, check_numbers
from tests.support.undone import check_undoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gostage_core.state.operations import State

LIVE = "rxzwoh"
BUSY, OUTSIDE = "rx", "wh"
_ACTION_LINKS = 3
_OF_NOBODY = ("alive", "beat", "marks", "claims:", "doomed", "numbers", "starts:")
"""Keys that are of workers, or end by themselves."""
_UP, _NEXT, _FIRST = 0, 1, 2


@dataclass(frozen=True)
class Queues:
    """What all runs of a namespace share."""

    wake: frozenset[str]
    sent: frozenset[str]
    claimed: frozenset[str]
    inside: frozenset[str]
    invited: frozenset[str]
    line: frozenset[str]

    @classmethod
    def of(cls, state: State) -> Queues:
        books = [state.claims_of(process) for process in state.working()]
        throttles = texts(state.client.smembers(state.keys.of("throttles")))

        def all_of(name: str, read: Callable[[str], object]) -> frozenset[str]:
            return frozenset(m for one in throttles for m in texts(read(state.keys.of(name, one))))

        return cls(
            wake=_zset(state, "wake"),
            sent=_zset(state, "sent"),
            claimed=frozenset(member for book in books for member in book.values()),
            inside=all_of("inside", state.client.smembers),
            invited=all_of("invited", state.client.smembers),
            line=all_of("line", lambda key: state.client.zrange(key, 0, -1)),
        )

    def of_run(self, run_id: str) -> set[str]:
        """Everything that names a run."""
        everything = self.wake | self.sent | self.inside | self.invited | self.line
        return {member for member in everything if member.startswith(f"{run_id} ")}


def texts(members: object) -> list[str]:
    return [member.decode() for member in cast("Iterable[bytes]", members)]


def _zset(state: State, name: str) -> frozenset[str]:
    return frozenset(texts(state.client.zrange(state.keys.of(name), 0, -1)))


class Snapshot:
    """One run, as it is in Redis now."""

    def __init__(self, state: State, run_id: str) -> None:
        pipe = state.client.pipeline()
        pipe.hgetall(state.keys.of("run", run_id))
        pipe.hgetall(state.keys.of("plan", run_id))
        pipe.smembers(state.keys.of("live", run_id))
        pipe.lrange(state.keys.of("journal", run_id), 0, -1)
        pipe.hgetall(state.keys.of("inbox", run_id))
        pipe.hkeys(state.keys.of("store", run_id))
        header, plan, live, journal, inbox, store = pipe.execute()
        self.store = set(texts(store))
        self.inbox = {k.decode(): v.decode() for k, v in inbox.items()}
        self.run_id = run_id
        self.header = {k.decode(): v.decode() for k, v in header.items()}
        self.plan = {k.decode(): v.decode() for k, v in plan.items()}
        self.live = {n.decode() for n in live}
        self.journal = [json.loads(line) for line in journal]
        self.links = {k[1:]: v.split(",") for k, v in self.plan.items() if k.startswith("l")}

    @property
    def is_terminal(self) -> bool:
        return RunStatus(self.header["status"]).is_terminal

    def record(self, n: str) -> list[str]:
        return self.plan.get(f"r{n}", "").split("|")

    def state_of(self, n: str) -> str:
        return self.record(n)[0]

    def is_scope(self, n: str) -> bool:
        return len(self.links[n]) > _ACTION_LINKS

    @property
    def scopes(self) -> list[str]:
        return [n for n in self.links if self.is_scope(n)]

    @property
    def actions(self) -> list[str]:
        """The entries that are no hooks."""
        return [n for n in self.links if not self.is_scope(n) and n not in self.hooks]

    @property
    def hooks(self) -> set[str]:
        return {hook for n in self.scopes for hook in self.links[n][8:10]} - {"0"}

    @property
    def stages(self) -> list[str]:
        return list(self.members("0"))

    def members(self, scope: str) -> Iterator[str]:
        n = self.links[scope][_FIRST]
        for _ in range(len(self.links)):
            if n == "0":
                return
            yield n
            n = self.links[n][_NEXT]
        raise AssertionError(f"{self.run_id}: the members of {scope} run in a circle")

    def above(self, n: str) -> Iterator[str]:
        while n != "0":
            n = self.links[n][_UP]
            yield n

    def lives(self, n: str) -> bool:
        """Whether an entry lives, or something in a scope."""
        return n in self.live or any(n in self.above(one) for one in self.live)

    def is_over(self, n: str) -> bool:
        """Whether a member's turn has passed."""
        record = self.record(n)
        if not self.is_scope(n):
            return record[0] in tuple("cfsk") or (record[0] == "m" and record[7] != "0")
        return len(record) > 1 and record[6] != "0"

    def was_taken_away(self, n: str) -> bool:
        """Whether an entry was cancelled while it ran."""
        record = self.record(n)
        return record[0] in ("k", "s") and record[4] != ""

    def is_draining(self, scope: str) -> bool:
        around = (scope, *self.above(scope))
        return "stop" in self.header or any(
            self.is_scope(n) and self.state_of(n) == "f" for n in around
        )


def check_all(state: State, root: str) -> list[Snapshot]:
    """Check a run and every run below it; return them."""
    prefix = state.keys.of("run", "")
    found = [k.decode().removeprefix(prefix) for k in state.client.scan_iter(f"{prefix}*")]
    return check_runs(state, [i for i in found if i == root or i.startswith(f"{root}.")])


def check_runs(state: State, run_ids: Iterable[str]) -> list[Snapshot]:
    """Check runs, all that have to do with one another; return them."""
    queues = Queues.of(state)
    runs = {run_id: Snapshot(state, run_id) for run_id in run_ids}
    for run in runs.values():
        _check(run, runs, queues)
        check_undoing(run)
    others = set(_zset(state, "runs")) - set(runs)
    check_numbers(state, [*runs.values(), *(Snapshot(state, other) for other in sorted(others))])
    return list(runs.values())


def check_one(state: State, run_id: str, queues: Queues) -> Snapshot:
    """Check a run that has none below it, beside *queues* that were read before; return it."""
    run = Snapshot(state, run_id)
    _check(run, {run_id: run}, queues)
    return run


def check_forgotten(state: State) -> None:
    """Check that nothing is left of any run: all of them have been deleted, and a tick was."""
    prefix = state.keys.of("run", "").removesuffix("run:")
    names = {key.removeprefix(prefix) for key in texts(state.client.scan_iter(f"{prefix}*"))}
    left = {name for name in names if not name.startswith(_OF_NOBODY)}
    assert not left, f"keys of runs that are no more: {left}"
    for index in ("wake", "sent", "expiry", "runs", "refill"):
        assert not _zset(state, index), f"{index} names what is no more"
    check_nothing_planned(state)


def check_left(state: State, run: Snapshot, counts: str) -> None:
    """Check what a run leaves when it has ended.

    Each completed action with the id *counts* has counted itself once, and no other one at all; a
    scope that completed has left nothing out.
    """
    store = state.client.hgetall(state.keys.of("store", run.run_id))
    for n in run.actions:
        if json.loads(run.plan[f"s{n}"])["action"] == counts:
            found = store.get(f"n.{n}".encode())  # type: ignore[union-attr]
            wanted = b"1" if run.state_of(n) == "c" else None
            assert found == wanted, f"{run.run_id}: entry {n} has counted {found}"
    for scope in run.scopes:
        record = run.record(scope)
        if scope == "0" and "undoing" in run.header:
            continue
        whole = record[0] == "c" and record[-1] == "0" and run.links[scope][6] == "0"
        left = [n for n in run.members(scope) if whole and not run.is_over(n)]
        assert not left, f"{run.run_id}: scope {scope} has left out {left}"


def check_bytes(state: State, run_id: str) -> None:
    """Check that the header knows the size of the store."""
    store = state.client.hgetall(state.keys.of("store", run_id))
    size = sum(len(key) + len(value) for key, value in store.items())  # type: ignore[union-attr]
    for key, value in store.items():  # type: ignore[union-attr]
        if value.startswith(b"L"):
            items = state.client.lrange(state.keys.of("items", run_id, key.decode()), 0, -1)
            size += sum(map(len, items))  # type: ignore[arg-type]
    assert int(Snapshot(state, run_id).header["bytes"]) == size


def _check(run: Snapshot, runs: dict[str, Snapshot], queues: Queues) -> None:
    where = f"run {run.run_id}"
    entries = [n for n in run.links if not run.is_scope(n)]
    assert {n for n in entries if run.state_of(n) in tuple(LIVE)} == run.live, where
    kinds = Counter(entry[1] for entry in run.journal)
    assert int(run.header["revision"]) == 1 + kinds["plan.changed"], where
    _check_history(run)
    _check_listeners(run)
    if run.is_terminal:
        assert not run.live, where
        left = queues.of_run(run.run_id) - {f"{run.run_id} r"}
        # A slot that left what was cancelled while it ran has the rescuer look at it, once.
        left -= {f"{run.run_id} {n}" for n in entries if run.was_taken_away(n)}
        left -= {f"{run.run_id} {one[2]}" for one in run.journal if _was_cut_off(one)}
        assert not left, f"{where} has ended, and has timers: {left}"
        ends = sum(kinds[f"run.{s}"] for s in RunStatus if s.is_terminal)
        assert ends == 1 + kinds["run.retried"], where
        return
    _check_status(run)
    if "held" in run.header:
        assert not run.live, f"{where} is held, and lives"
        assert "paused" in run.header or f"{run.run_id} 0" in queues.line, f"{where} in no line"
        return
    if "verdict" in run.header and "undoing" not in run.header:
        assert f"{run.run_id} u" in queues.wake, f"{where} is to be undone, and nobody looks"
        return
    assert run.live, f"{where} goes on, and nothing of it lives"
    for n in run.live:
        _check_live(run, n, runs, queues)
    for scope in run.scopes:
        _check_scope(run, scope)


def _was_cut_off(entry: list[Any]) -> bool:
    """Whether an entry of a journal tells of an action that was ended, perhaps while it ran."""
    if entry[1] == "action.failed":
        return bool(entry[4].get("type") == "DeadlineExceededError")
    return bool(entry[1] == "action.cancelled")


def _check_history(run: Snapshot) -> None:
    over: dict[int, str] = {}
    for _at, kind, n, *_ in run.journal:
        if kind == "action.reopened":
            was = over.pop(n, "")  # a hook behind a scope is asked again whenever that ends
            assert was != "action.completed" or str(n) in run.hooks, f"{run.run_id}: {n} again"
        if kind == "action.started":
            assert n not in over, f"{run.run_id}: entry {n} begins again behind its end"
        if kind in ("action.completed", "action.failed", "action.removed", "action.skipped"):
            # Who opens a run again may have what has failed passed over.
            was_skipped = kind == "action.skipped" and over.get(n) == "action.failed"
            assert n not in over or was_skipped, f"{run.run_id}: entry {n} ends twice"
            over[n] = kind
        if kind == "run.retried":  # hooks run again after what was opened again
            over = {one: how for one, how in over.items() if str(one) not in run.hooks}


def _check_listeners(run: Snapshot) -> None:
    """Who stands in line for a signal waits for it, and nobody stands there twice."""
    for name, line in run.inbox.items():
        if name.startswith("w"):
            for n, which in (one.split(":") for one in line.split(",")):
                where = f"run {run.run_id}: entry {n} listens for {name[1:]}"
                assert run.state_of(n) == "w", where
                assert run.plan[f"q{n}"] == f"s{which}", where
                assert run.plan[f"j{n}"].partition("\n")[0] == name[1:], where
            assert len(set(line.split(","))) == len(line.split(",")), run.run_id


def _check_status(run: Snapshot) -> None:
    states = [run.state_of(n) for n in run.live]
    busy, outside = (sum(s in kinds for s in states) for kinds in (BUSY, OUTSIDE))
    where = f"run {run.run_id} is {run.header['status']} with {sorted(states)}"
    assert (int(run.header["busy"]), int(run.header["outside"])) == (busy, outside), where
    if "paused" in run.header:
        wanted = "paused"
    elif "began" not in run.header:
        wanted = "pending"
    elif busy or ("verdict" in run.header and "undoing" not in run.header):
        wanted = "running"
    else:
        wanted = "waiting" if outside or "held" in run.header else "sleeping"
    assert run.header["status"] == wanted, where


def _check_live(run: Snapshot, n: str, runs: dict[str, Snapshot], queues: Queues) -> None:
    member, record = f"{run.run_id} {n}", run.record(n)
    where = f"{member} is {'|'.join(record)}"
    is_paused = "paused" in run.header
    state, place = record[0], record[11]
    has_deadline = "D" in run.links[n][2]
    assert not has_deadline or f"{member} d" in queues.wake, f"{where}, its deadline"
    assert (member in queues.inside) == (place == "1"), f"{where} within its throttle"
    assert (member in queues.invited) == (place == "2"), f"{where} invited"
    assert (member in queues.line) == (state == "h"), f"{where} in line"
    if state == "r":
        assert (member in queues.sent) != is_paused, f"{where} looked for"
    elif state == "z":
        assert (member in queues.wake) != is_paused, f"{where} with a timer"
    elif state == "x":
        watched = {member, f"{member} t"} & queues.wake
        assert watched or member in queues.claimed, f"{where} on nobody's books"
    elif state == "h":
        assert not is_paused, f"{where} in a paused run"
    elif state == "o":
        assert any(n in run.above(one) for one in run.live), f"{where} for nothing that lives"
    elif child := run.plan.get(f"u{n}"):
        assert child in runs and not runs[child].is_terminal, f"{where} for a child that ended"
    else:
        awaited = run.plan[f"q{n}"]
        assert record[5] == "0" or (member in queues.wake) != is_paused, f"{where}, its timeout"
        if awaited.startswith("s"):
            name = run.plan[f"j{n}"].partition("\n")[0]
            waiting = run.inbox.get(f"w{name}", "").split(",")
            assert f"{n}:{awaited[1:]}" in waiting, f"{where} for a signal, and is not known"
            assert f"q{name}" not in run.inbox, f"{where} for a signal that is there"


def _check_scope(run: Snapshot, scope: str) -> None:
    record, links = run.record(scope), run.links[scope]
    if len(record) == 1:
        return
    where = f"{run.run_id}: scope {scope} {'|'.join(record)}"
    state, open_, _cursor, active = record[:4]
    if record[6] != "0":
        assert not any(scope in run.above(n) for n in run.live), f"{where} ended too early"
    if state != "x" or record[6] != "0" or run.is_draining(scope):
        return
    if not any(run.lives(n) for n in (scope, *run.members(scope))):
        return  # left behind by one above that ended without it
    members = list(run.members(scope))
    if any(hook in run.live for hook in links[8:10]):
        return
    if links[4] == "p":
        left = [n for n in members if not run.is_over(n)]
        assert int(open_) == len(left), f"{where}, but {left} are open"
        living = [n for n in left if run.lives(n)]
        assert int(active) == len(living), f"{where}, but {living} are active"
        assert int(active) <= int(links[5]), f"{where} exceeds its limit"
        assert int(active) == int(links[5]) or int(active) == int(open_), f"{where} has room"
        return
    assert sum(run.lives(n) for n in members) == 1, f"{where} lives not at one place"
    if scope == "0" and "undoing" in run.header:
        return  # what undoes stands behind all that was not done any more
    passed = [run.is_over(n) for n in members]
    assert passed == sorted(passed, reverse=True), f"{where} has left out {members}: {passed}"
