"""Checks of what came out of a queue: nothing that kills a worker may reach its consumer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from gostage_core.broker.quarantine import ITEM_FAULTS, MalformedItemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from kombu.message import Message

    Types = type | tuple[type, ...]

MAX_DEPTH: Final = 300
"""Levels of nesting.

What is nested deeper can be parsed, but not be pickled for a child of a prefork worker, and the
main process dies of that: pickle needs two of Python's 1,000 levels for one of the data.
"""
MAX_TIME_LIMIT: Final = 2**53
"""Seconds of a time limit, beyond which its sum with the clock overflows."""
FIELD_TYPES: Final[Mapping[str, Types]] = {
    "task": str,
    "id": (str, int, float),
    "shadow": str,
    "stamps": dict,
}
"""Fields of a task message that Celery uses as a key or calls methods of without asking.

Other fields were seen to do no harm to the worker, whatever they hold.
"""
SIGNATURE_TYPES: Final[Mapping[str, Types]] = {
    "task": str,
    "args": (list, tuple),
    "kwargs": dict,
    "options": dict,
    "subtask_type": str,
}
"""The same of a signature, which is a task to be sent when this one has ended."""
SIGNATURE_LISTS: Final = ("callbacks", "errbacks", "chain")

_CONTAINERS: Final = (dict, list, tuple)
_UNREADABLE: Final[tuple[type[Exception], ...]] = (DecodeError, *ITEM_FAULTS)


def decode_item(item: bytes) -> Any:
    """Decode a queue item as kombu does.

    Raises:
        MalformedItemError: It is not JSON that Python can hold.
    """
    try:
        return loads(bytes_to_str(item))
    except ITEM_FAULTS as error:
        raise MalformedItemError(f"it is not JSON ({type(error).__name__})") from None


def guard_tasks(callback: Callable[[Message], object]) -> Callable[[Message], object]:
    """Wrap the callback of a consumer so that Celery's own gets only what it survives.

    Consumers of other kinds see every message, and their errors are theirs.

    Args:
        callback: What kombu calls with each message: a method of a ``kombu.Consumer``.
    """
    consumer: Any = getattr(callback, "__self__", None)

    def receive(message: Message) -> object:
        if not _is_task_consumer(consumer):
            return callback(message)
        # The callback does this too, but the check decodes the body before that.
        message.accept = consumer.accept if consumer.accept is not None else message.accept
        try:
            check_task(message)
            return callback(message)
        except MalformedItemError as error:
            raise MalformedItemError(error.reason, message) from None
        except ITEM_FAULTS as error:
            if _holds_slot(error.__traceback__):
                raise
            raise MalformedItemError(_place(error), message) from error

    return receive


def check_task(message: Message) -> None:
    """Refuse a task message that Celery's consumer, or its pool, would die of.

    What Celery itself refuses and survives is left to Celery: an unknown task, a content type that
    the app does not accept, an ``eta`` that is no date, arguments that do not fit.

    Raises:
        MalformedItemError: The message must not be delivered.
    """
    headers: Mapping[str, Any] = message.headers
    is_task = "task" in headers
    if is_task:
        if "id" not in headers:
            raise MalformedItemError("its headers name a task, but no id")
        _check_fields(headers)
        # Celery merges the headers into the request, where these would be signatures.
        _check_signatures(headers)
    _check_depth([headers, message.properties])
    if message.errors:
        raise MalformedItemError("its body cannot be decompressed")
    try:
        payload = message.payload
    except ContentDisallowed:
        return
    except _UNREADABLE as error:
        raise MalformedItemError(f"its body cannot be decoded ({type(error).__name__})") from None
    _check_payload(payload, is_task)
    if _may_be_deep(message.body):
        _check_depth([payload])


def _check_payload(payload: object, is_task: bool) -> None:
    if isinstance(payload, dict):
        # Protocol 1 has the fields in the body; with the header too, Celery takes them from there.
        if "task" in payload or "args" in payload:
            _check_fields(payload)
            _check_signatures(payload)
        elif is_task:
            raise MalformedItemError("its body is an object without args")
    elif is_task:
        _check_body(payload)


def _check_body(payload: object) -> None:
    match payload:
        case [list() | tuple(), dict(), dict() | None as embed]:
            _check_signatures(embed or {})
        case _:
            raise MalformedItemError("its body is not [args, kwargs, embed]")


def _check_fields(fields: Mapping[str, Any]) -> None:
    wrong = _wrong_type(fields, FIELD_TYPES)
    if wrong:
        raise MalformedItemError(f"its field {wrong}")
    if not _are_time_limits(fields.get("timelimit")):
        raise MalformedItemError("its field 'timelimit' is not two numbers")
    if not _are_names(fields.get("stamped_headers")):
        raise MalformedItemError("its field 'stamped_headers' is not a list of names")


def _check_signatures(embed: Mapping[str, Any]) -> None:
    for name in SIGNATURE_LISTS:
        signatures = embed.get(name)
        if not signatures:
            continue
        if not (isinstance(signatures, (list, tuple)) and all(map(_is_signature, signatures))):
            raise MalformedItemError(f"its {name!r} are not signatures of tasks")
    chord = embed.get("chord")
    if chord and not _is_signature(chord):
        raise MalformedItemError("its 'chord' is not the signature of a task")


def _is_signature(value: object) -> bool:
    return isinstance(value, dict) and "task" in value and not _wrong_type(value, SIGNATURE_TYPES)


def _wrong_type(fields: Mapping[str, Any], types: Mapping[str, Types]) -> str | None:
    for name, allowed in types.items():
        value = fields.get(name)
        if value is not None and not isinstance(value, allowed):
            return f"{name!r} is of type {type(value).__name__}"
    return None


def _are_time_limits(value: object) -> bool:
    if not value:
        return True
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return False
    return all(
        limit is None
        or isinstance(limit, float)
        or (isinstance(limit, int) and abs(limit) < MAX_TIME_LIMIT)
        for limit in value
    )


def _are_names(value: object) -> bool:
    if not value:
        return True
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)


def _check_depth(values: list[Any]) -> None:
    level = values
    for _ in range(MAX_DEPTH):
        # By identity: YAML can refer to one list a thousand times.
        level = list({id(child): child for value in level for child in _children(value)}.values())
        if not level:
            return
    raise MalformedItemError(f"it is nested deeper than {MAX_DEPTH} levels")


def _children(value: Any) -> list[Any]:
    members = value.values() if isinstance(value, dict) else value
    return [member for member in members if isinstance(member, _CONTAINERS)]


def _may_be_deep(body: Any) -> bool:
    if not isinstance(body, bytes):
        return True
    return body.count(b"[") + body.count(b"{") > MAX_DEPTH


def _is_task_consumer(consumer: Any) -> bool:
    # Celery sets the attribute only when its event loop starts, so it is read late.
    receiver = getattr(consumer, "on_message", None)
    return str(getattr(receiver, "__module__", "")).startswith("celery.worker.")


def _holds_slot(traceback: TracebackType | None) -> bool:
    # A prefork worker that goes on after an error under its semaphore has a process less to use,
    # for ever, and nobody notices; that is worse than its end.
    return any(part.tb_frame.f_code.co_name == "_process_task_sem" for part in _parts(traceback))


def _place(error: Exception) -> str:
    *_, last = _parts(error.__traceback__)
    module = last.tb_frame.f_globals.get("__name__", "?")
    return f"{type(error).__name__} in {module}, line {last.tb_lineno}"


def _parts(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
