"""Keys have names that the store takes, and types that checkers know."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import typing
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostage_core.errors import InvalidKeyError, StoreError
from gostage_core.naming import check_name
from gostage_core.values.key import Key
from gostage_core.values.types import class_named
from tests.support.strategies import Order


class Names(StrEnum):
    """Names of keys, as programs keep them."""

    ORDER = "order.id"


@pytest.mark.parametrize(
    "name", ["a", "order.id", "a b", "größe", "😀", "x" * 200, "_a", "a__", "$"]
)
def test_these_are_names_for_keys(name: str) -> None:
    assert check_name(name) == name
    assert Key(name, int).name == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "it is empty"),
        ("x" * 201, "201 characters"),
        ("a\x00", "control character"),
        ("a\nb", "control character"),
        ("\x7f", "control character"),
        ("\x85", "control character"),
        ("\ud800", "surrogate"),
        ("__status", "reserved"),
        (b"a", "a name is text, not bytes"),
        (None, "a name is text, not NoneType"),
        (1, "a name is text, not int"),
    ],
)
def test_these_are_no_names_for_keys(name: Any, fault: str) -> None:
    with pytest.raises(InvalidKeyError, match=fault):
        check_name(name)
    with pytest.raises(InvalidKeyError, match=fault):
        Key(name, int)


@given(st.text(st.characters(exclude_categories=()), max_size=210))
def test_a_name_is_taken_or_refused_with_an_error_that_can_be_shown(name: str) -> None:
    with suppress(InvalidKeyError):
        assert check_name(name) == name
        return
    with pytest.raises((StoreError, ValueError)) as caught:
        check_name(name)
    assert str(caught.value).isprintable()


def test_a_member_of_an_enum_can_be_a_name() -> None:
    name = check_name(Names.ORDER)
    assert (name, type(name)) == ("order.id", str)
    assert type(Key(Names.ORDER, int).name) is str


def test_a_key_cannot_be_changed() -> None:
    key = Key("a", int)
    with pytest.raises(dataclasses.FrozenInstanceError):
        key.name = "b"  # type: ignore[misc]
    assert copy.deepcopy(key) == key
    assert pickle.loads(pickle.dumps(key)) == key


def test_keys_are_equal_by_name_and_type() -> None:
    assert Key("a", int) == Key("a", int)
    text: Key[Any] = Key("a", str)
    assert Key("a", int) != text
    assert Key("a", int) != Key("b", int)
    assert len({Key("a", int), Key("a", int), Key("a", list[int])}) == 2
    assert {Key("a", Annotated[int, []]): 1}  # not every type form can be hashed


def test_a_key_registers_the_classes_of_its_type() -> None:
    key = Key("orders", dict[str, Order | None])
    assert key.type == dict[str, Order | None]
    assert class_named("tests.support.strategies:Order") is Order


if typing.TYPE_CHECKING:
    typing.assert_type(Key("order", Order), Key[Order])
    typing.assert_type(Key("order", int), Key[int])
    typing.assert_type(Key("order", list[Order]), Key[list[Order]])
