"""Which steps are possible in a standing: what goes on by itself, whims, and what goes wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.checker.standing import LATE, SILENT, UNANSWERED, Step
from tests.support.invariants import texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.state.operations import State
    from tests.checker.standing import Standing
    from tests.support.bench import Message


class Possible:
    """The steps of any world, as its server and its clients stand."""

    def __init__(self, state: State) -> None:
        self._state = state

    def steps(self, now: Standing) -> list[Step]:
        """Return what may happen; the server is set to *now*."""
        pieces = list(self._found(now))
        fair = [*self._of_workers(now), *pieces, *(Step("later", late) for late in now.late)]
        fair += self._resumed()
        whims = [Step("operate", deed, is_fair=False) for deed in now.deeds]
        faults = list(self._faults(now, [*fair, *whims], pieces)) if now.faults else []
        if now.replica is not None:
            faults += [Step("fail over", how, is_fair=False) for how in ("", "messages stay")]
        return [*fair, *whims, *faults]

    def _of_workers(self, now: Standing) -> Iterator[Step]:
        idle = True
        for at, worker in enumerate(now.workers):
            if worker.doing == "idle" and idle:
                idle = bool(self._state.claims_of(worker.process))
                yield from (Step("take", (at, worker, one)) for one in _once(now.queue))
            elif worker.doing == "asking":
                yield Step("ask again", (at, worker))
            elif worker.doing == "working":
                yield Step("work", (at, worker))
            elif worker.doing == "ending":
                yield Step("end again", (at, worker))
            elif worker.doing == "leaving":
                yield Step("leave", (at, worker))
            elif worker.doing == "dead" and not self._state.claims_of(worker.process):
                yield Step("replace", (at, worker))

    def _found(self, now: Standing) -> Iterator[Step]:
        """Yield the pieces of work that a rescuer may find."""
        state = self._state
        living = {one.process: one for one in now.workers if one.doing != "dead"}
        alive = _members(state, "alive")
        for process in sorted(state.working()):
            for slot, member in state.claims_of(process).items():
                claim = (process, slot, member)
                if process not in living and process in alive:
                    yield Step("take back", claim)
                elif now.failed_over and process in living and living[process].member != member:
                    yield Step("compare books", claim)
        yield from (Step("rouse", member) for member in _members(state, "wake"))
        yield from (Step("invite", one) for one in _members(state, "refill"))
        if not now.queue:  # else what is looked for may only wait its turn
            yield from (Step("look for", member) for member in _members(state, "sent"))

    def _resumed(self) -> Iterator[Step]:
        if self._state.client.hexists(self._state.keys.of("run", "run1"), "paused"):
            yield Step("operate", "resume")

    def _faults(self, now: Standing, all_: list[Step], pieces: list[Step]) -> Iterator[Step]:
        for step in all_:
            if step.kind in ("take", "work") or (step.kind == "operate" and not now.late):
                yield replace(step, goes_wrong=UNANSWERED, is_fair=False)
            if step.kind in ("work", "rouse", "take back", "operate"):
                yield replace(step, goes_wrong=SILENT, is_fair=False)
        for at, worker in enumerate(now.workers):
            if worker.doing not in ("idle", "dead"):
                yield Step("die", (at, worker), is_fair=False)
        for one in _once(now.queue):
            yield Step("lose", one, is_fair=False)
            if now.queue.count(one) == 1:
                yield Step("double", one, is_fair=False)
        yield from self._lapses(now)
        if not now.late:
            late = [*pieces, *self._lapses(now)]
            yield from (replace(one, goes_wrong=LATE, is_fair=False) for one in late)
        if now.replica is None and not now.failed_over:
            yield Step("lag", is_fair=False)

    def _lapses(self, now: Standing) -> Iterator[Step]:
        """Yield what a rescuer takes from the living, who were silent for too long."""
        for worker in now.workers:
            if worker.doing in ("asking", "working", "ending"):
                for slot, member in self._state.claims_of(worker.process).items():
                    yield Step("take back", (worker.process, slot, member), is_fair=False)


def _once(queue: tuple[Message, ...]) -> list[Message]:
    """Return each message once."""
    return list(dict.fromkeys(queue))


def _members(state: State, index: str) -> list[str]:
    return texts(state.client.zrange(state.keys.of(index), 0, -1))
