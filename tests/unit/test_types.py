"""Classes are stored under names that stay, and no name ever means two classes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar, Union

import pytest
from pydantic import BaseModel

from gostage_core.errors import DefinitionError, UnknownTypeError
from gostage_core.values.codec import decode, encode, type_of
from gostage_core.values.types import class_named, label, register_annotation, stored

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


class Deep(Enum):
    """At the bottom of the annotations below."""

    ONE = 1


class Shelf(BaseModel):
    """A model that names an Enum, and itself."""

    deep: Annotated[Deep | None, "a note"] = None
    shelves: dict[str, list[Shelf]] = {}


class Hand(NamedTuple):
    """A NamedTuple that names a model."""

    shelf: Shelf


@dataclass
class Room:
    """A dataclass that names a NamedTuple."""

    hands: tuple[Hand, ...] = ()


class Suit(StrEnum):
    """An Enum that is named by one of its members."""

    CLUBS = "clubs"


class Crate(BaseModel, Generic[T]):
    """A generic model."""

    content: T


def name_of(cls: type) -> str:
    return f"{__name__}:{cls.__qualname__}"


def test_a_class_can_have_a_name_of_its_own() -> None:
    @stored("test.seat")
    @dataclass
    class Seat:
        row: int

    assert type_of(encode(Seat(1))) == "test.seat"
    assert decode(encode(Seat(1))) == Seat(1)
    assert label(Seat) == "test.seat"


def test_what_was_stored_before_a_class_had_a_name_of_its_own_can_be_read() -> None:
    @stored
    @dataclass
    class Seat:
        row: int

    data = encode(Seat(1))
    assert type_of(data) == name_of(Seat)
    stored("test.named-later")(Seat)
    assert type_of(encode(Seat(1))) == "test.named-later"
    assert decode(data) == Seat(1)


def test_a_class_is_registered_when_it_is_first_stored() -> None:
    class Fresh(BaseModel):
        size: int = 1

    assert class_named(name_of(Fresh)) is None
    assert decode(encode(Fresh())) == Fresh()
    assert class_named(name_of(Fresh)) is Fresh


def test_an_annotation_registers_every_class_in_it() -> None:
    register_annotation(Annotated[Union[Optional[list[Room]], Literal[Suit.CLUBS]], ...])  # noqa: UP007, UP045
    for cls in (Room, Hand, Shelf, Deep, Suit):
        assert class_named(name_of(cls)) is cls


@pytest.mark.parametrize(
    "annotation",
    [int, None, Any, "Nowhere", list["Nowhere"], T, ..., BaseModel, Enum, []],  # type: ignore[name-defined]  # noqa: F821
)
def test_an_annotation_without_storable_classes_registers_nothing(annotation: Any) -> None:
    register_annotation(annotation)
    register_annotation(dict[str, annotation])


def test_the_same_class_made_anew_replaces_the_older_one() -> None:
    def cell() -> type[BaseModel]:
        @stored("test.cell")
        class Cell(BaseModel):
            number: int = 0

        return Cell

    first, second = cell(), cell()
    assert class_named("test.cell") is second
    assert type(decode(encode(first()))) is second


def test_a_name_never_means_two_classes() -> None:
    @stored("test.taken")
    class First(BaseModel):
        pass

    class Second(BaseModel):
        pass

    with pytest.raises(DefinitionError, match=r"'test.taken' is the stored name of .*First"):
        stored("test.taken")(Second)
    assert class_named("test.taken") is First
    stored(name_of(Second))(First)
    with pytest.raises(DefinitionError, match=r"give .*Second another one"):
        encode(Second())


@pytest.mark.parametrize("name", ["", "__x", "a\nb", "x" * 201])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="cannot be stored under that name"):
        stored(name)(Shelf)


@pytest.mark.parametrize("cls", [int, dict, object, BaseModel, Enum, Path])
def test_only_classes_whose_instances_can_be_stored_are_registered(cls: type) -> None:
    with pytest.raises(DefinitionError, match="cannot be stored"):
        stored(cls)


def test_the_same_generic_model_of_two_classes_has_two_names() -> None:
    shelves, rooms = Crate[Shelf](content=Shelf()), Crate[Room](content=Room())
    assert type_of(encode(shelves)) == f"{__name__}:Crate[{name_of(Shelf)}]"
    assert type_of(encode(rooms)) == f"{__name__}:Crate[{name_of(Room)}]"
    assert decode(encode([shelves, rooms])) == [shelves, rooms]


SCRIPT = """
from pydantic import BaseModel
from gostage_core.values.codec import encode

class Order(BaseModel):
    id: int = 1

def main() -> None:
    print(encode(Order()).decode())

if __name__ == "__main__":
    main()
"""


def run(*arguments: str, cwd: Path) -> str:
    program = subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": f"{ROOT}:{cwd}"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return program.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["shop/orders.py"], "orders"),
        (["-m", "shop.orders"], "shop.orders"),
        (["-c", "from shop import orders; orders.main()"], "shop.orders"),
        (["-m", "shop"], "shop.__main__"),
        (["-c", SCRIPT], "__main__"),
    ],
)
def test_a_scripts_classes_are_named_as_others_import_them(
    tmp_path: Path, arguments: list[str], module: str
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    for name in ("__init__", "orders", "__main__"):
        (shop / f"{name}.py").write_text(SCRIPT if name != "__init__" else "")
    data = run(*arguments, cwd=tmp_path)
    with pytest.raises(UnknownTypeError) as caught:
        decode(data.encode())
    assert caught.value.name == f"{module}:Order"
