"""When a failed action is tried again: the policy, and what a body may raise to overrule it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field, ValidationError, model_validator

from gostage_core.authoring.definition_fields import Delay, ExceptionNames
from gostage_core.authoring.problems import problem_lines
from gostage_core.authoring.sparse import SparseModel
from gostage_core.duration import seconds
from gostage_core.errors import InvalidActionError, ResourceError
from gostage_core.naming import qualified_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    from gostage_core.duration import Duration

    ExceptionTypes = type[BaseException] | str | Sequence[type[BaseException] | str]

MOST_ATTEMPTS: Final = 1_000
"""No action is tried more often than this, whatever asks for it."""

_LONGEST_DELAY: Final = 60.0


class Retry(SparseModel):
    """How often an action is tried, after which delays, and for which exceptions.

    The n-th failure is followed by a delay of ``delay * factor ** (n - 1)`` seconds, at most
    ``max_delay``, spread by ``jitter``. Exceptions are matched by the names of their class and its
    bases, so that a policy means the same in a process that cannot import the class; ``on`` and
    ``never_on`` hold these names. An exception group matches when all that is in it does, and a
    :class:`ResourceError` when what the resource's factory raised does.
    """

    max_attempts: int = Field(default=1, ge=1, le=MOST_ATTEMPTS)
    """How often the action is tried in all; 1 is no retry."""

    delay: Delay = 1.0
    """The delay after the first failure, in seconds."""

    factor: float = Field(default=2.0, ge=0)
    """What each further delay is multiplied by."""

    max_delay: Delay = Field(default_factory=lambda data: max(_LONGEST_DELAY, data["delay"]))
    """No delay is longer: 60 seconds, or ``delay`` if that is more."""

    jitter: float = Field(default=0.2, ge=0, le=1)
    """The part of a delay by which it is made longer or shorter at random."""

    on: ExceptionNames = ("builtins:Exception",)
    """The exceptions after which the action is tried again."""

    never_on: ExceptionNames = ()
    """Exceptions after which it is not, though ``on`` names them."""

    def __init__(
        self,
        max_attempts: int = 1,
        *,
        delay: Duration = 1.0,
        factor: float = 2.0,
        max_delay: Duration | None = None,
        jitter: float = 0.2,
        on: ExceptionTypes = (Exception,),
        never_on: ExceptionTypes = (),
    ) -> None:
        """Check and keep the policy.

        Raises:
            InvalidActionError: a value that does not fit; the message names it.
        """
        given = {
            "max_attempts": max_attempts,
            "delay": delay,
            "factor": factor,
            "jitter": jitter,
            "on": on,
            "never_on": never_on,
        }
        if max_delay is not None:
            given["max_delay"] = max_delay
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise InvalidActionError("\n".join(problem_lines(error, "Retry."))) from error

    # Pydantic then validates data straight into the fields, which keeps an error's path; it would
    # call any other __init__ with whatever the data holds, and a misspelt name be a TypeError.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_delay < self.delay:
            raise ValueError(
                f"max_delay ({self.max_delay:g} s) is less than delay ({self.delay:g} s)"
            )
        return self

    def delay_before(self, failures: int, random: float) -> float:
        """Return the seconds to wait after the *failures*-th failure, counted from 1.

        *random* is a number from 0 to 1, which places the delay within the jitter.
        """
        try:
            plain = min(self.delay * self.factor ** (failures - 1), self.max_delay)
        except OverflowError:
            plain = self.max_delay if self.delay else 0.0
        return min(plain * (1 + self.jitter * (2 * random - 1)), self.max_delay)

    def allows(self, exc: BaseException, failures: int) -> bool:
        """Tell whether the action is tried again after its *failures*-th failure, with *exc*."""
        if failures >= self.max_attempts or isinstance(exc, NoRetry):
            return False
        raised = list(_leaves(exc))
        if any(_matches(one, self.never_on) for one in [exc, *raised]):
            return False
        return _matches(exc, self.on) or all(_matches(one, self.on) for one in raised)


class NoRetry(Exception):
    """Raised by an action that must not be tried again, whatever its policy says.

    Give it a message, or the exception that is the reason.
    """

    def __init__(self, reason: object = "") -> None:
        super().__init__(reason)
        if isinstance(reason, BaseException):
            self.__cause__ = reason


class RetryAfter(Exception):
    """Raised by an action that wants its next try after a delay of its own choice.

    It holds without a policy too; a policy of more than one attempt still bounds the number.

    Raises:
        ValueError: *delay* is not a duration.
    """

    def __init__(self, delay: Duration, reason: object = "") -> None:
        super().__init__(delay, reason)
        self.seconds = seconds(delay)
        self.reason = reason
        if isinstance(reason, BaseException):
            self.__cause__ = reason

    def __str__(self) -> str:
        return str(self.reason) or f"again in {self.seconds:g} s"


def decide(policy: Retry | None, exc: BaseException, failures: int, random: float) -> float | None:
    """Return the seconds until the next try, or ``None`` when this failure is the last.

    Args:
        policy: the action's, if it has one.
        exc: what the body raised; inside an exception group an overruling one counts too.
        failures: how many tries have failed by now, this one included.
        random: a number from 0 to 1, for the jitter.
    """
    raised = list(_leaves(exc))
    if any(isinstance(one, NoRetry) for one in raised):
        return None
    asked = [one.seconds for one in raised if isinstance(one, RetryAfter)]
    if asked:
        return max(asked) if failures < _most_attempts(policy) else None
    if policy is None or not policy.allows(exc, failures):
        return None
    return policy.delay_before(failures, random)


def _most_attempts(policy: Retry | None) -> int:
    return policy.max_attempts if policy and policy.max_attempts > 1 else MOST_ATTEMPTS


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    pending = [exc]
    while pending:
        one = pending.pop()
        if isinstance(one, BaseExceptionGroup):
            pending.extend(one.exceptions)
        elif isinstance(one, ResourceError) and one.__cause__ is not None:
            pending.append(one.__cause__)
        else:
            yield one


def _matches(exc: BaseException, names: Iterable[str]) -> bool:
    return not {qualified_name(base) for base in type(exc).__mro__}.isdisjoint(names)
