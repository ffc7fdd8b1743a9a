"""How long an attempt may take, whether it is tried again, and what it waits for, as decided."""

from __future__ import annotations

import pytest

from gostage_core.authoring.retry import Retry
from gostage_core.authoring.waits import SignalWait
from gostage_core.entry import Entry
from gostage_core.errors import ActionTimeoutError, DeadlineExceededError
from gostage_core.settings import Settings
from gostage_core.state.answers import Claim
from gostage_core.verdict import Limit, next_try, overdue
from gostage_core.waiting import waiting_arguments

SPEC = b'{"action":"a","name":"a","stage":"s","order":"11","last":true}'
CLAIM = Claim("run", "2", "1:n", 1, 0, SPEC, None, shared=False)


@pytest.fixture
def entry() -> Entry:
    return Entry(
        action="a", params={}, name="a", description="", tags=(), timeout=None, deadline=60.0,
        retry=Retry(5).model_dump(mode="json"), on_error="fail", store_as=None, stage="s",
        order="11", is_last=True,
    )  # fmt: skip


def test_the_less_of_a_timeout_and_of_what_is_left_of_a_deadline_counts() -> None:
    of_try, in_all = Limit.of_try(3).within(60, 5), Limit.of_try(5).within(60, 3)
    assert (of_try.seconds, type(of_try.error)) == (3, ActionTimeoutError)
    assert (in_all.seconds, type(in_all.error)) == (3, DeadlineExceededError)
    assert Limit.of_try(3).within(None, None).seconds == 3
    assert Limit.of_try(None).within(60, 5).seconds == 5


def test_with_nothing_left_of_its_deadline_an_attempt_does_not_begin() -> None:
    with pytest.raises(DeadlineExceededError):
        Limit.of_try(3).within(60, 0)


def test_what_is_past_its_deadline_is_not_tried_again_whatever_its_policy_says(
    entry: Entry,
) -> None:
    assert next_try(entry, ValueError("as it was told"), 1, 0.5) == 1.0
    assert next_try(entry, overdue(60), 1, 0.5) is None


def test_a_wait_of_less_than_a_millisecond_is_none_without_end(entry: Entry) -> None:
    def timeout_of(seconds: float | None) -> object:
        return waiting_arguments(SignalWait(0, "ok", "", seconds), CLAIM, entry, Settings())[4]

    assert [timeout_of(seconds) for seconds in (None, 0.0001, 2)] == [0, 1, 2000]
