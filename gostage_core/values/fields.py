"""Changes of single fields of a stored value, by path: ``"address.city"``, ``"items.0.price"``."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import StoreTypeError
from gostage_core.values.annotations import field_hints
from gostage_core.values.records import (
    MisfitError,
    allows_field,
    build,
    field_names,
    fields_of,
    kind_of,
)
from gostage_core.values.types import label

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_SHOWN_NAMES: Final = 10
_LONGEST_INDEX: Final = 9


def updated(value: object, path: str, new: object, key: str) -> object:
    """Return a copy of *value* with one field changed; the original stays as it is.

    Args:
        value: what the store holds.
        path: names and indexes with dots between: fields of models, dataclasses and NamedTuples,
            keys of dicts (a last one that is not there yet is added), places in lists and tuples.
        new: what the field shall hold.
        key: what the value is called in an error.

    Raises:
        StoreTypeError: there is no such place, or the class of an owner refuses the new value,
            which must be of the annotated type as it is. The detail names the path.
    """
    return updated_many(value, {path: new}, key)


def updated_many(value: object, changes: Mapping[str, object], key: str) -> object:
    """Return a copy of *value* with all *changes*, by path, or raise and change nothing.

    An owner is validated once, with all its changes in place.

    Raises:
        StoreTypeError: as :func:`updated`; or one path leads through another.
    """
    return _changed(value, _branched(changes, key), _Place(key)) if changes else value


@dataclass(frozen=True, slots=True)
class _New:
    """A field's new value, at the end of a path."""

    value: object


_Change = _New | dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a stored value a change has come to."""

    key: str
    path: tuple[str, ...] = ()

    def __truediv__(self, step: str) -> _Place:
        return _Place(self.key, (*self.path, step))

    def error(self, expected: str, found: str, reason: str) -> StoreTypeError:
        path = ".".join(self.path)
        return StoreTypeError(self.key, expected, found, f"path {path!r}: {reason}")


def _branched(changes: Mapping[str, object], key: str) -> _Change:
    """Join the paths to one tree."""
    root: dict[str, Any] = {}
    for path, new in changes.items():
        *way, last = path.split(".")
        place, branch = _Place(key, (*way, last)), root
        if not all((*way, last)):
            raise place.error("a value with that path", "one", "a step of a path is empty")
        for step in way:
            branch = branch.setdefault(step, {})
            if isinstance(branch, _New):
                raise place.error("a value with both", "one", "another path ends on its way")
        if last in branch:
            raise place.error("a value with both", "one", "another path goes through it")
        branch[last] = _New(new)
    return root


def _changed(value: object, change: _Change, place: _Place) -> object:
    if isinstance(change, _New):
        return change.value
    change_in = _CHANGERS.get(type(value))
    if change_in is not None:
        return change_in(value, change, place)
    if kind_of(type(value)) in ("data", "model", "named"):
        return _changed_record(value, change, place)
    place /= next(iter(change))
    raise place.error(
        f"a value with {place.path[-1]!r} inside", label(type(value)), "it has no fields"
    )


def _changed_dict(
    value: dict[object, object], change: dict[str, Any], place: _Place
) -> dict[object, object]:
    result = dict(value)
    for step, inner in change.items():
        index = _index(step)
        key: object = index if step not in value and index in value else step
        if key not in value and not isinstance(inner, _New):
            raise _nothing_at(place / step, value, value)
        result[key] = _changed(value.get(key), inner, place / step)
    return result


def _changed_list(value: list[object], change: dict[str, Any], place: _Place) -> list[object]:
    result = list(value)
    for step, inner in change.items():
        index = _index(step)
        if index is None or index >= len(value):
            raise _nothing_at(place / step, value, range(len(value)))
        result[index] = _changed(value[index], inner, place / step)
    return result


def _changed_tuple(
    value: tuple[object, ...], change: dict[str, Any], place: _Place
) -> tuple[object, ...]:
    return tuple(_changed_list(list(value), change, place))


def _changed_record(value: object, change: dict[str, Any], place: _Place) -> object:
    cls = type(value)
    try:
        fields = fields_of(value)
    except MisfitError as misfit:
        raise place.error("a value that can be changed", label(cls), misfit.reason) from misfit
    news: dict[str, object] = {}
    for step, inner in change.items():
        known = step in fields or (isinstance(inner, _New) and allows_field(cls, step))
        if not known:
            raise _nothing_at(place / step, value, field_names(cls))
        news[step] = _changed(fields.get(step), inner, place / step)
    try:
        return build(cls, fields | news, strictly=frozenset(news))
    except MisfitError as misfit:
        raise _refused(place, cls, news, misfit.reason) from misfit


def _index(step: str) -> int | None:
    return int(step) if step.isdecimal() and len(step) <= _LONGEST_INDEX else None


def _nothing_at(place: _Place, owner: object, there: Collection[object]) -> StoreTypeError:
    shown = ", ".join(str(name) for name in islice(there, _SHOWN_NAMES) if type(name) in (str, int))
    more = ", …" if len(there) > _SHOWN_NAMES else ""
    reason = f"it has {shown}{more}" if shown else "it has nothing that a path can name"
    return place.error(f"a value with {place.path[-1]!r} inside", label(type(owner)), reason)


def _refused(place: _Place, cls: type, news: dict[str, object], reason: str) -> StoreTypeError:
    if len(news) > 1:
        return place.error(label(cls), f"{label(cls)} with these changes", reason)
    [(name, new)] = news.items()
    wanted = " | ".join(map(label, field_hints(cls, name)))
    return (place / name).error(wanted, label(type(new)), reason)


_CHANGERS: Final[dict[type, Callable[[Any, dict[str, Any], _Place], object]]] = {
    dict: _changed_dict,
    list: _changed_list,
    tuple: _changed_tuple,
}
