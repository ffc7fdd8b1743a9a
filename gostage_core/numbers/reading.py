"""Reads what a cluster does: a few round trips, however many runs there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gostage_core.broker.standing import standings
from gostage_core.numbers.lookahead import planned_work
from gostage_core.numbers.series import actions_of
from gostage_core.numbers.values import (
    EntryNumbers,
    Numbers,
    ProcessNumbers,
    QueueNumbers,
    TimerNumbers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celery import Celery

    from gostage_core.broker.standing import QueueStanding
    from gostage_core.numbers.values import ActionNumbers
    from gostage_core.state.counting import Counted
    from gostage_core.state.operations import State


def read_numbers(state: State, app: Celery) -> Numbers:
    """Read what the cluster of one namespace does, and how its queues stand on the broker of *app*.

    Five round trips at most where the broker is Redis, whatever the number of runs; one more for
    each queue where it is another one. A broker that does not answer says nothing of its queues.
    Safe to repeat, and to call from any thread.

    Raises:
        StoreUnavailableError: the server that keeps the runs does not answer.
    """
    counted = state.counted()
    actions = actions_of(counted.fields, state.settings.namespace)
    names = {state.settings.namespace, *(one.queue for one in actions)}
    with app.connection_or_acquire() as connection:
        queues = standings(connection, sorted(names))
    return Numbers(
        at=datetime.fromtimestamp(counted.now / 1000, UTC),
        namespace=state.settings.namespace,
        runs=counted.statuses,
        actions=actions,
        queues=_queues(queues, actions, _waits(state, queues, counted.now)),
        entries=_entries(counted),
        timers=TimerNumbers(counted.timers, counted.due, counted.overdue),
        processes=tuple(ProcessNumbers(*pair) for pair in sorted(counted.held.items())),
        throttles=counted.throttles,
        schedules=counted.schedules,
        resends=counted.fields.get("resent", 0),
    )


def _waits(state: State, queues: Mapping[str, QueueStanding], now: int) -> dict[str, float | None]:
    """Return how long what comes next in each queue has waited."""
    hints = [hint for standing in queues.values() for hint in standing.oldest]
    since = dict(zip(hints, state.ready_since(hints), strict=True)) if hints else {}
    return {
        name: _longest([since[hint] for hint in standing.oldest], standing.depth, now)
        for name, standing in queues.items()
    }


def _longest(ready_since: Iterable[int | None], depth: int | None, now: int) -> float | None:
    waits = [max(0, now - at) / 1000 for at in ready_since if at is not None]
    if waits:
        return max(waits)
    return 0.0 if depth == 0 else None


def _queues(
    standings: Mapping[str, QueueStanding],
    actions: Iterable[ActionNumbers],
    waits: Mapping[str, float | None],
) -> tuple[QueueNumbers, ...]:
    planned = planned_work(actions)
    return tuple(
        QueueNumbers(name, standing.depth, waits[name], *planned.get(name, (0, 0.0)))
        for name, standing in standings.items()
    )


def _entries(counted: Counted) -> EntryNumbers:
    sleeping, waiting, open_, throttled = (counted.fields.get(f"={one}", 0) for one in "zwoh")
    return EntryNumbers(
        running=sum(counted.held.values()),
        sleeping=max(0, sleeping),
        waiting=max(0, waiting + open_),
        throttled=max(0, throttled),
    )
