"""The numbers as Prometheus reads them.

Every metric, for rules and dashboards:

======================================== ============================== =========================
metric                                   labels                         what
======================================== ============================== =========================
``gostage_up``                                                          1 while Redis answers
``gostage_info``                         namespace, version             1
``gostage_runs``                         status                         runs that are kept
``gostage_actions_total``                workflow, action, outcome      ends and tries of actions
``gostage_action_duration_seconds``      workflow, action (histogram)   of what completed
``gostage_entries``                      state                          begun, and not ended
``gostage_queue_depth``                  queue                          messages that wait
``gostage_queue_oldest_wait_seconds``    queue                          of what comes next
``gostage_planned_actions``              queue                          the look-ahead
``gostage_planned_seconds``              queue                          the same, by medians
``gostage_lease_losses_total``                                          attempts of the dead
``gostage_recoveries_total``                                            completed after that
``gostage_resends_total``                                               messages that were lost
``gostage_timers``                                                      that are set
``gostage_timers_due``                                                  whose time has come
``gostage_timers_overdue``                                              for five seconds
``gostage_workers``                                                     nodes that renew leases
``gostage_worker_processes``                                            processes that do
``gostage_slots_used``                   worker                         what runs on each node
``gostage_throttles``                                                   in use, or set
``gostage_schedules``                                                   that there are
======================================== ============================== =========================

Outcomes are ``completed``, ``failed``, ``cancelled``, ``skipped``, ``removed``, and of what goes on
``retried`` and ``lost``. No label ever has the id of a run. Workflows and actions beyond the first
1,000 are counted together as ``other``, so that names which are made up at run time harm nobody.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from gostage_core.errors import UnavailableError
from gostage_core.numbers.spans import end_of, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

    from gostage_core.numbers.spans import Durations
    from gostage_core.numbers.values import Numbers

logger: Final = logging.getLogger(__name__)

BUCKETS: Final = tuple(map(end_of, range(3, 23, 2)))
"""Ends of the buckets of durations in seconds, from 8 ms to 35 minutes."""


class NumbersCollector(Collector):
    """Gives a registry of Prometheus the numbers of one namespace, read anew at each scrape.

    ::

        registry.register(NumbersCollector(lambda: read_numbers(state, app)))
    """

    def __init__(self, read: Callable[[], Numbers]) -> None:
        """Nothing is read yet."""
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that a registry reads nothing when it gets this."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; ``gostage_up`` alone, as 0, where the server does not answer."""
        up = GaugeMetricFamily("gostage_up", "Whether the Redis that keeps the runs answers.")
        try:
            metrics = list(metrics_of(self._read()))
        except UnavailableError as error:
            logger.warning("no numbers: %s", error)
            metrics = []
        up.add_metric([], int(bool(metrics)))
        yield up
        yield from metrics


def exposition(read: Callable[[], Numbers]) -> bytes:
    """Return the numbers as text, to be put behind that of other registries; see ``gostage_up``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NumbersCollector(read))
    return generate_latest(registry)


def metrics_of(numbers: Numbers) -> Iterator[Metric]:
    """Yield every metric of *numbers*."""
    info = GaugeMetricFamily("gostage_info", "What is looked at.", labels=["namespace", "version"])
    info.add_metric([numbers.namespace, version("gostage")], 1)
    yield info
    yield from _of_runs(numbers)
    yield from _of_actions(numbers)
    yield from _of_queues(numbers)
    yield from _of_timers(numbers)
    yield from _of_workers(numbers)
    yield _counter("lease_losses", "Attempts of dead workers.", numbers.lease_losses)
    yield _counter("recoveries", "Actions that completed after a loss.", numbers.recoveries)
    yield _counter("resends", "Messages that were lost and sent again.", numbers.resends)
    yield _gauge("throttles", "Throttles in use, or set.", numbers.throttles)
    yield _gauge("schedules", "Schedules that there are.", numbers.schedules)


def _of_runs(numbers: Numbers) -> Iterator[Metric]:
    runs = GaugeMetricFamily("gostage_runs", "Runs that are kept, by status.", labels=["status"])
    for status, many in numbers.runs.items():
        runs.add_metric([status.value], many)
    yield runs
    entries = GaugeMetricFamily(
        "gostage_entries", "Entries of plans that have begun, by what they do.", labels=["state"]
    )
    for state in ("running", "sleeping", "waiting", "throttled"):
        entries.add_metric([state], getattr(numbers.entries, state))
    yield entries


def _of_actions(numbers: Numbers) -> Iterator[Metric]:
    outcomes: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    durations: defaultdict[tuple[str, str], list[Durations]] = defaultdict(list)
    for one in numbers.actions:
        outcomes[one.workflow, one.action].update(one.outcomes)
        durations[one.workflow, one.action].append(one.durations)
    total = CounterMetricFamily(
        "gostage_actions",
        "Ends and tries of actions, by outcome.",
        labels=["workflow", "action", "outcome"],
    )
    for names, counts in outcomes.items():
        for outcome, many in counts.items():
            total.add_metric([*names, outcome], many)
    yield total
    took = HistogramMetricFamily(
        "gostage_action_duration_seconds",
        "How long attempts took that completed their action.",
        labels=["workflow", "action"],
    )
    for names, parts in durations.items():
        whole = together(parts)
        buckets = [(str(end), many) for end, many in whole.up_to(BUCKETS)]
        took.add_metric([*names], [*buckets, ("+Inf", whole.count)], whole.seconds)
    yield took


def _of_queues(numbers: Numbers) -> Iterator[Metric]:
    for name, text, attribute in (
        ("queue_depth", "Messages that wait in a queue.", "depth"),
        ("queue_oldest_wait_seconds", "How long what comes next has waited.", "oldest_wait"),
        ("planned_actions", "Actions that are planned and not done.", "planned_actions"),
        ("planned_seconds", "How long these take, by past medians.", "planned_seconds"),
    ):
        metric = GaugeMetricFamily(f"gostage_{name}", text, labels=["queue"])
        for queue in numbers.queues:
            if (value := getattr(queue, attribute)) is not None:
                metric.add_metric([queue.name], value)
        yield metric


def _of_timers(numbers: Numbers) -> Iterator[Metric]:
    yield _gauge("timers", "Timers that are set.", numbers.timers.set)
    yield _gauge("timers_due", "Timers whose time has come.", numbers.timers.due)
    yield _gauge("timers_overdue", "Timers that nobody looks at.", numbers.timers.overdue)


def _of_workers(numbers: Numbers) -> Iterator[Metric]:
    used: Counter[str] = Counter()
    for process in numbers.processes:
        used[process.worker] += process.slots_used
    yield _gauge("workers", "Nodes that renew their leases.", len(used))
    yield _gauge("worker_processes", "Processes that do.", len(numbers.processes))
    slots = GaugeMetricFamily("gostage_slots_used", "Actions that a node runs.", labels=["worker"])
    for worker, many in used.items():
        slots.add_metric([worker], many)
    yield slots


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gostage_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"gostage_{name}", text, value=value)
