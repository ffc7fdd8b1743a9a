"""``CeleryTask``: an existing Celery task, used as an action."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID, uuid5

from pydantic import AfterValidator, Field, JsonValue

from gostage_core.authoring.definition_fields import OptionalLabel, Timeout
from gostage_core.authoring.problems import suggestion
from gostage_core.authoring.waits import Delivery
from gostage_core.composition.composite import Composite
from gostage_core.composition.task_end import result_in, wait_id
from gostage_core.errors import ActionTimeoutError, InvalidActionError
from gostage_core.naming import check_name
from gostage_core.values.key import Key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gostage_core.context import ActionContext
    from gostage_core.duration import Duration

MESSAGE_OPTIONS: Final = frozenset(
    {
        "compression", "delivery_mode", "exchange", "exchange_type", "expires", "headers",
        "ignore_result", "link", "link_error", "priority", "retry", "retry_policy", "route_name",
        "routing_key", "serializer", "shadow", "soft_time_limit", "time_limit",
    }
)  # fmt: skip
"""What may be said of the message of a task, as ``apply_async`` takes it."""

_TASK_IDS: Final = UUID("5d0f1e9c-3f0b-5c36-9a3c-0d6c1a8b7e42")


def _checked_source(source: JsonValue) -> JsonValue:
    if isinstance(source, list):
        return [_checked_source(part) for part in source]
    if not isinstance(source, str):
        raise ValueError("a key of the store is wanted, or a list of keys")
    return check_name(source)


def _checked_message(message: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name in message:
        if name in ("countdown", "eta"):
            raise ValueError(f"{name} is not for a run; put Sleep(...) in front of the action")
        if name not in MESSAGE_OPTIONS:
            hint = suggestion(name, MESSAGE_OPTIONS)
            raise ValueError(f"no option {name!r} of the task's message{hint}")
    return message


def _checked_gifts(gifts: dict[str, JsonValue]) -> dict[str, JsonValue]:
    positions = sorted(int(name) for name in gifts if name.isdecimal())
    if positions != list(range(len(positions))):
        raise ValueError("positions are counted from 0, without a gap")
    return gifts


Source = Annotated[JsonValue, AfterValidator(_checked_source)]
"""A key of the store, or a list of sources: the values of all of them as a list."""


class CeleryTask(Composite, id="gostage.CeleryTask"):
    """Has a Celery task executed, by the workers that it is meant for, and waits for its end.

    The task stays as it is: its queue, its routing, its options and its retries are its own, and
    its workers need not know of gostage. Meanwhile the run holds no worker. Its value is what the
    task returned; it fails with what the task failed with at last.

    A task that never reports its end (its message was revoked, has expired, nobody knows the task,
    or its worker died with it) leaves the action waiting until ``timeout``: give one where the run
    should not wait for ever.
    """

    task: str = Field(min_length=1, max_length=500)
    """The registered name of the task."""
    args: tuple[JsonValue, ...] = ()
    """Its positional arguments."""
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """Its keyword arguments."""
    give: Annotated[dict[str, Source], AfterValidator(_checked_gifts)] = Field(default_factory=dict)
    """Further arguments, by keyword or by position in front of ``args``: keys of the store."""
    timeout: Timeout | None = None
    """Seconds from the time it is published until the action fails without it."""
    queue: OptionalLabel | None = None
    """The queue that it goes to in place of its own."""
    message: Annotated[dict[str, JsonValue], AfterValidator(_checked_message)] = Field(
        default_factory=dict
    )
    """Further options of its message, as ``apply_async`` takes them."""

    def __init__(
        self,
        task: str,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        give: Mapping[str | int, Any] | None = None,
        timeout: Duration | None = None,
        queue: str | None = None,
        store_as: str | None = None,
        **message: Any,
    ) -> None:
        """Bind it.

        Args:
            task: the registered name of the task, as Celery's log and Flower show it.
            args: its positional arguments, JSON values.
            kwargs: its keyword arguments, JSON values.
            give: arguments from the store of the run, read when the task is published:
                ``{"to": "user.email"}`` by keyword, ``{0: "total"}`` by position in front of
                *args*. A list of keys gives a list of values.
            timeout: after which the action fails with ``ActionTimeoutError``, counted from when the
                task is published; by default it waits for ever.
            queue: in place of the one that the task is routed to.
            store_as: the key under which what it returns is written.
            message: further options, as ``apply_async`` takes them: ``priority``, ``expires``,
                ``time_limit``, ``routing_key``, ``serializer``, ``headers``, ``link`` …

        Raises:
            InvalidActionError: a value that does not fit.
        """
        for name in message.keys() & {"link", "link_error"}:
            message[name] = _callbacks(message[name])
        super().__init__(
            task=task,
            args=tuple(args),
            kwargs=dict(kwargs or {}),
            give={str(name): named_source(source) for name, source in (give or {}).items()},
            timeout=timeout,
            queue=queue,
            message=message,
        )
        name = task.rpartition(".")[2] or task
        self._take_options(name=name[:200], store_as=store_as)

    def execute(self, ctx: ActionContext) -> object:
        """Publish the task; when it has ended, return what it returned."""
        if not ctx.phase:
            self._publish(ctx)
            return Delivery(wait_id(ctx), self.timeout)
        text = ctx.outcome().delivered
        if text is None:
            raise ActionTimeoutError(
                f"task {self.task} ({task_id(ctx)}) did not tell its end within "
                f"{self.timeout or 0:g} s; it was lost or revoked, or goes on and nobody waits"
            )
        return result_in(text, ctx.attempt)

    def _publish(self, ctx: ActionContext) -> None:
        given = {name: value_of(ctx, source) for name, source in self.give.items()}
        count = sum(name.isdecimal() for name in given)
        before = [given.pop(str(position)) for position in range(count)]
        ctx.publish(
            self.task,
            [*before, *self.args],
            {**self.kwargs, **given},
            task_id=task_id(ctx),
            answer_to=wait_id(ctx),
            **({"queue": self.queue} if self.queue else {}),
            **self.message,
        )


def task_id(ctx: ActionContext) -> str:
    """Return the id of an action's task: the same for every try, as in Celery's own retries."""
    return str(uuid5(_TASK_IDS, ctx.idempotency_key))


def _callbacks(given: Any) -> list[Any]:
    """Return signatures of Celery, which are dicts, as JSON."""
    callbacks = given if isinstance(given, list | tuple) else [given]
    try:
        return [json.loads(json.dumps(one)) for one in callbacks]
    except (TypeError, ValueError) as error:
        raise InvalidActionError(f"CeleryTask: a callback is not JSON: {error}") from error


def named_source(source: Any) -> Any:
    """Return a source as JSON: with the names of typed keys in their place."""
    if isinstance(source, list | tuple):
        return [named_source(part) for part in source]
    return source.name if isinstance(source, Key) else source


def value_of(ctx: ActionContext, source: JsonValue) -> object:
    """Return what the store has at a source.

    Raises:
        KeyNotFoundError: it has no such key.
    """
    if isinstance(source, list):
        return [value_of(ctx, part) for part in source]
    return ctx.store.get(str(source))
