"""What must hold in a world: between any two steps, and when all has ended."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from gostage_core.state.operations import State
from gostage_core.testing.memory import MemoryClient
from tests.support.invariants import Snapshot, check_runs, texts

if TYPE_CHECKING:
    from gostage_core import ActionContext
    from tests.simulation.foretelling import Outcome
    from tests.simulation.world import World

_ACT, _UNDO = "simulation.Act", "simulation.Undo"


class Oracle:
    """Whoever looks at a world from above: its questions meet no faults."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._state = State(world.settings, MemoryClient(world.server))
        self._ended: dict[str, tuple[str, int]] = {}
        self._once: defaultdict[tuple[str, str], set[object]] = defaultdict(set)
        self._told: dict[str, tuple[str, str]] = {}
        """Of each signal's text: the entry that was given it."""

    def seen(self, kind: str, ctx: ActionContext, what: object) -> None:
        """Take note of what a body was told."""
        place = ctx.run_id, ctx._entry
        if kind == "once":
            self._once[place].add(what)
            if len(self._once[place]) > 1:
                self._wrong(f"{place} is told different results of what it did once")
        elif kind == "signal":
            assert isinstance(what, str)
            if self._told.setdefault(what, place) != place and not self._is_fork(ctx.run_id):
                self._wrong(f"signal {what} was told to {self._told[what]} and to {place}")

    def check_now(self) -> list[Snapshot]:
        """Check what holds between any two steps."""
        try:
            runs = check_runs(self._state, self._world.known_runs())
        except AssertionError as error:
            self._wrong(str(error))
        for run in runs:
            self._check_end_stands(run)
        self._check_run_throttles(runs)
        return runs

    def check_end(self) -> None:
        """Check what holds when every run has ended."""
        for run in self.check_now():
            self._count(run)
            self._check_store(run)
            self._check_signals(run)
            self._check_undone(run)
            self._check_messages(run)
            if run.run_id in self._world.foretold:
                self._check_foretold(run, self._world.foretold[run.run_id])
        self._check_losses()

    def going_on(self) -> list[str]:
        """Tell of every run that has not ended how it stands."""
        runs = [Snapshot(self._state, run_id) for run_id in self._world.known_runs()]
        return [_standing(run) for run in runs if not run.is_terminal]

    def _wrong(self, text: str) -> Any:
        from tests.simulation.world import Violation

        raise Violation(text)

    def _is_fork(self, run_id: str) -> bool:
        return any(run_id.startswith(fork) for fork in self._world.report.forks)

    def _check_end_stands(self, run: Snapshot) -> None:
        """A run that has ended stays as it is, unless it is opened again, or its id is free."""
        times = self._world.facts.lives(run.run_id)
        times += sum(entry[1] == "run.retried" for entry in run.journal)
        if run.is_terminal:
            known = self._ended.setdefault(run.run_id, (run.header["status"], times))
            if times == known[1] and run.header["status"] != known[0]:
                self._wrong(f"{run.run_id} was {known[0]}, and is {run.header['status']}")
            self._ended[run.run_id] = run.header["status"], times
        elif run.run_id in self._ended and self._ended[run.run_id][1] == times:
            self._wrong(f"{run.run_id} had ended, and goes on")

    def _check_run_throttles(self, runs: list[Snapshot]) -> None:
        inside = [
            run.run_id
            for run in runs
            if "throttle" in run.header and not run.is_terminal and "held" not in run.header
        ]
        by_key = defaultdict(list)
        for run in runs:
            if run.run_id in inside:
                by_key[run.header["throttle"].split("|", 3)[3]].append(run)
        for key, within in by_key.items():
            most = self._world.facts.most(key, int(within[0].header["throttle"].split("|")[0]))
            if most and len(within) > most:
                self._wrong(f"{len(within)} runs go on within {key}, which lets {most} in")

    def _count(self, run: Snapshot) -> None:
        self._world.report.statuses[run.header["status"]] += 1

    def _check_store(self, run: Snapshot) -> None:
        """The store is what the acts that were committed have written, each once."""
        done = [n for n in run.actions if _is_a(run, n, _ACT) and run.state_of(n) == "c"]
        paths = sorted(_path(run, n) for n in done)
        log = self._list(run.run_id, "log")
        if sorted(log) != paths:
            self._wrong(f"{run.run_id}: its log is {log}, committed were {paths}")
        store = self._store(run.run_id)
        if int(store.get("count", "0")) != len(done):
            self._wrong(f"{run.run_id} has counted {store.get('count')}, not {len(done)}")
        order = self._world.facts.order[run.run_id]
        acts = {run.record(n)[4] for n in done}
        last = [token for token in order if token in acts]
        if last and store["last"] != f'"{last[-1]}"':
            self._wrong(f"{run.run_id}: the last write was of {last[-1]}, not {store['last']}")
        if not self._is_fork(run.run_id):
            for n in run.actions:
                kept = len(self._world.facts.kept.get((run.run_id, n), ()))
                if int(store.get(f"kept.{n}", "0")) != kept:
                    self._wrong(f"{run.run_id} {n} was kept {kept} times: {store}")

    def _check_signals(self, run: Snapshot) -> None:
        """Each signal is kept still, or was given to one entry."""
        sent = sorted(self._world.facts.signals[run.run_id].values())
        kept = [text for field, text in run.inbox.items() if field[:1] == "s"]
        given = [
            text[1:]
            for field, text in run.plan.items()
            if field[:1] == "d" and " s" in field and text[:1] == "v"
        ]
        if not self._is_fork(run.run_id) and sorted(kept + given) != sent:
            self._wrong(f"{run.run_id} was sent {sent}, gave {given} and keeps {kept}")

    def _check_undone(self, run: Snapshot) -> None:
        """What was to be undone was, the last one first."""
        if run.header.get("compensated") != "1":
            return
        begin = [entry[1] for entry in run.journal].index("run.compensating")
        done = [n for _, kind, n, *_ in run.journal[:begin] if kind == "action.completed"]
        wanted = [
            _path(run, str(n)) for n in reversed(done) if _spec(run, str(n)).get("compensate")
        ]
        stage = run.header["undoing"]
        undone = [_spec(run, n)["undoes"] for n in run.members(stage)]
        if undone != wanted and not self._is_fork(run.run_id):
            self._wrong(f"{run.run_id} has undone {undone}, not {wanted}")
        done_now = [n for n in run.members(stage) if run.state_of(n) == "c"]  # else passed over
        names = [_spec(run, n)["undoes"].rpartition("/")[2] for n in done_now]
        if self._list(run.run_id, "undone") != names:
            self._wrong(f"{run.run_id} has undone {self._list(run.run_id, 'undone')}, not {names}")

    def _check_messages(self, run: Snapshot) -> None:
        texts_ = texts(self._state.client.lrange(self._key("messages", run.run_id), 0, -1))
        own = sum(json.loads(text)[-1] == run.run_id for text in texts_)
        said = len(self._world.facts.said[run.run_id])
        if own != said:
            self._wrong(f"{run.run_id} has said {said} messages, and keeps {own}")

    def _check_foretold(self, run: Snapshot, outcome: Outcome) -> None:
        report = self._world.report
        report.foretold += len(outcome.statuses) == 1
        status = run.header["status"]
        if status not in outcome.statuses:
            self._wrong(f"{run.run_id} was to end as {outcome.statuses}, and has {status}")
        log = self._list(run.run_id, "log")
        if not outcome.is_vague and log != [path for path in outcome.may if path in log]:
            self._wrong(f"{run.run_id}: its log {log} is not in the order of {outcome.may}")
        if not outcome.must <= set(log):
            self._wrong(f"{run.run_id} has not done {outcome.must - set(log)}")
        store = self._store(run.run_id)
        counted = len(outcome.counted & set(log))
        if int(store.get("seq", "0")) != counted:
            self._wrong(f"{run.run_id} has counted {counted} one by one: {store.get('seq')}")
        for key, count in outcome.below.items():
            if store.get(key) != str(count):
                self._wrong(f"{run.run_id}: {key} is {store.get(key)}, not {count}")
        if outcome.plan is not None:
            self._check_plan(run, outcome.plan)

    def _check_plan(self, run: Snapshot, wanted: list[tuple[str, list[str]]]) -> None:
        undoing = run.header.get("undoing")
        plan = [
            (_spec(run, stage)["id"], [_spec(run, n)["name"] for n in run.members(stage)])
            for stage in run.stages
            if stage != undoing
        ]
        if plan != wanted:
            self._wrong(f"{run.run_id}: its plan is {plan}, not {wanted}")

    def _check_losses(self) -> None:
        """No worker lost an attempt that nothing has happened to."""
        world = self._world
        runs = [Snapshot(self._state, run_id) for run_id in world.known_runs()]
        lost = sum(entry[1] == "action.lost" for run in runs for entry in run.journal)
        if lost > world.nemesis.may_lose:
            self._wrong(f"{lost} attempts were lost, for {world.nemesis.may_lose} reasons")

    def _key(self, name: str, run_id: str) -> str:
        return self._state.keys.of(name, run_id)

    def _store(self, run_id: str) -> dict[str, str]:
        found: Any = self._state.client.hgetall(self._key("store", run_id))
        return {key.decode(): value.decode() for key, value in found.items()}

    def _list(self, run_id: str, key: str) -> list[Any]:
        from gostage_core.source import RedisSource
        from gostage_core.state.stored import whole

        stored = RedisSource(self._state, run_id).read([key])[0]
        return json.loads(whole(stored)) if stored.value is not None else []


def _spec(run: Snapshot, n: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.plan[f"s{n}"])
    return found


def _is_a(run: Snapshot, n: str, action: str) -> bool:
    return bool(_spec(run, n)["action"] == action)


def _path(run: Snapshot, n: str) -> str:
    spec = _spec(run, n)
    return "/".join(part for part in (spec["stage"], spec.get("in", ""), spec["name"]) if part)


def _standing(run: Snapshot) -> str:
    entries = [f"{n} ({_path(run, n)}): {run.plan[f'r{n}']}" for n in sorted(run.live)]
    return f"{run.run_id} is {run.header['status']}: {', '.join(entries)}"
