"""What cannot be stored is refused with its place, its type and what to do instead."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta, tzinfo
from decimal import Context, Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Secret

from gostage_core.errors import NotStorableError
from gostage_core.values.codec import encode, to_tree
from tests.support.strategies import Basket, Item, Loose, Order, Pair

if TYPE_CHECKING:
    from pathlib import Path


def refusal(value: object) -> str:
    with pytest.raises(NotStorableError) as caught:
        encode(value)
    return str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        threading.Lock(),
        threading.RLock(),
        threading.Event(),
        asyncio.Lock(),
        (number for number in range(3)),
        lambda: None,
        print,
        [].append,
        refusal,
        math,
        threading.Thread(),
    ],
)
def test_what_belongs_on_the_worker_is_named_as_such(value: object) -> None:
    message = refusal({"a": [value]})
    assert "value['a'][0]" in message
    assert "belongs on the worker, not in the store" in message


def test_open_files_and_sockets_belong_on_the_worker(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, socket.socket() as connection:
        assert "an open file belongs on the worker" in refusal(file)
        assert "a socket belongs on the worker" in refusal((connection,))


class Text(str):
    """A str that is more than one."""

    __slots__ = ()


class Table(dict[str, int]):
    """A dict that is more than one."""


class Moment(datetime):
    """A datetime that is more than one."""


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (OrderedDict(a=1), "dict(value)"),
        (defaultdict(int), "dict(value)"),
        (Counter("a"), "dict(value)"),
        (deque([1]), "list(value)"),
        (range(3), "list(value)"),
        (bytearray(b"a"), "bytes(value)"),
        (memoryview(b"a"), "bytes(value)"),
        (1j, "(value.real, value.imag)"),
        (Text("a"), "str(value)"),
        (Table(a=1), "dict(value)"),
        (Order, "its name"),
        (Moment(2024, 1, 1), "the store holds"),
        (Secret("a"), "the store holds"),
        (object(), "the store holds"),
        (Context(), "the store holds"),
        (NotImplemented, "the store holds"),
        (..., "the store holds"),
    ],
)
def test_no_type_is_changed_silently(value: object, advice: str) -> None:
    assert advice in refusal(value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "value of type object"),
        ([1, [object()]], "value[1][0] of type object"),
        ({"a": {"b": object()}}, "value['a']['b'] of type object"),
        ({1: object()}, "value[1] of type object"),
        ({(1, 2): object()}, "value[key 1 of type tuple] of type object"),
        (Order(id=1, note=(object(),)), "value.note[0] of type object"),
        (Basket({"a": Pair(object())}), "value.content['a'].left of type object"),
        (Loose(known=1, more=object()), "value.more of type object"),
        ({"k" * 1000: object()}, f"value['{'k' * 40}…'] of type object"),
    ],
)
def test_the_place_inside_the_value_is_named(value: object, place: str) -> None:
    assert f"cannot store {place}: " in refusal(value)


class Hostile:
    """Nothing that an error message may touch works."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no attributes")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        return 1


def test_a_hostile_object_is_refused_like_any_other() -> None:
    assert "Hostile" in refusal(Hostile())
    assert "value['a'] of type" in refusal({"a": Hostile()})
    assert "Hostile" in refusal({Hostile(): 1})
    assert "Hostile" in refusal(Basket(Hostile()))
    assert "Hostile" in refusal({Hostile()})


def test_what_contains_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.extend([ring] * 10)
    assert "it contains itself" in refusal(ring)
    table: dict[str, Any] = {}
    table["a"] = (table,)
    assert "it contains itself" in refusal(table)
    order = Order(id=1)
    order.note = order
    assert "it contains itself" in refusal(order)


@pytest.mark.parametrize("levels", [101, 5_000, 200_000])
def test_what_is_nested_too_deeply_is_refused(levels: int) -> None:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    message = refusal(value)
    assert "it is nested deeper than 100 levels" in message
    assert len(message) < 300
    with pytest.raises(NotStorableError):
        to_tree({"a": value})


def test_a_deep_stack_is_no_recursion_error() -> None:
    value: Any = ()
    for _ in range(98):
        value = (value,)

    def deeper(levels: int) -> bytes:
        return encode(value) if levels == 0 else deeper(levels - 1)

    def outcome(levels: int) -> str:
        try:
            deeper(levels)
        except (NotStorableError, RecursionError) as error:
            return str(error)
        return "stored"

    outcomes = [outcome(levels) for levels in range(0, 1000, 10)]
    assert outcomes[0] == "stored"
    assert "Python's stack" in next(text for text in outcomes if text != "stored")


@dataclass
class Seeded:
    """A constructor with a parameter that is no field."""

    seed: InitVar[int]
    size: int = 0


@dataclass
class Partial:
    """A field that may never have been set."""

    size: int
    late: int = field(init=False)


def test_what_could_not_be_built_again_is_refused() -> None:
    assert "disagree about 'seed'" in refusal(Seeded(3))
    partial = Partial(1)
    encode(partial)
    del partial.size
    assert "'size' was never set" in refusal(partial)
    item = Item(itemName="pen", price=Decimal(1))
    del item.name
    assert "'name' was never set" in refusal(item)


@dataclass
class Words(dict[str, int]):
    """A dict and a dataclass at once, with content that is in no field."""

    language: str = "en"


def test_a_dataclass_with_content_beyond_its_fields_is_refused() -> None:
    assert "would come back as a plain dict" in refusal(Words())


class Strange(Enum):
    """A class with members that it makes as they are asked for."""

    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Strange:
        member = object.__new__(cls)
        member._name_ = "MADE"
        return member


def test_a_member_that_its_class_does_not_define_is_refused() -> None:
    encode(Strange.ONE)
    assert "not one of the members" in refusal(Strange(7))


class _Broken(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise OSError("no table")

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str:
        return "broken"


def test_an_error_of_the_values_own_code_is_the_reason() -> None:
    assert "OSError: no table" in refusal([datetime(2024, 1, 1, tzinfo=_Broken())])
