"""One field of a stored value changes, validated; the rest, and the original, stay."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from gostage_core.errors import StoreTypeError
from gostage_core.values.codec import encode
from gostage_core.values.fields import updated, updated_many
from tests.support.strategies import Mode, Point, values


class Address(BaseModel):
    """A model that cannot be changed."""

    model_config = ConfigDict(frozen=True)

    city: str
    zip_code: int = Field(default=1, alias="zip")


@dataclass(frozen=True)
class Phone:
    """A dataclass whose constructor checks nothing."""

    number: str
    calls: int = field(init=False, default=0)


class Pay(NamedTuple):
    """A NamedTuple."""

    amount: Decimal
    currency: str = "EUR"


class User(BaseModel):
    """A model with everything in it."""

    name: str
    age: int = Field(default=0, ge=0)
    address: Address = Address(city="Rome")
    phones: list[Phone] = []
    pay: Pay = Pay(Decimal(1))
    notes: dict[str, Any] = {}


class Span(BaseModel):
    """A model with a rule about two fields."""

    start: int
    end: int

    @model_validator(mode="after")
    def in_order(self) -> Span:
        if self.start > self.end:
            raise ValueError("it ends before it starts")
        return self


class Names(RootModel[list[str]]):
    """A model that is a list."""


class Loose(BaseModel):
    """A model that keeps what it does not know."""

    model_config = ConfigDict(extra="allow", use_enum_values=True)

    mode: Mode = Mode.FAST


def user() -> User:
    return User(name="Ann", phones=[Phone("1"), Phone("2")], notes={"a": [1, {"b": 2}]})


@pytest.mark.parametrize(
    ("value", "path", "new", "expected"),
    [
        ({"a": 1}, "a", 2, {"a": 2}),
        ({"a": 1}, "b", 2, {"a": 1, "b": 2}),
        ({1: "x"}, "1", "y", {1: "y"}),
        ({1: "x", "1": "z"}, "1", "y", {1: "x", "1": "y"}),
        ([1, 2], "1", 3, [1, 3]),
        ((1, 2), "0", 3, (3, 2)),
        ({"a": [{"b": (1, 2)}]}, "a.0.b.1", 3, {"a": [{"b": (1, 3)}]}),
        (Point(1.0), "x", 2.0, Point(2.0)),
        (Pay(Decimal(1)), "currency", "USD", Pay(Decimal(1), "USD")),
        (Names(["a", "b"]), "root.1", "c", Names(["a", "c"])),
        (Loose(), "more", 1, Loose(more=1)),
        ([Span(start=1, end=2)], "0.end", 5, [Span(start=1, end=5)]),
    ],
)
def test_a_field_is_changed_and_the_original_stays(
    value: Any, path: str, new: Any, expected: Any
) -> None:
    before = encode(value)
    changed = updated(value, path, new, "key")
    assert changed == expected
    assert type(changed) is type(value)
    assert encode(value) == before


def test_fields_deep_inside_a_model_are_changed() -> None:
    original = user()
    changed = updated_many(
        original,
        {
            "age": 3,
            "address.city": "Oslo",
            "address.zip_code": 2,
            "phones.1.number": "3",
            "phones.0.calls": 9,
            "pay.amount": Decimal(2),
            "notes.a.1.b": Point(1.0),
            "notes.new": None,
        },
        "key",
    )
    assert isinstance(changed, User)
    assert (changed.age, changed.address.city, changed.address.zip_code) == (3, "Oslo", 2)
    assert [phone.number for phone in changed.phones] == ["1", "3"]
    assert [phone.calls for phone in changed.phones] == [9, 0]
    assert changed.pay == Pay(Decimal(2))
    assert changed.notes == {"a": [1, {"b": Point(1.0)}], "new": None}
    assert original == user()


@pytest.mark.parametrize(
    ("path", "new", "detail"),
    [
        ("age", "3", "path 'age': age: Input should be a valid integer"),
        ("age", True, "path 'age': age: Input should be a valid integer"),
        ("age", -1, "path 'age': age: Input should be greater than or equal to 0"),
        ("address.city", 1, "path 'address.city': city: Input should be a valid string"),
        ("address", "Rome", "path 'address': address"),
        ("phones.0", "1", "path 'phones': phones.0"),
        ("phones.0.number", 1, "path 'phones.0.number': number: Input should be a valid string"),
        ("phones.0.calls", "1", "path 'phones.0.calls': calls: Input should be a valid integer"),
        ("pay.amount", 1.5, "path 'pay.amount': amount: "),
        ("nme", "x", "path 'nme': it has name, age, address, phones, pay, notes"),
        ("address.zip", 1, "path 'address.zip': it has city, zip_code"),
        ("phones.2.number", "x", "path 'phones.2': it has 0, 1"),
        ("phones.-1", Phone("x"), "path 'phones.-1': it has 0, 1"),
        ("phones.99999999999", Phone("x"), "path 'phones.99999999999': it has 0, 1"),
        ("phones.x", Phone("x"), "path 'phones.x': it has 0, 1"),
        ("notes.b.c", 1, "path 'notes.b': it has a"),
        ("name.first", "x", "path 'name.first': it has no fields"),
        ("notes.a.0.x", 1, "path 'notes.a.0.x': it has no fields"),
        ("", 1, "a step of a path is empty"),
        ("address..city", 1, "a step of a path is empty"),
        (".age", 1, "a step of a path is empty"),
    ],
)
def test_a_change_that_cannot_be_made_names_the_path(path: str, new: Any, detail: str) -> None:
    original = user()
    with pytest.raises(StoreTypeError) as caught:
        updated(original, path, new, "the key")
    assert caught.value.key == "the key"
    assert detail in caught.value.detail
    assert original == user()


def test_an_error_says_which_type_was_expected_and_found() -> None:
    with pytest.raises(StoreTypeError) as caught:
        updated(user(), "address.zip_code", "1", "user")
    assert (caught.value.expected, caught.value.found) == ("int", "str")
    assert str(caught.value).startswith("key 'user' holds str, not int (path 'address.zip_code': ")


@pytest.mark.parametrize("value", [1, None, "text", b"bytes", {1, 2}, Mode.FAST])
def test_there_is_no_path_into_a_value_without_parts(value: Any) -> None:
    with pytest.raises(StoreTypeError, match="it has no fields"):
        updated(value, "a", 1, "key")
    assert updated_many(value, {}, "key") == value


def test_many_changes_are_made_together_or_not_at_all() -> None:
    span = Span(start=1, end=2)
    assert updated_many(span, {"start": 5, "end": 6}, "key") == Span(start=5, end=6)
    with pytest.raises(StoreTypeError, match="it ends before it starts"):
        updated(span, "start", 5, "key")
    with pytest.raises(StoreTypeError, match="end: Input should be a valid integer"):
        updated_many(span, {"start": 0, "end": "x"}, "key")
    assert span == Span(start=1, end=2)


@pytest.mark.parametrize("paths", [("a", "a.b"), ("a.b", "a"), ("a.b.c", "a.b")])
def test_paths_through_each_other_are_refused(paths: tuple[str, str]) -> None:
    with pytest.raises(StoreTypeError, match="another path"):
        updated_many({"a": {"b": {"c": 1}}}, dict.fromkeys(paths, 1), "key")


def test_other_fields_are_held_to_the_models_own_rules_alone() -> None:
    """The field beside it is a plain text where the strict form of the rule wants a member."""
    loose = Loose(mode=Mode.SLOW)
    changed = updated(loose, "more", 1, "key")
    assert changed == Loose(mode=Mode.SLOW, more=1)


@given(values(), st.lists(st.sampled_from(["0", "1", "id", "x", "note", "$", "v"]), max_size=3))
@settings(max_examples=200, deadline=None)
def test_no_path_does_harm(value: Any, steps: list[str]) -> None:
    before = encode(copy.deepcopy(value))
    with suppress(StoreTypeError):
        updated(value, ".".join(steps), None, "key")
    assert encode(value) == before
