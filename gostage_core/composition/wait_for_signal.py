"""``WaitForSignal``: the run waits for something from outside, and no worker is held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from gostage_core.authoring.definition import ActionDefinition, Tree
from gostage_core.authoring.definition_fields import StoreKey, Timeout
from gostage_core.authoring.json_tree import MOST_BYTES
from gostage_core.authoring.waits import BelowFailedError, Group, Member, SignalWait
from gostage_core.composition.composite import Composite, definitions_of, results_of
from gostage_core.errors import InvalidActionError, SignalTimeoutError, StoreTypeError
from gostage_core.signals import expected_name, expected_type, read_payload
from gostage_core.store import encoded_result
from gostage_core.values.codec import from_tree
from gostage_core.values.types import register_annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gostage_core.authoring.action import Action
    from gostage_core.composition.composite import Sequences
    from gostage_core.context import ActionContext
    from gostage_core.duration import Duration

_NOTHING: Final[Any] = object()
"""Stands where no default was given."""


class WaitForSignal(Composite, id="gostage.WaitForSignal"):
    """Waits for a signal to the run, which ``run.signal`` sends; its value is what that brings.

    A signal is consumed by one entry, the oldest first, and one that came before counts. One that
    is not of the wanted type is refused, noted in the journal, and another one is waited for.
    """

    signal: StoreKey
    """The name of the signal."""
    wanted: str = Field(default="", max_length=500)
    """What it is to bring: the name of a registered class, or of a plain type such as ``dict``."""
    timeout: Timeout | None = None
    """Seconds until it is not waited for any more; by default it is waited for without end."""
    default: Tree = None
    """The value when none came in time, as the codec writes it."""
    has_default: bool = False
    """Whether there is one; without, the action fails then."""
    on_timeout: tuple[ActionDefinition, ...] = ()
    """What is done when none came in time; its last action's value is the value then."""

    def __init__(
        self,
        signal: str,
        type: Any = Any,
        *,
        timeout: Duration | None = None,
        default: Any = _NOTHING,
        on_timeout: Action | Sequence[Action] = (),
        store_as: str | None = None,
    ) -> None:
        """Bind it.

        Args:
            signal: the name of the signal.
            type: what it is to bring: a pydantic model, a dataclass, an Enum, or a plain type such
                as ``dict`` or ``Decimal``; by default anything.
            timeout: after which the action fails with ``SignalTimeoutError``, unless it is told
                what to do then.
            default: the value then.
            on_timeout: actions that are done then, one after another.
            store_as: the key under which its value is written.

        Raises:
            InvalidActionError: a value that does not fit.
        """
        branch = on_timeout if isinstance(on_timeout, list | tuple) else [on_timeout]
        has_default = default is not _NOTHING
        if (branch or has_default) and timeout is None:
            raise InvalidActionError("WaitForSignal: without timeout= it waits without end")
        if branch and has_default:
            raise InvalidActionError("WaitForSignal: give it default= or on_timeout=, not both")
        super().__init__(
            signal=signal,
            wanted=_named(type),
            timeout=timeout,
            default=_tree(default) if has_default else None,
            has_default=has_default,
            on_timeout=definitions_of("WaitForSignal", branch, some=False),
        )
        self._take_options(name=signal[:200], store_as=store_as)

    def execute(self, ctx: ActionContext) -> object:
        """Wait; then return what came, or do what is to be done when nothing did."""
        if not ctx.phase:
            return self._wait()
        outcome = ctx.outcome()
        if outcome.failure is not None:
            raise BelowFailedError(outcome.failure)
        if outcome.delivered is None:  # what was to be done in its place has been
            return next(iter(results_of(outcome)), None)
        try:
            return read_payload(outcome.delivered, expected_type(self.wanted), self.signal)
        except StoreTypeError as error:
            return self._wait(str(error))
        except TimeoutError:
            return self._none_came(ctx)

    def _wait(self, refusal: str = "") -> SignalWait:
        return SignalWait(0, self.signal, self.wanted, self.timeout, refusal)

    def _none_came(self, ctx: ActionContext) -> object:
        if self.on_timeout:
            return Group((Member(self.on_timeout, label="[timeout]"),), collect=ctx.keeps_result)
        if self.has_default:
            return from_tree(self.default)
        raise SignalTimeoutError(self.signal, self.timeout)

    def _sequences(self) -> Sequences:
        return {"on_timeout": self.on_timeout} if self.on_timeout else {}


def _named(type_: Any) -> str:
    if type_ is Any or type_ is object:
        return ""
    register_annotation(type_)
    name = expected_name(type_)
    if not name:
        raise InvalidActionError(
            f"WaitForSignal.type: {type_!r} has no name that a plan could keep; give it a pydantic "
            f"model, a dataclass or a plain type, or use ctx.wait_for in an action of your own"
        )
    return name


def _tree(value: object) -> Any:
    return json.loads(encoded_result("WaitForSignal.default", value, MOST_BYTES))
