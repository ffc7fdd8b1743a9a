"""Hypothesis strategies: values of every type that the store holds, and classes to hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from ipaddress import ip_network
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, RootModel


class Color(Enum):
    """Members with values that are no JSON."""

    RED = (255, 0, 0)
    GREEN = (0, 255, 0)


class Level(IntEnum):
    """Members that are ints too."""

    LOW = 1
    HIGH = 2


class Mode(StrEnum):
    """Members that are text too."""

    FAST = "fast"
    SLOW = "slow"


class Access(Flag):
    """Members that can be joined; one name stands for two."""

    READ = 1
    WRITE = 2
    RUN = 4
    CHANGE = READ | WRITE


class Bits(IntFlag):
    """Members that can be joined with bits that have no name."""

    A = 1
    B = 8


@dataclass(frozen=True, slots=True)
class Point:
    """A dataclass that cannot be changed."""

    x: float
    y: float = 0.0


@dataclass
class Basket:
    """A dataclass with a field that its constructor does not take."""

    content: Any
    points: list[Point] = field(default_factory=list)
    count: int = field(init=False, default=0)


class Pair(NamedTuple):
    """A tuple with names."""

    left: Any
    right: Any = None


class Item(BaseModel):
    """A model with an alias and a limit."""

    name: str = Field(alias="itemName")
    price: Decimal = Field(ge=0)


class Order(BaseModel):
    """A model of models."""

    id: int
    items: list[Item] = []
    modes: dict[Mode, Level] = {}
    note: Any = None


class Loose(BaseModel):
    """A model that keeps what it does not know."""

    model_config = ConfigDict(extra="allow")

    known: int


class Names(RootModel[list[str]]):
    """A model that is a list."""


def texts() -> st.SearchStrategy[str]:
    """Text of any code points, halves of surrogate pairs included, also side by side."""
    anything = st.text(st.characters(exclude_categories=()), max_size=12)
    return anything | st.sampled_from(["$", "", "\ud83d\ude00", "😀", "\ud800", '"$"', "\x00"])


def integers() -> st.SearchStrategy[int]:
    """Ints of any size, as long as Python can still show them in a failure."""
    powers = st.sampled_from([53, 63, 64, 2048, 13_000])
    huge = st.builds(lambda power, off: 2**power + off, powers, st.integers(-1, 1))
    return st.integers() | huge | huge.map(int.__neg__)


def zones() -> st.SearchStrategy[tzinfo | None]:
    """No zone, offsets to the microsecond, and zones with names."""
    offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
    names = st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"])
    return st.none() | offsets.map(timezone) | names.map(ZoneInfo)


def scalars() -> st.SearchStrategy[Any]:
    """Single values, hashable and equal to themselves."""
    fold = st.sampled_from([0, 1])
    return st.one_of(
        st.none(),
        st.booleans(),
        integers(),
        st.floats(allow_nan=False),
        texts(),
        st.binary(max_size=20),
        st.builds(lambda m, f: m.replace(fold=f), st.datetimes(timezones=zones()), fold),
        st.builds(lambda m, f: m.replace(fold=f), st.times(timezones=zones()), fold),
        st.dates(),
        st.timedeltas(),
        st.decimals(allow_nan=False) | st.sampled_from([Decimal("-0"), Decimal("1E+999")]),
        st.uuids(),
        enums(),
        st.ip_addresses(),
        st.just(ip_network("2001:db8::/32")),
        st.sampled_from([PurePosixPath("/a b"), HttpUrl("https://a.example/x?y=1")]),
    )


def enums() -> st.SearchStrategy[Enum]:
    """Members of every kind of Enum, joined ones and the empty one included."""
    access = st.integers(0, 7).map(Access)
    bits = st.integers(0, 31).map(Bits)
    plain = st.sampled_from([*Color, *Level, *Mode])
    return plain | access | bits


def hashables() -> st.SearchStrategy[Any]:
    """Values that can be keys of dicts and members of sets, at any depth."""
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(tuple),
            st.frozensets(inner, max_size=3),
            st.builds(Pair, inner, inner),
        ),
        max_leaves=4,
    ) | st.builds(Point, st.floats(allow_nan=False), st.floats(allow_nan=False))


def records(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Instances of registered classes that hold what *inner* gives."""
    price = st.decimals(min_value=0, allow_nan=False, allow_infinity=False)
    plain = st.text(max_size=5)
    item = st.builds(lambda name, price: Item(itemName=name, price=price), plain, price)
    points = st.lists(st.builds(Point, st.floats(allow_nan=False)), max_size=2)
    return st.one_of(
        st.builds(Pair, inner, inner),
        st.builds(_basket, inner, points, st.integers()),
        item,
        st.builds(
            lambda number, items, modes, note: Order(
                id=number, items=items, modes=modes, note=note
            ),
            st.integers(),
            st.lists(item, max_size=2),
            st.dictionaries(st.sampled_from(Mode), st.sampled_from(Level)),
            inner,
        ),
        st.builds(lambda extra: Loose(known=1, **{"$": extra, "more": extra}), inner),
        st.lists(plain, max_size=3).map(Names),
    )


def values() -> st.SearchStrategy[Any]:
    """Values of every type that the store holds, inside each other."""
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(texts(), inner, max_size=4),
            st.dictionaries(hashables(), inner, max_size=3),
            st.sets(hashables(), max_size=3),
            st.frozensets(hashables(), max_size=3),
            records(inner),
        ),
        max_leaves=12,
    )


def _basket(content: object, points: list[Point], count: int) -> Basket:
    basket = Basket(content, points)
    basket.count = count
    return basket
