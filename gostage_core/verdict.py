"""Decides what an attempt's failure means: tried again or not, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.retry import Retry, decide
from gostage_core.entry import Entry
from gostage_core.errors import (
    ActionTimeoutError,
    CorruptRunError,
    DeadlineExceededError,
    GostageError,
    SignalTimeoutError,
)
from gostage_core.failure import Failure, failure_of

if TYPE_CHECKING:
    from gostage_core.state.answers import Answer, Claim
    from gostage_core.state.operations import State


_CAUSES: Final = 8
"""How far back what an attempt failed with is followed."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How long an attempt may take, and what it fails with then."""

    seconds: float | None
    error: GostageError

    @classmethod
    def of_try(cls, timeout: float | None) -> Limit:
        """Return the limit of one try alone."""
        return cls(timeout, overtime(timeout))

    def within(self, deadline: float | None, left: float | None) -> Limit:
        """Return it, or what is *left* of the *deadline* of the entry, where that is less.

        Raises:
            DeadlineExceededError: nothing is left.
        """
        if left is None or (self.seconds is not None and self.seconds < left):
            return self
        if left <= 0:
            raise overdue(deadline)
        return Limit(left, overdue(deadline))


def next_try(entry: Entry, error: BaseException, fails: int, random: float) -> float | None:
    """Return the seconds until the next try at *entry*, or ``None`` when there is none.

    *random* is a number from 0 to 1, which spreads retries.
    """
    if isinstance(error, DeadlineExceededError):
        return None
    try:
        policy = Retry.model_validate(entry.retry) if entry.retry else None
    except ValueError:  # a damaged record; the failure stands without it
        policy = None
    return decide(policy, error, fails, random)


def entry_of(claim: Claim) -> Entry:
    """Return what the claimed action is.

    Raises:
        CorruptRunError: its text in the plan is not one of ours.
    """
    try:
        entry = Entry.from_spec(claim.spec)
        if not (isinstance(entry.params, dict) and entry.order.isdigit()):
            raise TypeError("a field of another type")
        texts = (entry.action, entry.name, entry.stage, entry.on_error)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a field of another type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        detail = f"what entry {claim.entry} of its plan is cannot be read ({error!r:.200})"
        raise CorruptRunError(claim.run_id, detail) from error
    return entry


def end_unreadable(state: State, claim: Claim, error: CorruptRunError) -> str:
    """End an attempt at what is damaged, and with it the run; return the answer's word.

    Raises:
        CorruptRunError: what is damaged is needed for that too.
    """
    failure = failure_of(error, attempt=claim.attempt)
    answer = state.fail(
        claim, delay=None, policy="fail", failure=failure.to_json(), details=failure.summary()
    )
    return answer.word


def report_failure(
    state: State,
    claim: Claim,
    entry: Entry,
    failure: Failure,
    delay: float | None,
    missed: int | None = None,
) -> Answer:
    """End an attempt as failed, with what its entry says of a last failure."""
    return state.fail(
        claim,
        delay=delay,
        policy=entry.on_error,
        failure=failure.to_json(),
        details=failure.summary(),
        missed=missed,
    )


def missed_wait(error: BaseException | None) -> int | None:
    """Return which wait of an attempt nothing came for, if *error* is that or because of it."""
    for _ in range(_CAUSES):
        if error is None:
            break
        if isinstance(error, SignalTimeoutError):
            return error.which
        error = error.__cause__ or error.__context__
    return None


def overtime_of(claim: Claim, entry: Entry, random: float) -> tuple[Failure, float | None]:
    """Return the failure of an attempt that overran its timeout, and when it is tried again."""
    error = overtime(entry.timeout)
    return failure_at(entry, claim, error), next_try(entry, error, claim.fails + 1, random)


def overdue_of(claim: Claim, entry: Entry, last: bytes) -> Failure:
    """Return the failure of an entry past its deadline; its *last* failure is the cause."""
    failure = failure_at(entry, claim, overdue(entry.deadline))
    known = json.loads(last or b"{}")
    if not known or "released" in known:
        return failure
    return replace(failure, cause=Failure.from_data(known))


def failure_at(entry: Entry, claim: Claim, error: BaseException) -> Failure:
    """Return *error* of this attempt as data, with its place in the plan."""
    return failure_of(error, path=entry.path, action=entry.action, attempt=claim.attempt)


def overtime(timeout: float | None) -> ActionTimeoutError:
    """Return what an attempt past its timeout fails with."""
    return ActionTimeoutError(f"not done within its timeout of {timeout or 0:g} s")


def overdue(deadline: float | None) -> DeadlineExceededError:
    """Return what an action past its deadline fails with."""
    return DeadlineExceededError(f"not done within its deadline of {deadline or 0:g} s in all")
