"""Bytes that the codec did not write are refused, whatever they are."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from gostage_core.errors import CorruptValueError, StoreError, UnknownTypeError
from gostage_core.values.codec import decode, decode_as, encode, from_tree, matches_type, type_of
from gostage_core.values.types import stored
from tests.support.strategies import Basket, Color, Order, Point, values


def read_every_way(data: bytes) -> None:
    """Read *data* with every function there is; only errors of the store may come out."""
    for read in (
        lambda: decode(data),
        lambda: decode_as(data, Order, "key"),
        lambda: decode_as(data, list[Point] | dict[str, Color], "key"),
        lambda: type_of(data),
        lambda: matches_type(data, Order),
    ):
        with suppress(StoreError):
            read()


def decode_or_refuse(data: bytes) -> None:
    with suppress(CorruptValueError, UnknownTypeError):
        decode(data)


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_or_read(data: bytes) -> None:
    decode_or_refuse(data)
    read_every_way(data)


@given(values(), st.data())
@settings(max_examples=200, deadline=None)
def test_truncated_values_are_refused(value: Any, data: st.DataObject) -> None:
    whole = encode(value)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    decode_or_refuse(part)
    read_every_way(part)


@given(values(), st.data())
@settings(max_examples=400, deadline=None)
def test_flipped_bits_are_refused_or_read(value: Any, data: st.DataObject) -> None:
    flipped = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(flipped) - 1))
        flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    decode_or_refuse(bytes(flipped))
    read_every_way(bytes(flipped))


def trees() -> st.SearchStrategy[Any]:
    """JSON that looks like ours, with tags in all the wrong places."""
    tags = ["int", "str", "float", "bytes", "datetime", "time", "timedelta", "Decimal", "UUID"]
    tags += ["tuple", "set", "frozenset", "dict", "enum", "data", "model", "named", "other"]
    names = ["Order", "Point", "Color", "Pair", "Access", "Names", "Loose", "Missing"]
    leaf = st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["RED"])
    tag = st.sampled_from(tags)
    name = st.sampled_from([f"tests.support.strategies:{name}" for name in names])
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.fixed_dictionaries({"$": tag | inner, "v": inner}),
            st.fixed_dictionaries({"$": tag, "t": name | inner, "v": inner}),
            st.dictionaries(st.sampled_from(["id", "x", "known", "$", "v", "t"]), inner),
        ),
        max_leaves=8,
    )


@given(trees())
@settings(max_examples=400, deadline=None)
def test_misplaced_tags_are_refused(tree: Any) -> None:
    with suppress(CorruptValueError, UnknownTypeError):
        from_tree(tree)
    read_every_way(json.dumps(tree).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" 1",
        b"1 ",
        b"NaN",
        b"-Infinity",
        b"nul",
        b'"a',
        b"[1,]",
        b"1" * 5_000,
        "é".encode(),
        b"\xff\xfe\x00",
        b'{"$":"unheard","v":1}',
        b'{"$":1,"v":1}',
        b'{"$":"tuple"}',
        b'{"$":"tuple","v":{}}',
        b'{"$":"tuple","v":[],"more":1}',
        b'{"$":"set","v":[[1]]}',
        b'{"$":"dict","v":[[1]]}',
        b'{"$":"dict","v":[[[],1]]}',
        b'{"$":"bytes","v":"*"}',
        b'{"$":"bytes","v":"AAA"}',
        b'{"$":"int","v":"12x"}',
        b'{"$":"Decimal","v":3}',
        b'{"$":"Decimal","v":"three"}',
        b'{"$":"UUID","v":""}',
        b'{"$":"date","v":"2024-02-30"}',
        b'{"$":"datetime","v":["2024-01-01T00:00:00",0,"../../etc/passwd"]}',
        b'{"$":"datetime","v":["2024-01-01T00:00:00",0,"Mars/Olympus"]}',
        b'{"$":"datetime","v":["2024-01-01T00:00:00",0,99999999999999999]}',
        b'{"$":"timedelta","v":[1e3,0,0]}',
        b'{"$":"timedelta","v":[999999999999,0,0]}',
        b'{"$":"enum","t":"tests.support.strategies:Color","v":"PINK"}',
        b'{"$":"enum","t":"tests.support.strategies:Access","v":64}',
        b'{"$":"enum","t":"tests.support.strategies:Order","v":"RED"}',
        b'{"$":"model","t":"tests.support.strategies:Color","v":{}}',
        b'{"$":"model","t":"tests.support.strategies:Order","v":[]}',
        b'{"$":"data","t":"tests.support.strategies:Point","v":{}}',
    ],
)
def test_what_the_codec_never_writes_is_corrupt(data: bytes) -> None:
    encode([Color.RED, Order(id=1), Point(1.0)])
    with pytest.raises(CorruptValueError):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 101 + b"]" * 101,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 100_000,
        b'{"$":"tuple","v":[' * 5_000 + b"]}" * 5_000,
    ],
)
def test_deeply_nested_json_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptValueError):
        decode(data)
    read_every_way(data)


@pytest.mark.parametrize("name", ["shop:Order", "os:system", "builtins:eval", "__main__:X", ""])
@pytest.mark.parametrize("tag", ["model", "data", "named"])
def test_a_class_that_is_not_registered_is_unknown_and_never_imported(name: str, tag: str) -> None:
    data = json.dumps({"$": tag, "t": name, "v": {}}, separators=(",", ":")).encode()
    with pytest.raises(UnknownTypeError) as caught:
        decode(data)
    assert caught.value.name == name


@pytest.mark.parametrize("tree", [{1: 2}, {"a": object()}, (1,), {1}, [b"a"]])
def test_a_tree_of_other_than_json_types_is_corrupt(tree: Any) -> None:
    with pytest.raises(CorruptValueError):
        from_tree(tree)


def test_fields_that_do_not_validate_any_more_are_corrupt_and_say_why() -> None:
    class First(BaseModel):
        size: str

    class Second(BaseModel):
        size: int

        @field_validator("size")
        @classmethod
        def no_secrets(cls, size: int) -> int:
            raise KeyError("odd")

    stored("evolving")(First)
    data, number = encode({"a": First(size="large")}), encode(First(size="1"))
    First.__qualname__ = Second.__qualname__
    stored("evolving")(Second)
    with pytest.raises(
        CorruptValueError, match=r"'evolving'.*size: Input should be a valid integer"
    ):
        decode(data)
    with pytest.raises(CorruptValueError, match="KeyError"):
        decode(number)


def test_a_constructor_that_refuses_makes_the_value_corrupt() -> None:
    @stored("shrinking")
    @dataclass
    class Shrinking:
        size: int

        def __post_init__(self) -> None:
            if self.size > limit:
                raise RuntimeError(f"more than {limit}")

    limit = 10
    data = encode(Shrinking(5))
    limit = 3
    with pytest.raises(CorruptValueError, match="RuntimeError: more than 3"):
        decode(data)


def test_a_damaged_part_of_a_record_is_corrupt() -> None:
    data = encode(Basket(b"content")).replace(b"Y29udGVudA==", b"Y29udGVudA=")
    with pytest.raises(CorruptValueError, match="not a stored bytes"):
        decode(data)
