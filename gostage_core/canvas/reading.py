"""Reads a canvas: takes Celery's signatures apart, and refuses what a run cannot do as they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from celery.canvas import Signature

from gostage_core.broker.tagged import tagged
from gostage_core.canvas.parts import Call, Line, Part, Sides
from gostage_core.composition.celery_task import MESSAGE_OPTIONS
from gostage_core.errors import CanvasError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

_BOOKKEEPING: Final = frozenset(
    {
        "app", "chain", "chord", "group_id", "group_index", "parent_id", "replaced_task_nesting",
        "reply_to", "root_id", "task_id", "use_link",
    }
)  # fmt: skip
"""What Celery notes in a signature while it sends it; a run has ids of its own."""

_INSTEAD: Final = {
    "countdown": "put Sleep(...) in front of it in the workflow",
    "eta": "put Sleep(...) in front of it in the workflow",
}

_EMPTY: Final[dict[str, Any]] = {
    "args": (), "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False,
}  # fmt: skip

_MAPS: Final = frozenset({"celery.map", "celery.starmap"})


def read(canvas: object) -> Part:
    """Return what *canvas* is made of: a signature, or one as JSON would bring it.

    Raises:
        CanvasError: a part that cannot be done by a run; names the part and where it stands.
    """
    return _part(canvas, "", [])


def _part(given: object, path: str, errbacks: Sequence[JsonValue]) -> Part:
    signature = _signature(given, path)
    reader = _READERS.get(signature.task, _call)
    return reader(signature, path, [*errbacks, *_links(signature, "link_error", path)])


def _signature(given: Any, path: str) -> Any:
    """Return a signature of Celery, whose own types leave out most of what one has."""
    if isinstance(given, Signature):
        return given
    if not (isinstance(given, dict) and isinstance(given.get("task"), str)):
        hint = "; write task.s(...)" if hasattr(given, "apply_async") else ""
        raise CanvasError(path, f"a signature is wanted, not {type(given).__name__}{hint}")
    try:
        return Signature.from_dict({**_EMPTY, **given})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CanvasError(path, f"the signature cannot be read: {error!r}") from error


def _chain(signature: Any, path: str, errbacks: Sequence[JsonValue]) -> Part:
    _refuse_own(signature, path, {"link", "link_error"})
    steps = [_single(step, path) for step in _part_of(signature, "tasks", path)]
    parts = [
        _part(step, _below(path, f"chain[{number}]"), errbacks) for number, step in enumerate(steps)
    ]
    filled = [part for part in parts if not _is_empty(part)] or parts[:1]
    if not filled:
        raise CanvasError(path, "the chain is empty")
    return _linked(Line(path, tuple(filled)), _links(signature, "link", path))


def _group(signature: Any, path: str, errbacks: Sequence[JsonValue]) -> Part:
    _refuse_own(signature, path, {"link_error"})
    members = tuple(_members(_part_of(signature, "tasks", path), path, "group", errbacks))
    if len(members) == 1 and _ends_side_by_side(members[0]):
        return members[0]  # as Celery has it: its result is that of the chain
    return Sides(path, members)


def _chord(signature: Any, path: str, errbacks: Sequence[JsonValue]) -> Part:
    _refuse_own(signature, path, {"link", "link_error"})
    header, body = (_part_of(signature, name, path) for name in ("header", "body"))
    if signature.kwargs.get("kwargs"):
        raise CanvasError(path, "the chord has keyword arguments; give them to its tasks")
    tasks = header.kwargs["tasks"] if isinstance(header, Signature) else header
    # A header that fails calls what the body says of errors: the body then never runs itself.
    below = _below(path, "body")
    theirs = [*errbacks, *_links(_signature(body, below), "link_error", below)]
    sides = Sides(_below(path, "header"), tuple(_members(tasks, path, "header", theirs)))
    end = _linked(_part(body, below, errbacks), _links(signature, "link", path))
    return Line(path, (sides, end))


def _chunks(signature: Any, path: str, errbacks: Sequence[JsonValue]) -> Part:
    _refuse_own(signature, path, MESSAGE_OPTIONS - {"link"} | {"queue"})
    task, items, size = (_part_of(signature, name, path) for name in ("task", "it", "n"))
    rows = list(items)
    if not isinstance(size, int) or size < 1:
        raise CanvasError(path, f"chunks of {size!r} items")
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    members = [
        Signature("celery.starmap", kwargs={"task": task, "it": chunk}, options=signature.options)
        for chunk in chunks
    ]
    return Sides(path, tuple(_members(members, path, "chunks", errbacks)))


def _call(signature: Any, path: str, errbacks: Sequence[JsonValue]) -> Part:
    place = f"{path} ({signature.task})" if path else signature.task
    kwargs = dict(signature.kwargs)
    message = _message(signature, place)
    if signature.task in _MAPS:
        mapped = _signature(_part_of(signature, "task", path), path)
        kwargs["it"] = list(_part_of(signature, "it", path))
        message.setdefault("route_name", mapped.task)
    if errbacks:
        message["link_error"] = list(errbacks)
    queue = signature.options.get("queue")
    return Call(
        path=path or signature.task,
        task=signature.task,
        args=_json(list(signature.args), place, "args"),
        kwargs=_json(kwargs, place, "kwargs"),
        immutable=bool(signature.immutable) or signature.task in _MAPS,
        queue=getattr(queue, "name", queue),
        message=message,
    )


_READERS: Final = {
    "celery.chain": _chain,
    "celery.group": _group,
    "celery.chord": _chord,
    "celery.chunks": _chunks,
}


def _members(
    tasks: Iterable[object], path: str, word: str, errbacks: Sequence[JsonValue]
) -> Iterable[Part]:
    """Yield the members of a group; those of groups in it are its own, as Celery has it."""
    for number, task in enumerate(tasks):
        part = _part(task, _below(path, f"{word}[{number}]"), errbacks)
        if isinstance(part, Sides):
            yield from part.members
        elif not _is_empty(part):
            yield part


def _single(step: object, path: str) -> object:
    """Return the one task of a group of one, which Celery puts in its place in a chain."""
    signature = _signature(step, path)
    if signature.task == "celery.group":
        tasks = list(_part_of(signature, "tasks", path))
        if len(tasks) == 1:
            return tasks[0]
    return step


def _part_of(signature: Any, name: str, path: str) -> Any:
    found = signature.kwargs.get(name)
    if found is None:
        raise CanvasError(path, f"the {signature.task.rpartition('.')[2]} has no {name}")
    return found


def _is_empty(part: Part) -> bool:
    if isinstance(part, Sides):
        return not part.members
    return isinstance(part, Line) and all(map(_is_empty, part.parts))


def _ends_side_by_side(part: Part) -> bool:
    return isinstance(part, Line) and isinstance(part.parts[-1], Sides)


def _linked(part: Part, links: Sequence[JsonValue]) -> Part:
    """Return *part* with callbacks of the whole at the task whose result is that of the whole."""
    if not links:
        return part
    if isinstance(part, Line):
        *before, last = part.parts
        return Line(part.path, (*before, _linked(last, links)))
    if isinstance(part, Sides):
        raise CanvasError(part.path, "link= on what ends in a group; link to a task after it")
    message = dict(part.message)
    message["link"] = [*cast("list[JsonValue]", message.get("link", [])), *links]
    return Call(part.path, part.task, part.args, part.kwargs, part.immutable, part.queue, message)


def _links(signature: Any, option: str, path: str) -> list[JsonValue]:
    """Return callbacks of a signature as data."""
    given = signature.options.get(option) or []
    links = given if isinstance(given, list | tuple) else [given]
    return [_json(link, path, option) for link in links]


def _message(signature: Any, place: str) -> dict[str, JsonValue]:
    options = {
        name: value
        for name, value in signature.options.items()
        if name not in _BOOKKEEPING and name not in ("queue", "link_error") and value is not None
    }
    for name in options:
        _refuse(name, place, MESSAGE_OPTIONS)
    message = cast("dict[str, JsonValue]", _json(options, place, "options"))
    if "link" in message:
        message["link"] = _links(signature, "link", place)
    return message


def _refuse_own(signature: Any, path: str, allowed: Iterable[str]) -> None:
    """Refuse what is said of several tasks at once, and would mean something else for each."""
    kind = signature.task.rpartition(".")[2]
    if signature.args:
        raise CanvasError(path, f"the {kind} has arguments; give them to its tasks")
    for name, value in signature.options.items():
        if name not in _BOOKKEEPING and name not in allowed and value is not None:
            if name in _INSTEAD:
                _refuse(name, path, ())
            raise CanvasError(path, f"the {kind} has the option {name}; give it to its tasks")


def _refuse(option: str, place: str, allowed: Iterable[str]) -> None:
    if option not in allowed:
        instead = _INSTEAD.get(option, "no run has anything like it; leave it out")
        raise CanvasError(place, f"cannot take the option {option}; {instead}")


def _json(value: object, place: str, what: str) -> Any:
    try:
        return tagged(value)
    except ValueError as error:
        raise CanvasError(place, f"{what} cannot be written as JSON: {error}") from error


def _below(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step
