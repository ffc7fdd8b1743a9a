"""What is asked of a run in ways that cannot be: an error of ours, and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from gostage_core import GostageError, InvalidKeyError, NotStorableError, RunStatus
from gostage_core.composition.task_end import succeeded, waiting_entry
from tests.support import standing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from gostage_core import Run
    from gostage_core.testing.memory import MemoryClient
    from tests.support.bench import Bench


def content(bench: Bench) -> Hashable:
    return cast("MemoryClient", bench.state.client).server.content()


ODD_REQUESTS: dict[str, Callable[[Run], object]] = {
    "a grace below nothing": lambda run: run.cancel(grace=-1),
    "a grace that is no number": lambda run: run.cancel(grace=float("nan")),
    "a grace without end": lambda run: run.cancel(grace=float("inf")),
    "a grace of a million years": lambda run: run.cancel(grace=10**14),
    "a grace in words": lambda run: run.cancel(grace="soon"),
    "a retry of what goes on": lambda run: run.retry(),
    "a retry with an object": lambda run: run.retry(store={"k": object()}),
    "a fork where nothing is": lambda run: run.fork("nowhere"),
    "a fork of what has not begun": lambda run: run.fork("last"),
    "a fork with an object": lambda run: run.fork("second", store={"k": object()}),
    "an edit without a reason": lambda run: run.edit("").__enter__(),
}


@pytest.mark.parametrize("request_", ODD_REQUESTS)
def test_a_request_that_makes_no_sense_is_refused_and_changes_nothing(
    memory_bench: Bench, request_: str
) -> None:
    run = standing.middle(memory_bench)
    before = content(memory_bench)
    with pytest.raises((GostageError, ValueError, TypeError)):
        ODD_REQUESTS[request_](run)
    assert content(memory_bench) == before


@pytest.mark.parametrize("name", ["", "a\nb", "\x00", "\ud800", "__x", "k" * 10_000, 5, None, b"x"])
def test_a_signal_that_nothing_can_be_called_is_refused(memory_bench: Bench, name: Any) -> None:
    run = standing.middle(memory_bench)
    before = content(memory_bench)
    with pytest.raises(InvalidKeyError):
        run.signal(name, 1)
    if name is not None:
        with pytest.raises(InvalidKeyError):
            run.signal("answer", 1, id=name)
    assert content(memory_bench) == before


@pytest.mark.parametrize("payload", [object(), lambda: 1, print, bytearray(b"x"), {"a": {1j}}])
def test_a_signal_that_brings_what_no_store_can_hold_is_refused(
    memory_bench: Bench, payload: Any
) -> None:
    run = standing.middle(memory_bench)
    before = content(memory_bench)
    with pytest.raises(NotStorableError):
        run.signal("unknown", payload)
    assert content(memory_bench) == before


def test_a_signal_of_one_id_counts_once_however_often_it_is_sent(memory_bench: Bench) -> None:
    run = standing.middle(memory_bench)
    run.signal("new", 1, id="one")
    before = content(memory_bench)
    for payload in (1, 2, "other"):
        run.signal("new", payload, id="one")
    assert content(memory_bench) == before


WRONG_WAITS = ["", " ", "x", "a b c", "*", "9" * 1000, "}:run:x 1"]


@pytest.mark.parametrize("awaited", WRONG_WAITS)
def test_an_end_of_a_task_that_nobody_waits_for_reaches_nobody(
    memory_bench: Bench, awaited: str
) -> None:
    run = standing.middle(memory_bench)
    waiting = [one.entry for one in run.plan.actions if one.name == "later"]
    result = succeeded(7, memory_bench.settings.max_value_bytes)
    for entry in ("0", "1", "-1", "x", *waiting):
        answer = memory_bench.state.deliver(run.run_id, entry, awaited, result)
        assert answer.next.ready == ()
    assert run.status in (RunStatus.RUNNING, RunStatus.WAITING)
    assert memory_bench.state.deliver("never", "1", awaited, result).word == "gone"


@pytest.mark.parametrize(
    "wait",
    [
        *WRONG_WAITS,
        "s0",
        "\ud800",
        "\ud800:5:1",
        "r:5:\ud800",
        "r:½:1",
        "r:٣:1",
        None,
        5,
        True,
        [],
        {"a": 1},
        b"a 1 2",
    ],
)
def test_what_names_no_entry_is_taken_for_no_wait(wait: Any) -> None:
    assert waiting_entry(wait) is None
