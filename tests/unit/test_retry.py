"""Retry policies: when an action is tried again, and after which delay."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostage_core.authoring.retry import NoRetry, Retry, RetryAfter, decide
from gostage_core.errors import InvalidActionError


class CardDeclined(ValueError):
    pass


MIDDLE = 0.5
"""The random number that leaves a delay as it is."""


def test_the_default_is_one_try():
    assert not Retry().allows(ValueError(), 1)
    assert decide(Retry(), ValueError(), 1, MIDDLE) is None
    assert decide(None, ValueError(), 1, MIDDLE) is None


def test_the_number_of_attempts_may_be_given_by_position():
    assert Retry(3) == Retry(max_attempts=3)


def test_an_action_is_tried_as_often_as_the_policy_says():
    policy = Retry(3)
    assert [policy.allows(ValueError(), failures) for failures in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]


def test_delays_grow_by_the_factor_up_to_the_longest():
    policy = Retry(10, delay=2, factor=3, max_delay=30)
    assert [policy.delay_before(n, MIDDLE) for n in (1, 2, 3, 4)] == [2, 6, 18, 30]


def test_jitter_spreads_a_delay_to_both_sides():
    policy = Retry(3, delay=10)
    assert policy.delay_before(1, 0.0) == pytest.approx(8)
    assert policy.delay_before(1, 1.0) == pytest.approx(12)
    assert Retry(3, delay=10, jitter=0).delay_before(1, 1.0) == 10


@given(
    delay=st.floats(0, 366 * 86_400),
    factor=st.floats(0, 1e308),
    failures=st.integers(1, 1_000),
    random=st.floats(0, 1),
)
def test_no_delay_is_negative_infinite_or_beyond_the_longest(delay, factor, failures, random):
    policy = Retry(1000, delay=delay, factor=factor)
    found = policy.delay_before(failures, random)
    assert math.isfinite(found)
    assert 0 <= found <= policy.max_delay


def test_a_delay_beyond_a_minute_is_not_cut_by_the_default():
    assert Retry(3, delay="5m").delay_before(1, MIDDLE) == 300
    assert Retry(3, delay="5m").max_delay == 300
    assert Retry(9, delay=30).delay_before(5, MIDDLE) == 60


def test_durations_are_written_as_everywhere():
    policy = Retry(3, delay=timedelta(minutes=1), max_delay="2h")
    assert (policy.delay, policy.max_delay) == (60, 7200)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"max_attempts": 0}, "Retry.max_attempts"),
        ({"max_attempts": 1001}, "Retry.max_attempts"),
        ({"max_attempts": "many"}, "Retry.max_attempts"),
        ({"delay": -1}, "Retry.delay"),
        ({"delay": math.inf}, "Retry.delay"),
        ({"delay": "soon"}, "Retry.delay"),
        ({"factor": math.nan}, "Retry.factor"),
        ({"factor": -1}, "Retry.factor"),
        ({"max_delay": 10**12}, "Retry.max_delay"),
        ({"delay": 100, "max_delay": 10}, "max_delay (10 s) is less than delay (100 s)"),
        ({"jitter": 1.5}, "Retry.jitter"),
        ({"on": int}, "Retry.on[0]"),
        ({"on": "NoSuchError"}, "write it as 'module:qualname'"),
        ({"never_on": [3]}, "Retry.never_on[0]"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(values, told):
    with pytest.raises(InvalidActionError) as caught:
        Retry(**values)
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_misspelt_value_is_an_error_of_python():
    with pytest.raises(TypeError, match="max_atempts"):
        Retry(max_atempts=3)  # type: ignore[call-arg]


def test_only_the_named_exceptions_and_their_subclasses_are_tried_again():
    policy = Retry(3, on=(OSError, ArithmeticError))
    assert policy.allows(ConnectionError(), 1)
    assert policy.allows(ZeroDivisionError(), 1)
    assert not policy.allows(ValueError(), 1)


def test_a_single_class_stands_for_a_list_of_one():
    assert Retry(3, on=OSError) == Retry(3, on=[OSError])


def test_an_exception_that_is_excluded_is_never_tried_again():
    policy = Retry(3, never_on=CardDeclined)
    assert policy.allows(ValueError(), 1)
    assert not policy.allows(CardDeclined(), 1)


def test_what_is_no_exception_of_programs_is_not_tried_again_by_default():
    assert not Retry(3).allows(SystemExit(), 1)
    assert Retry(3, on=SystemExit).allows(SystemExit(), 1)


def test_a_group_is_tried_again_if_all_that_is_in_it_would_be():
    policy = Retry(3, on=OSError, never_on=PermissionError)
    assert policy.allows(ExceptionGroup("", [OSError(), ExceptionGroup("", [TimeoutError()])]), 1)
    assert not policy.allows(ExceptionGroup("", [OSError(), ValueError()]), 1)
    assert not policy.allows(ExceptionGroup("", [OSError(), PermissionError()]), 1)


def test_a_policy_survives_json_with_its_exceptions_as_names():
    policy = Retry(3, delay=2, on=(OSError, CardDeclined), never_on=PermissionError)
    data = json.loads(policy.model_dump_json())
    name = f"{CardDeclined.__module__}:CardDeclined"
    assert data == {
        "max_attempts": 3,
        "delay": 2.0,
        "on": ["builtins:OSError", name],
        "never_on": ["builtins:PermissionError"],
    }
    again = Retry.model_validate(data)
    assert again == policy
    assert again.allows(CardDeclined(), 1)
    assert not again.allows(PermissionError(), 1)


def test_a_policy_of_defaults_is_an_empty_object():
    assert Retry().model_dump_json() == "{}"
    assert Retry(5, delay=100).model_dump(mode="json") == {"max_attempts": 5, "delay": 100.0}
    assert Retry.model_validate({}) == Retry()


def test_a_policy_works_where_its_exception_cannot_be_imported():
    policy = Retry.model_validate({"max_attempts": 3, "on": ["no.such.module:Gone"]})
    assert not policy.allows(ValueError(), 1)
    assert policy.on == ("no.such.module:Gone",)


def test_built_in_exceptions_need_no_module():
    assert Retry.model_validate({"on": ["OSError"]}).on == ("builtins:OSError",)


def test_no_retry_overrules_every_policy():
    assert decide(Retry(5), NoRetry("declined"), 1, MIDDLE) is None
    assert decide(Retry(5), ExceptionGroup("", [ValueError(), NoRetry()]), 1, MIDDLE) is None
    assert not Retry(5).allows(NoRetry(), 1)


def test_no_retry_takes_its_reason_as_text_or_as_an_exception():
    cause = ValueError("declined")
    assert str(NoRetry("declined")) == "declined"
    assert str(NoRetry(cause)) == "declined"
    assert NoRetry(cause).__cause__ is cause


def test_retry_after_names_the_next_delay_with_and_without_a_policy():
    assert decide(None, RetryAfter("2m"), 1, MIDDLE) == 120
    assert decide(Retry(), RetryAfter(7), 1, MIDDLE) == 7
    assert decide(Retry(3), RetryAfter(7), 2, MIDDLE) == 7
    assert decide(Retry(3, on=OSError), RetryAfter(7), 1, MIDDLE) == 7
    assert decide(None, ExceptionGroup("", [RetryAfter(3), RetryAfter(9)]), 1, MIDDLE) == 9


def test_retry_after_is_bounded_by_the_policy_or_by_a_thousand_attempts():
    assert decide(Retry(3), RetryAfter(7), 3, MIDDLE) is None
    assert decide(None, RetryAfter(7), 999, MIDDLE) == 7
    assert decide(None, RetryAfter(7), 1000, MIDDLE) is None


def test_retry_after_takes_any_duration_and_a_reason():
    assert RetryAfter(timedelta(hours=1)).seconds == 3600
    assert str(RetryAfter(5)) == "again in 5 s"
    assert str(RetryAfter(5, "rate limited")) == "rate limited"
    cause = OSError()
    assert RetryAfter(5, cause).__cause__ is cause


@pytest.mark.parametrize("delay", [-1, math.nan, "soon", None, True])
def test_retry_after_refuses_what_is_no_duration(delay):
    with pytest.raises(ValueError, match="duration"):
        RetryAfter(delay)


def test_a_decision_follows_the_policy():
    policy = Retry(3, delay=10)
    assert decide(policy, ValueError(), 1, MIDDLE) == 10
    assert decide(policy, ValueError(), 2, MIDDLE) == 20
    assert decide(policy, ValueError(), 3, MIDDLE) is None


def test_a_policy_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Retry(3).max_attempts = 5


def test_an_exception_of_a_script_is_matched_by_the_name_other_processes_know(tmp_path):
    script = tmp_path / "shop.py"
    script.write_text(
        "from gostage_core.authoring.retry import Retry\n"
        "class Declined(Exception): pass\n"
        "policy = Retry(3, on=Declined)\n"
        "assert policy.on == ('shop:Declined',), policy.on\n"
        "assert policy.allows(Declined(), 1)\n"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
