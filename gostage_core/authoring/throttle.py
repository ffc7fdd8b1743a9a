"""How many actions or runs with one key go on at a time, and how many begin within a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, ValidationError, model_validator

from gostage_core.authoring.definition_fields import Delay, OptionalLabel
from gostage_core.authoring.problems import problem_lines
from gostage_core.authoring.sparse import SparseModel
from gostage_core.errors import InvalidActionError
from gostage_core.naming import fault_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from gostage_core.duration import Duration

_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Throttle(SparseModel):
    """A bound for all that shares a key: an API, a tenant, a machine.

    It holds over all workers and all runs of a namespace. What does not fit stands in line, and
    holds no worker. In a line the runs take turns, or those that were submitted with one
    ``concurrency_key`` together. The bound on the rate is exact: within any stretch of ``per``
    seconds no more than ``rate`` attempts begin. Whatever shares a key is to say the same numbers.

    An action that sleeps, waits or is to be tried again holds no place meanwhile; a run holds its
    own until it has ended.
    """

    key: OptionalLabel = ""
    """What it bounds; ``{name}`` stands for a parameter of the action. By default the action's
    registry id, or the workflow's id."""

    concurrency: int | None = Field(default=None, ge=1)
    """How many go on at a time."""

    rate: int | None = Field(default=None, ge=1, le=100_000)
    """How many begin within ``per`` seconds."""

    per: Delay = Field(default=1.0, ge=0.001)
    """Seconds. Lines are looked at every ``GOSTAGE_TICK``: ten within 1 s go faster than one within
    0.1 s."""

    def __init__(
        self,
        key: str = "",
        *,
        concurrency: int | None = None,
        rate: int | None = None,
        per: Duration = 1.0,
    ) -> None:
        """Check and keep it.

        Raises:
            InvalidActionError: a value that does not fit; the message names it.
        """
        given = {"key": key, "concurrency": concurrency, "rate": rate, "per": per}
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise InvalidActionError("\n".join(problem_lines(error, "Throttle."))) from error

    # As in Retry: what is read from a document then keeps its place in it.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.concurrency is None and self.rate is None:
            raise ValueError("bounds nothing; give it concurrency= or rate=")
        if self.key and (fault := fault_of(self.key)):
            raise ValueError(f"its key: {fault}")
        return self

    def for_parameters(self, owner: str, default: str, values: Mapping[str, Any]) -> Throttle:
        """Return it with the key of an action that is bound to *values*.

        Raises:
            InvalidActionError: the key names a parameter that there is not, or nothing can be
                called so.
        """

        def filled(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise InvalidActionError(
                    f"{owner}: option throttle: its key {self.key!r} names {match[1]!r}, which is "
                    f"no parameter; there are {', '.join(values) or 'none'}"
                )
            return str(values[match[1]])

        key = _PARAMETER.sub(filled, self.key or default)
        if fault := fault_of(key):
            raise InvalidActionError(f"{owner}: option throttle: its key: {fault}")
        return self.model_copy(update={"key": key})

    def text(self, key: str) -> str:
        """Return it as the scripts read it, for *key*."""
        return f"{self.concurrency or 0}|{self.rate or 0}|{round(self.per * 1000)}|{key}"
