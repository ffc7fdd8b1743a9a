"""A typed read gives the type that was asked for, or says what was found instead."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, Flag
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
from hypothesis import given, settings
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# Before Python 3.12 pydantic does not take typing's own.
from typing_extensions import TypedDict

from gostage_core.errors import (
    CorruptValueError,
    DefinitionError,
    StoreTypeError,
    UnknownTypeError,
)
from gostage_core.values.codec import decode, decode_as, encode, matches_type, type_of
from tests.support.strategies import (
    Access,
    Color,
    Item,
    Level,
    Mode,
    Names,
    Order,
    Pair,
    Point,
    values,
)

T = TypeVar("T")


class Place(BaseModel):
    """A model inside others."""

    city: str


class Box(BaseModel, Generic[T]):
    """A generic model."""

    content: T


@dataclass
class Trip:
    """A dataclass of models."""

    places: list[Place]
    first: Place | None = None


class Leg(NamedTuple):
    """A tuple with a model."""

    to: Place


class Speed(Enum):
    """Two members."""

    LOW = 1
    HIGH = 2


class Rights(Flag):
    """Two bits."""

    READ = 1
    WRITE = 2


class Route(TypedDict):
    """A dict with names."""

    start: Place
    length: int


def moved(value: object, name: str = "elsewhere") -> bytes:
    """Store *value* as another process would, in which its classes are in another module."""
    module = __name__.encode()
    return encode(value).replace(module + b":", name.encode() + b":")


@given(values())
@settings(max_examples=100, deadline=None)
def test_any_type_takes_every_value(value: Any) -> None:
    data = encode(value)
    for anything in (object, Any):
        assert encode(decode_as(data, anything, "key")) == data


@given(values())
@settings(max_examples=100, deadline=None)
def test_every_value_can_be_read_as_its_own_type(value: Any) -> None:
    data = encode(value)
    assert encode(decode_as(data, type(value), "key")) == data
    assert matches_type(data, type(value))


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (1, int),
        (1, float),
        (1, float | None),
        (None, None),
        (None, int | None),
        ("a", Literal["a", "b"]),
        ([1, 2], list[int]),
        ((1, "a"), tuple[int, str]),
        ((1, 2), Sequence[int]),
        ({"a": 1}, Mapping[str, int]),
        ({Mode.FAST: {1}}, dict[Mode, set[int]]),
        ({"start": Place(city="Rome"), "length": 3}, Route),
        (5, Annotated[int, Field(gt=3)]),
        (Decimal("NaN"), Decimal),
        ([Decimal("sNaN")], list[Decimal]),
        (10**4_000, int),
        ("\ud800", str),
        (Color.RED, Color),
        (Level.LOW, Level | None),
        (Access.READ | Access.RUN, Access),
        (Point(1.0), Point),
        (Pair(1), Pair),
        (Names(["a"]), Names),
        (Box[int](content=1), Box[int]),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime),
        (PurePosixPath("/a"), PurePosixPath),
        (Path("/a"), Path),
        ({"city": "Rome"}, Place),
        (b"a", bytes | str),
    ],
)
def test_a_value_is_read_as_the_type_that_was_asked_for(value: Any, type_: Any) -> None:
    read = decode_as(encode(value), type_, "key")
    assert encode(read) == encode(value) or read == value or isinstance(read, Place)


def test_a_whole_number_is_good_for_a_float() -> None:
    value = decode_as(b"3", float, "key")
    assert type(value) is float


@pytest.mark.parametrize(
    ("value", "type_", "expected", "found"),
    [
        ("1", int, "int", "str"),
        (True, int, "int", "bool"),
        (1, bool, "bool", "int"),
        (1.0, int, "int", "float"),
        (None, str, "str", "None"),
        (1, str, "str", "int"),
        ([1], list[str], "list[str]", "list"),
        ([1], tuple[int], "tuple[int]", "list"),
        ({"a": 1}, list, "list", "dict"),
        ("red", Color, "tests.support.strategies:Color", "str"),
        (Color.RED, Speed, f"{__name__}:Speed", "tests.support.strategies:Color"),
        (Point(1.0), Place, f"{__name__}:Place", "tests.support.strategies:Point"),
        (Place(city="Rome"), Item, "tests.support.strategies:Item", f"{__name__}:Place"),
        ([Place(city="Rome")], list[int], "list[int]", "list"),
        (Decimal(1), int, "int", "Decimal"),
        (datetime(2024, 1, 1, tzinfo=UTC), date, "date", "datetime"),
        ({"city": 1}, Place, f"{__name__}:Place", "dict"),
        (2, Annotated[int, Field(gt=3)], None, "int"),
        (b"a", memoryview, "memoryview", "bytes"),
    ],
)
def test_a_mismatch_says_what_was_expected_and_what_was_found(
    value: Any, type_: Any, expected: str | None, found: str
) -> None:
    with pytest.raises(StoreTypeError) as caught:
        decode_as(encode(value), type_, "the key")
    assert caught.value.key == "the key"
    assert caught.value.expected == (expected or caught.value.expected)
    assert caught.value.found == found
    assert caught.value.detail


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (Place(city="Rome"), Place),
        (Place(city="Rome"), Place | None),
        ([Place(city="Rome")], list[Place]),
        ({"a": Place(city="Rome")}, dict[str, Place]),
        ({1: (Place(city="Rome"), 2)}, dict[int, tuple[Place, int]]),
        ((Place(city="Rome"), Place(city="Oslo")), tuple[Place, ...]),
        (Trip([Place(city="Rome")], Place(city="Oslo")), Trip),
        (Leg(Place(city="Rome")), Leg),
        ({"start": Place(city="Rome"), "length": 3}, Route),
        (Box[Place](content=Place(city="Rome")), Box[Place]),
        (Speed.LOW, Speed),
        ({Speed.LOW}, set[Speed]),
        ({Speed.LOW: 1}, dict[Speed, int]),
        (Rights.READ | Rights.WRITE, Rights | None),
        ([Speed.HIGH, Place(city="Rome")], list[Place | Speed]),
    ],
)
def test_a_class_that_moved_is_read_as_the_one_that_is_asked_for(value: Any, type_: Any) -> None:
    data = moved(value)
    assert b"elsewhere:" in data
    assert decode_as(data, type_, "key") == value
    with pytest.raises(UnknownTypeError, match="elsewhere"):
        decode(data)


def test_a_class_that_was_renamed_is_read_by_its_fields() -> None:
    data = encode([Place(city="Rome")]).replace(__name__.encode() + b":Place", b"old:Town")
    assert decode_as(data, list[Place], "key") == [Place(city="Rome")]
    assert decode_as(data, list[Item | Place], "key") == [Place(city="Rome")]
    with pytest.raises(StoreTypeError, match="'old:Town' is not registered"):
        decode_as(data, list[Item], "key")
    with pytest.raises(UnknownTypeError):
        decode_as(data, list[Any], "key")


def test_fields_of_a_known_class_say_what_moved_inside_it() -> None:
    trip = Trip([Place(city="Rome")])
    encode(trip)
    data = encode(trip).replace(__name__.encode() + b":Place", b"elsewhere:Place")
    assert decode(data) == trip


def test_a_moved_class_whose_fields_do_not_fit_is_a_mismatch() -> None:
    data = moved(Place(city="Rome")).replace(b'"Rome"', b"[1]")
    with pytest.raises(StoreTypeError) as caught:
        decode_as(data, Place | None, "key")
    assert caught.value.found == "elsewhere:Place"
    assert "city: Input should be a valid string" in caught.value.detail


def test_a_known_class_whose_fields_do_not_fit_any_more_is_corrupt() -> None:
    data = encode(Place(city="Rome")).replace(b'"Rome"', b"[1]")
    with pytest.raises(CorruptValueError, match="city: Input should be a valid string"):
        decode_as(data, Place, "key")


def test_an_instance_of_a_subclass_stays_what_it_is() -> None:
    class Capital(Place):
        country: str

    capital = Capital(city="Rome", country="Italy")
    assert decode_as(encode(capital), Place, "key") == capital
    assert decode_as(encode([capital]), list[Place], "key") == [capital]
    assert matches_type(encode(capital), Place)


def test_a_replaced_class_is_read_as_the_copy_that_is_asked_for() -> None:
    """A notebook cell that runs again makes the class anew; older code holds the older one."""

    def make() -> type[BaseModel]:
        class Cell(BaseModel):
            model_config = ConfigDict(frozen=True)
            number: int

        return Cell

    first, second = make(), make()
    data = encode(first(number=1))
    encode(second(number=2))
    assert type(decode(data)) is second
    assert type(decode_as(data, first, "key")) is first


@pytest.mark.parametrize("type_", ["Nowhere", list["Nowhere"]])  # type: ignore[name-defined]  # noqa: F821
def test_a_type_that_cannot_be_resolved_is_the_callers_mistake(type_: Any) -> None:
    with pytest.raises(DefinitionError, match="cannot read as"):
        decode_as(b"[1]", type_, "key")
    with pytest.raises(DefinitionError, match="cannot read as"):
        matches_type(b"[1]", type_)


def test_an_error_in_a_validator_of_the_type_is_a_mismatch() -> None:
    def fail(value: int) -> int:
        raise KeyError(value)

    with pytest.raises(StoreTypeError, match="KeyError: 1"):
        decode_as(b"1", Annotated[int, AfterValidator(fail)], "key")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1, "int"),
        (-(10**4_000), "int"),
        (1.0, "float"),
        (-1e300, "float"),
        (float("nan"), "float"),
        (True, "bool"),
        (None, "None"),
        ("1", "str"),
        ("\ud83d\ude00", "str"),
        ([], "list"),
        ({}, "dict"),
        ({"$": 1}, "dict"),
        ((), "tuple"),
        (set(), "set"),
        (b"", "bytes"),
        (datetime(2024, 1, 1, tzinfo=UTC), "datetime"),
        (Decimal(1), "Decimal"),
        (Mode.FAST, "tests.support.strategies:Mode"),
        (Order(id=1), "tests.support.strategies:Order"),
        (Box[Place](content=Place(city="Rome")), f"{__name__}:Box[{__name__}:Place]"),
    ],
)
def test_the_name_of_a_stored_type_is_known_without_reading_it(value: Any, name: str) -> None:
    assert type_of(encode(value)) == name
    assert name in (type_of(moved(value)), type_of(encode(value)))


QUERIES: list[tuple[Any, list[Any], list[Any]]] = [
    (1, [int, int | None, object, Any], [bool, float, str, Level, float | None]),
    (True, [bool, bool | str], [int, str]),
    (1.5, [float], [int, Decimal]),
    (None, [None, int | None], [int]),
    ("fast", [str, Literal["fast"]], [Mode, Literal["slow"], bytes]),
    ([1], [list, list[int], Sequence, list[Any]], [list[str], tuple, dict]),
    ({"a": 1}, [dict, dict[str, int]], [list, dict[int, int], Place]),
    (Level.LOW, [Level, Level | str], [int, Mode]),
    (Mode.FAST, [Mode], [str]),
    (Pair(1), [Pair], [tuple, Leg]),
    (Place(city="Rome"), [Place, BaseModel, Place | None], [Item, dict, Trip]),
    (datetime(2024, 1, 1, tzinfo=UTC), [datetime], [date, str]),
    ({"start": Place(city="Rome"), "length": 3}, [Route, dict], [Mapping[str, int]]),
]


@pytest.mark.parametrize(("value", "matching", "other"), QUERIES)
def test_a_query_by_type_finds_values_of_that_type_alone(
    value: Any, matching: list[Any], other: list[Any]
) -> None:
    data = encode(value)
    assert [type_ for type_ in matching if not matches_type(data, type_)] == []
    assert [type_ for type_ in other if matches_type(data, type_)] == []


def test_a_query_finds_a_class_that_moved_but_no_damaged_value() -> None:
    assert matches_type(moved(Place(city="Rome")), Place)
    assert not matches_type(moved(Place(city="Rome")), Trip)
    assert not matches_type(b"", int)
    assert not matches_type(b"[1", list[int])


if typing.TYPE_CHECKING:
    typing.assert_type(decode_as(b"1", int, "key"), int)
    typing.assert_type(decode_as(b"1", list[int], "key"), list[int])
