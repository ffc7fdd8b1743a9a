"""What goes into the store comes back as it was."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass

from gostage_core.values.codec import decode, encode, from_tree, matches_type, to_tree
from tests.support.strategies import (
    Access,
    Basket,
    Bits,
    Color,
    Item,
    Level,
    Loose,
    Mode,
    Names,
    Order,
    Pair,
    Point,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of exactly the same types, at any depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseModel):
        return same(vars(one) | (one.model_extra or {}), vars(other) | (other.model_extra or {}))
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if type(one) is int:
        return bool(one == other)
    # repr() tells -0.0, a fold, an offset and the exponent of a Decimal apart; == does not.
    return repr(one) == repr(other)


@given(values())
@settings(max_examples=400, deadline=None)
def test_every_value_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    assert same(decode(encode(value)), value)


@given(values())
@settings(max_examples=100, deadline=None)
def test_a_tree_is_json_and_brings_the_value_back(value: Any) -> None:
    tree = to_tree(value)
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree
    assert same(from_tree(tree), value)


@given(values())
@settings(max_examples=100, deadline=None)
def test_stored_bytes_are_ascii_and_stay_the_same_when_stored_again(value: Any) -> None:
    data = encode(value)
    assert data.isascii()
    assert encode(decode(data)) == data


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, b"0"),
        (-7, b"-7"),
        (2**63, b"9223372036854775808"),
        (True, b"true"),
        (None, b"null"),
        ("a\né", b'"a\\n\\u00e9"'),
        ([1, {"a": 1.5}], b'[1,{"a":1.5}]'),
        (-0.0, b"-0.0"),
        (b"\x00\xff", b'{"$":"bytes","v":"AP8="}'),
        ((1,), b'{"$":"tuple","v":[1]}'),
        ({1: 2}, b'{"$":"dict","v":[[1,2]]}'),
        ({"$": 1}, b'{"$":"dict","v":[["$",1]]}'),
        (Decimal("1.50"), b'{"$":"Decimal","v":"1.50"}'),
        (timedelta(-1, 2, 3), b'{"$":"timedelta","v":[-1,2,3]}'),
        (date(2024, 2, 29), b'{"$":"date","v":"2024-02-29"}'),
        (Color.RED, b'{"$":"enum","t":"tests.support.strategies:Color","v":"RED"}'),
        (
            Point(1.0, 2.0),
            b'{"$":"data","t":"tests.support.strategies:Point","v":{"x":1.0,"y":2.0}}',
        ),
        (
            Names(["a"]),
            b'{"$":"model","t":"tests.support.strategies:Names","v":{"root":["a"]}}',
        ),
    ],
)
def test_the_stored_form_stays_what_it_is(value: Any, data: bytes) -> None:
    """Because runs outlive releases, and the server counts with whole numbers."""
    assert encode(value) == data
    assert same(decode(data), value)


@pytest.mark.parametrize("digits", [4_299, 4_301, 10_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_ints_longer_than_python_reads_survive(digits: int, sign: int) -> None:
    value = sign * 10**digits
    assert decode(encode(value)) == value
    assert decode(encode({"a": [value]})) == {"a": [value]}


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_floats_survive_at_any_depth(value: float) -> None:
    assert decode(encode(value)) == value
    assert decode(encode({"a": (value,)})) == {"a": (value,)}


def test_not_a_number_survives() -> None:
    value = decode(encode([math.nan]))
    assert isinstance(value, list)
    assert math.isnan(value[0])


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-sNaN123", "-0", "Infinity", "1E-30", "0E+5"])
def test_every_decimal_survives(text: str) -> None:
    value = decode(encode(Decimal(text)))
    assert isinstance(value, Decimal)
    assert str(value) == text


@pytest.mark.parametrize(
    "text",
    ["\ud800", "a\udfff\ud83d", "b\ud83d\ude00", "😀\ud83d\ude00", "\\ud"],
)
def test_halves_of_surrogate_pairs_stay_halves(text: str) -> None:
    """JSON's escapes alone would join two halves to one character."""
    assert decode(encode(text)) == text
    assert decode(encode({text: [text]})) == {text: [text]}


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=-3, seconds=1)), "zone"])
@pytest.mark.parametrize("fold", [0, 1])
def test_a_moment_keeps_zone_and_fold(zone: tzinfo | str | None, fold: int) -> None:
    paris = ZoneInfo("Europe/Paris")
    info = zone if not isinstance(zone, str) else paris
    moment = datetime(2024, 10, 27, 2, 30, 0, 7, tzinfo=info, fold=fold)
    back = decode(encode(moment))
    assert isinstance(back, datetime)
    assert same(back, moment)
    assert back.utcoffset() == moment.utcoffset()
    assert same(decode(encode(moment.timetz())), moment.timetz())


@pytest.mark.parametrize("moment", [datetime.min, datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)])
def test_the_first_and_last_moments_survive(moment: datetime) -> None:
    assert same(decode(encode(moment)), moment)


class _Offset(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=2)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, moment: datetime | None) -> str:
        return "mine"


def test_a_foreign_zone_is_kept_as_its_offset() -> None:
    moment = datetime(2024, 5, 6, tzinfo=_Offset())
    back = decode(encode(moment))
    assert back == moment
    assert same(back, moment.replace(tzinfo=timezone(timedelta(hours=2))))
    assert decode(encode(time(1, tzinfo=_Offset()))) == time(1, tzinfo=_Offset())


def test_moments_that_pydantic_parsed_survive() -> None:
    moment = TypeAdapter(datetime).validate_python("2024-01-01T00:00:00+05:30")
    assert decode(encode(moment)) == moment


@pytest.mark.parametrize(
    "member",
    [Access.CHANGE, Access.READ | Access.RUN, Access(0), Bits(64 | 1), Level.HIGH, Mode.SLOW],
)
def test_members_of_enums_are_not_their_values(member: Any) -> None:
    assert same(decode(encode([member, {member: member}])), [member, {member: member}])


def test_bools_stay_bools_and_ints_stay_ints() -> None:
    value = [True, 1, False, 0, 1.0, {True: 1}, {1: True}]
    assert same(decode(encode(value)), value)


def test_aliases_do_not_matter_and_extras_are_kept() -> None:
    loose = Loose(known=1, more={"$": Point(1)}, **{"$": (1,)})
    assert same(decode(encode(loose)), loose)
    item = Item(itemName="pen", price=Decimal("9.99"))
    assert same(decode(encode({"item": item})), {"item": item})
    assert same(decode(encode(Names(["a"]))), Names(["a"]))


def test_fields_that_a_constructor_does_not_take_are_kept() -> None:
    basket = Basket({"a": Pair(1)}, [Point(1.0)])
    basket.count = 7
    assert same(decode(encode(basket)), basket)


@pydantic_dataclass
class Checked:
    """A dataclass that pydantic validates, with an alias."""

    size: int = Field(alias="Size")
    seen: bool = dataclasses.field(init=False, default=False)


def test_dataclasses_of_pydantic_are_built_by_name() -> None:
    checked = Checked(Size=3)
    checked.seen = True
    assert same(decode(encode(checked)), checked)


class Sloppy(BaseModel):
    """Defaults that their own annotations refuse, and values instead of members."""

    model_config = ConfigDict(use_enum_values=True)

    name: str = None  # type: ignore[assignment]
    mode: Mode = Mode.FAST
    size: float = Field(default="?", alias="Size")  # type: ignore[assignment]


def test_a_model_may_hold_defaults_that_its_annotations_refuse() -> None:
    """Pydantic does not validate defaults, so such a model is valid while it is new."""
    value = Sloppy(mode=Mode.SLOW)
    assert same(decode(encode(value)), value)


class Site(BaseModel):
    """A model with fields that pydantic makes classes of."""

    url: HttpUrl
    root: Path
    network: IPv4Network


def test_models_with_urls_paths_and_addresses_come_back() -> None:
    site = Site.model_validate({"url": "http://a.example", "root": "/x", "network": "10.0.0.0/8"})
    assert same(decode(encode(site)), site)


@dataclass
class Doubling:
    """A constructor with an effect."""

    number: int
    log: list[str] = dataclasses.field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.log.append("built")


def test_a_dataclass_is_built_by_its_constructor_once() -> None:
    value = Doubling(1)
    value.log = ["mine"]
    assert decode(encode(value)) == value


def test_what_is_read_shares_nothing_with_what_was_stored() -> None:
    value = {"a": [1, {"b": 2}]}
    tree = to_tree(value)
    back = from_tree(tree)
    value["a"].append(3)
    assert tree == {"a": [1, {"b": 2}]}
    tree["a"].append(4)
    assert back == {"a": [1, {"b": 2}]}


def test_equal_sets_are_stored_alike_in_every_process(tmp_path: Path) -> None:
    """Python orders sets of text by a seed that each process draws."""
    program = (
        "from gostage_core.values.codec import encode; print(encode({'a', 'b', 'c', 'd', ('e',)}))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[2],
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: [inner],
        lambda inner: (inner,),
        lambda inner: {"a": inner},
        lambda inner: {1: inner},
        lambda inner: frozenset({inner or 1}),
        lambda inner: Pair(inner),
        lambda inner: Basket(inner),
        lambda inner: Order(id=1, note=inner),
    ],
)
def test_a_hundred_levels_are_allowed(wrap: Callable[[Any], Any]) -> None:
    """Also where the caller stands on a stack of its own."""

    def deeper(levels: int) -> object:
        return deeper(levels - 1) if levels else decode(encode(value))

    value = wrap([])
    for _ in range(98):
        value = wrap(value)
    assert deeper(200) == value


def test_an_order_of_models_comes_back_whole() -> None:
    order = Order(
        id=1,
        items=[Item(itemName="pen", price=Decimal("1.10"))],
        modes={Mode.FAST: Level.LOW},
        note={Point(1.0): frozenset({Color.RED})},
    )
    back = decode(encode(order))
    assert isinstance(back, Order)
    assert same(back, order)
    assert isinstance(back.items[0], Item)


def test_who_looks_for_dates_finds_no_moments() -> None:
    assert matches_type(encode(date(2024, 5, 1)), date)
    assert not matches_type(encode(datetime(2024, 5, 1, tzinfo=UTC)), date)
