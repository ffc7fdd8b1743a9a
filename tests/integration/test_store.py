"""What is promised of a run's store, through attempts of the real engine."""

from __future__ import annotations

import operator
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given
from hypothesis import Phase as Part
from hypothesis import settings as budget
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from gostage_core import (
    Action,
    ActionContext,
    InvalidKeyError,
    Key,
    KeyConflictError,
    KeyNotFoundError,
    NotStorableError,
    Retry,
    RunStatus,
    Stage,
    StoreTypeError,
    UnknownTypeError,
    ValueTooLargeError,
    Workflow,
    action,
    stored,
)
from gostage_core.values.codec import encode
from tests.support.bench import Bench
from tests.support.strategies import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import Run, RunResult, Settings
    from gostage_core.store import AttemptStore

Body = "Callable[[ActionContext], object]"


class Address(BaseModel):
    city: str
    zip: str = ""


class User(BaseModel):
    name: str
    age: int = Field(ge=0)
    address: Address


@dataclass
class Point:
    x: float
    y: float = 0.0


class Color(Enum):
    RED = "r"
    BLUE = "b"


USER = Key("user", User)
HITS = Key("hits", int)
LINES = Key("lines", list[str])
ANA = User(name="Ana", age=30, address=Address(city="Lyon"))

EVERY_TYPE: list[Any] = [
    0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**64, 10**400, 1.0, -0.0, 1e308, True, False, "",
    "ä\n😀\x00", b"", b"\xff\x00", None, datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=UTC),
    datetime(1, 1, 1),
    date(9999, 12, 31), timedelta(days=-1, microseconds=7), Decimal("1E+3"), Decimal("0.10"),
    uuid.UUID(int=7), Color.BLUE, [], [1, "a", None], (), (1, (2, 3)), set(), {1, 2},
    frozenset({"x"}), {}, {"a": {"b": [1.5]}}, {1: "one", (2, 3): "pair"}, {"$": "tag"}, Point(1.5),
    ANA, [ANA, {"nested": (Point(0.0), {Color.RED})}],
]  # fmt: skip


@pytest.fixture(params=[0, 65_536], ids=["read key by key", "sent with the claim"])
def bench(
    request: pytest.FixtureRequest, settings: Settings, fresh_registry: None
) -> Iterator[Bench]:
    bench = Bench(settings.model_copy(update={"small_store": request.param}))
    yield bench
    bench.close()


def bound(*bodies: Callable[[ActionContext], object]) -> list[Action]:
    """One action for each body."""
    return [action(f"step-{uuid.uuid4().hex}")(body).s() for body in bodies]


def workflow_of(*actions: Action, parallel: bool = False) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions, parallel=parallel))
    return workflow


def played(
    bench: Bench, *bodies: Callable[[ActionContext], object], store: dict[Any, Any] | None = None
) -> Run:
    """A run of these bodies, one after another, that has completed."""
    run = bench.submit(workflow_of(*bound(*bodies)), store=store)
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED, result.error
    return run


def failed(bench: Bench, run: Run) -> Any:
    """What the run failed with."""
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert_sizes(bench, run)
    return result.error


def assert_sizes(bench: Bench, run: Run) -> None:
    """The header's count of bytes is the real size of the store and of what was appended."""
    client, keys = bench.state.client, bench.state.keys
    real = 0
    for name, value in cast(
        "dict[bytes, bytes]", client.hgetall(keys.of("store", run.run_id))
    ).items():
        real += len(name) + len(value)
        if value.startswith(b"L"):
            items = client.lrange(keys.of("items", run.run_id, name.decode()), 0, -1)
            real += sum(len(item) for item in cast("list[bytes]", items))
    assert int(cast("bytes", client.hget(keys.of("run", run.run_id), "bytes"))) == real


def let_expire(bench: Bench, run: Run, key: str) -> None:
    """Let the time to live of a key be over."""
    meta = bench.state.keys.of("meta", run.run_id)
    created, updated, _, rest = cast("bytes", bench.state.client.hget(meta, key)).split(b"|", 3)
    bench.state.client.hset(meta, key, b"|".join((created, updated, b"1", rest)))


def test_every_type_comes_back_from_a_run_as_what_went_in(bench: Bench) -> None:
    found: list[Any] = []

    def write(ctx: ActionContext) -> None:
        for number, value in enumerate(EVERY_TYPE):
            ctx.store[f"k{number}"] = value

    def read(ctx: ActionContext) -> None:
        found.extend(ctx.store[f"k{number}"] for number in range(len(EVERY_TYPE)))

    run = played(bench, write, read)
    for back in (found, [run.store[f"k{number}"] for number in range(len(EVERY_TYPE))]):
        assert [(type(one), repr(one)) for one in back] == [(type(v), repr(v)) for v in EVERY_TYPE]
    assert_sizes(bench, run)


def test_first_values_come_back_as_what_went_in_wherever_they_were_given(bench: Bench) -> None:
    given_values = {f"k{number}": value for number, value in enumerate(EVERY_TYPE)}
    workflow = Workflow("w")
    workflow.add_stage("s", initial={f"i.{k}": v for k, v in given_values.items()})
    first: dict[Any, Any] = {**given_values, USER: ANA}
    run = bench.submit(workflow, store=first)
    expected = {**given_values, **{f"i.{k}": v for k, v in given_values.items()}, "user": ANA}
    assert repr(run.store.export()) == repr(dict(sorted(expected.items())))
    assert_sizes(bench, run)


def test_a_typed_key_reads_and_writes_its_type_and_nothing_else(bench: Bench) -> None:
    def write(ctx: ActionContext) -> None:
        ctx.store[USER] = ANA
        with pytest.raises(StoreTypeError) as refused:
            ctx.store.put(Key("hits", int), cast("int", "many"))
        assert (refused.value.key, refused.value.found) == ("hits", "str")
        assert "hits" not in ctx.store
        assert USER in ctx.store

    def read(ctx: ActionContext) -> None:
        assert ctx.store[USER] == ANA
        assert ctx.store.get(HITS, default=None) is None
        ctx.store[HITS] = 3

    run = played(bench, write, read)
    assert run.store[USER].address.city == "Lyon"
    assert run.store[HITS] == 3
    with pytest.raises(StoreTypeError):
        run.store.get(Key("user", Address))


def test_get_says_what_is_missing_and_what_is_of_another_type(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        assert ctx.store.get("user.id", int) == 123
        assert ctx.store.get("log.level", str, default="info") == "info"
        assert ctx.store.get("anything", default=None) is None
        assert ctx.store.get("nothing", default=5) is None, "a stored None is no missing key"
        with pytest.raises(KeyNotFoundError) as missing:
            ctx.store.get("log.level", str)
        assert missing.value.key == "log.level"
        with pytest.raises(StoreTypeError) as other:
            ctx.store.get("user.id", str)
        assert (other.value.key, other.value.expected, other.value.found) == (
            "user.id",
            "str",
            "int",
        )
        with pytest.raises(StoreTypeError):
            ctx.store.get("user.id", bool, default=True)

    run = played(bench, body, store={"user.id": 123, "nothing": None})
    with pytest.raises(KeyError):
        run.store["no"]
    with pytest.raises(TypeError):
        run.store.get("user.id", list[int])


def test_a_value_of_a_class_that_is_not_known_is_read_with_its_type_alone(bench: Bench) -> None:
    def write(ctx: ActionContext) -> None:
        @stored("shop.Moved")
        @dataclass
        class Moved:
            x: int

        ctx.store["moved"] = Moved(1)

    run = played(bench, write)
    data = bench.state.client.hget(bench.state.keys.of("store", run.run_id), "moved")
    assert isinstance(data, bytes)
    renamed = data.replace(b"shop.Moved", b"gone.Moved")
    bench.state.client.hset(bench.state.keys.of("store", run.run_id), "moved", renamed)
    with pytest.raises(UnknownTypeError, match=r"gone\.Moved"):
        run.store["moved"]
    assert run.store.get("moved", Point) == Point(1)


def test_in_delete_and_brackets_work_as_with_a_dict(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        store = ctx.store
        assert "old" in store
        assert store.delete("old") is True
        assert "old" not in store
        assert store.delete("old") is False
        store["new"] = 1
        assert "new" in store
        del store["new"]
        assert "new" not in store
        with pytest.raises(KeyNotFoundError):
            del store["new"]
        assert 5 not in store
        store["last"] = "kept"

    run = played(bench, body, store={"old": 1})
    assert run.store.export() == {"last": "kept"}
    assert_sizes(bench, run)


@pytest.mark.parametrize("name", ["", "\n", "a\x00b", "\ud800", "x" * 201, "__status", 5, None])
def test_what_no_key_can_be_called_is_refused_at_every_door(bench: Bench, name: Any) -> None:
    def body(ctx: ActionContext) -> None:
        for use in (
            lambda: ctx.store.put(name, 1),
            lambda: ctx.store.get(name),
            lambda: ctx.store.increment(name),
            lambda: ctx.store.append(name, 1),
            lambda: ctx.store.delete(name),
            lambda: ctx.store.merge({name: 1}),
            lambda: ctx.store.metadata(name),
        ):
            with pytest.raises(InvalidKeyError):
                use()

    assert played(bench, body).store.export() == {}
    with pytest.raises(InvalidKeyError):
        bench.submit(workflow_of(), store={name: 1})


ODD_NAMES = [
    "a}{b",
    "{",
    "*",
    "..",
    "😀",
    "a:b:c",
    "status",
    "bytes",
    "r1",
    "a|b",
    "$",
    "[x]",
    "%s",
    " ",
]


def test_keys_may_be_called_almost_anything_and_do_not_touch_each_other(bench: Bench) -> None:
    def write(ctx: ActionContext) -> None:
        for name in ODD_NAMES:
            ctx.store.put(name, name, tags=[name], properties={name: name})
            ctx.store.append(f"list {name}", name)

    def read(ctx: ActionContext) -> None:
        for name in ODD_NAMES:
            assert ctx.store[name] == name
            assert ctx.store.keys(tag=name) == [name]
            assert ctx.store[f"list {name}"] == [name]

    assert_sizes(bench, played(bench, write, read))


def test_lists_of_two_runs_are_apart_whatever_their_names(
    bench: Bench,
) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store.append("c" if ctx.run_id.endswith(":b") else "b:c", ctx.run_id)

    workflow = workflow_of(*bound(body))
    one = bench.submit(workflow, run_id="run")
    other = bench.submit(workflow, run_id="run:b")
    assert bench.drain(one).store["b:c"] == ["run"]
    assert bench.drain(other).store["c"] == ["run:b"]


def test_what_is_read_and_what_was_put_are_copies(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        mine = {"inner": [1]}
        ctx.store["mine"] = mine
        mine["inner"].append(2)
        assert ctx.store["mine"] == {"inner": [1]}
        read = ctx.store["given"]
        read.append("changed")
        assert ctx.store["given"] == ["as it was"]

    run = played(bench, body, store={"given": ["as it was"]})
    snapshot = bench.drain(run).store
    snapshot["given"].append("changed")
    assert snapshot["given"] == run.store["given"] == ["as it was"]


def test_an_attempt_sees_its_own_writes_and_others_see_them_once_committed(
    bench: Bench,
) -> None:
    runs: list[Run] = []

    def body(ctx: ActionContext) -> None:
        store, outside = ctx.store, runs[0].store
        store["a"] = 1
        store.increment("n", 5)
        store.append("list", "x")
        store.update("user", "address.city", "Paris")
        store.delete("gone")
        assert store.export() == {
            "a": 1, "n": 15, "list": ["w", "x"], "user": store[USER],
        }  # fmt: skip
        assert store[USER].address.city == "Paris"
        assert (outside["n"], outside["list"], outside["gone"]) == (10, ["w"], True)
        assert "a" not in outside

    first = {"n": 10, "list": ["w"], "user": ANA, "gone": True}
    runs.append(bench.submit(workflow_of(*bound(body)), store=first))
    result = bench.drain(runs[0])
    assert result.status is RunStatus.COMPLETED, result.error
    assert (result.store["n"], result.store["list"]) == (15, ["w", "x"])
    assert_sizes(bench, runs[0])


def test_tags_and_properties_stay_until_they_are_given_anew(bench: Bench) -> None:
    def write(ctx: ActionContext) -> None:
        ctx.store.put("user.id", 123, ttl=3600, tags=["pii", "crm"], properties={"source": "crm"})
        assert ctx.store.metadata("user.id").tags == {"pii", "crm"}

    def put_again(ctx: ActionContext) -> None:
        assert ctx.store.metadata("user.id").properties == {"source": "crm"}
        ctx.store["user.id"] = 124
        assert ctx.store.metadata("user.id").tags == {"pii", "crm"}
        assert ctx.store.metadata("user.id").expires_at is None

    def retag(ctx: ActionContext) -> None:
        before = ctx.store.metadata("user.id")
        assert before.tags == {"pii", "crm"}
        assert before.properties == {"source": "crm"}
        assert before.expires_at is None
        ctx.store.put("user.id", 125, tags=["new"])
        assert ctx.store.metadata("user.id").properties == {"source": "crm"}

    def relabel(ctx: ActionContext) -> None:
        ctx.store.put("user.id", 126, properties={"n": 2**70, "deep": {"a": [1, None]}})

    run = played(bench, write, put_again, retag, relabel)
    meta = run.store.metadata("user.id")
    assert meta.tags == {"new"}
    assert meta.properties == {"n": 2**70, "deep": {"a": [1, None]}}
    assert meta.created_at is not None
    assert meta.updated_at is not None
    assert meta.created_at <= meta.updated_at
    assert run.store["user.id"] == 126


def test_a_key_that_was_deleted_comes_back_without_its_old_tags(bench: Bench) -> None:
    def write(ctx: ActionContext) -> None:
        ctx.store.put("a", 1, tags=["old"])
        ctx.store.put("b", [], tags=["old"])
        ctx.store.put("n", 1, tags=["old"])

    def anew(ctx: ActionContext) -> None:
        for key in ("a", "b", "n"):
            ctx.store.delete(key)
        ctx.store["a"] = 2
        ctx.store.append("b", 1)
        ctx.store.increment("n", 7)
        assert ctx.store.keys(tag="old") == []

    run = played(bench, write, anew)
    assert run.store.export() == {"a": 2, "b": [1], "n": 7}
    assert run.store.keys(tag="old") == []
    assert run.store.metadata("a").created_at is None
    assert_sizes(bench, run)


def test_counting_appending_and_updating_keep_tags_and_time_to_live(bench: Bench) -> None:
    def write(ctx: ActionContext) -> None:
        for key, value in (("n", 1), ("list", [1]), ("user", ANA)):
            ctx.store.put(key, value, ttl="1h", tags=["t"])
        ctx.store.update("user", "age", 31)

    def change(ctx: ActionContext) -> None:
        ctx.store.increment("n")
        ctx.store.append("list", 2)
        ctx.store.update("user", "age", 32)

    run = played(bench, write, change)
    for key in ("n", "list", "user"):
        meta = run.store.metadata(key)
        assert meta.tags == {"t"}
        assert meta.expires_at is not None
        assert meta.updated_at is not None
        assert meta.expires_at > meta.updated_at
        let_expire(bench, run, key)
    assert run.store.export() == {}


def test_a_value_whose_time_has_ended_is_gone_for_everybody(bench: Bench) -> None:
    held: list[Run] = []

    def look(ctx: ActionContext) -> None:
        for key in ("n", "list", "text"):
            let_expire(bench, held[0], key)
        assert "text" not in ctx.store
        assert ctx.store.keys() == ["kept"]
        with pytest.raises(KeyNotFoundError):
            ctx.store.metadata("text")
        ctx.store.increment("n", 5)
        ctx.store.append("list", "new")
        ctx.store["text"] = "new"

    def write(ctx: ActionContext) -> None:
        ctx.store.put("n", 100, ttl=timedelta(hours=1), tags=["t"])
        ctx.store.put("list", ["old"], ttl=3600)
        ctx.store.append("list", "old")
        ctx.store.put("text", "old", ttl="5m", tags=["t"])
        ctx.store["kept"] = 1

    held.append(bench.submit(workflow_of(*bound(write, look))))
    result = bench.drain(held[0])
    assert result.status is RunStatus.COMPLETED, result.error
    store = held[0].store
    assert store.export() == {"kept": 1, "list": ["new"], "n": 5, "text": "new"}
    assert store.keys(tag="t") == []
    assert store.metadata("text").expires_at is None
    assert_sizes(bench, held[0])


@pytest.mark.parametrize("ttl", [-1, float("nan"), "soon", 400 * 86_400])
def test_a_time_to_live_that_is_none_is_refused(bench: Bench, ttl: Any) -> None:
    def body(ctx: ActionContext) -> None:
        with pytest.raises(ValueError, match="duration"):
            ctx.store.put("k", 1, ttl=ttl)

    assert played(bench, body).store.keys() == []


@pytest.mark.parametrize(
    "properties", [{"x": object()}, {"x": float("nan")}, {1: "one"}, {"x": {"y": b"z"}}]
)
def test_properties_are_json(bench: Bench, properties: Any) -> None:
    def body(ctx: ActionContext) -> None:
        with pytest.raises(NotStorableError, match="JSON"):
            ctx.store.put("k", 1, properties=properties)
        with pytest.raises(TypeError, match="list of words"):
            ctx.store.put("k", 1, tags="word")
        with pytest.raises(InvalidKeyError):
            ctx.store.put("k", 1, tags=["\n"])

    assert played(bench, body).store.keys() == []


def test_keys_are_found_by_tag_type_property_and_shape(bench: Bench) -> None:
    def check(store: Any) -> None:
        assert store.keys(tag="pii") == ["birth", "user"]
        assert store.keys(all_tags=["pii", "crm"]) == ["user"]
        assert store.keys(any_tags={"crm", "n"}) == ["count", "user"]
        assert store.keys(all_tags=[]) == store.keys()
        assert store.keys(any_tags=[]) == []
        assert store.keys(type=int) == ["count"]
        assert store.keys(type=int | bool) == ["count", "flag"]
        assert store.keys(type=User) == ["user"]
        assert store.keys(type=list[int]) == ["list"]
        assert store.keys(property=("source", "crm")) == ["user"]
        assert store.keys(property=("source", None)) == []
        assert store.keys(tag="pii", type=date) == ["birth"]
        assert store.keys(schema={"properties": {"name": {"type": "string"}}}) == ["dict", "user"]
        assert store.keys(schema={"properties": {"address": {"properties": {"city": {}}}}}) == [
            "user"
        ]
        assert store.keys(schema={"type": "array", "items": {"type": "integer"}}) == [
            "list",
            "pair",
        ]
        assert store.keys(schema={"type": ["boolean", "null"]}) == ["flag"]
        assert store.keys(schema={"type": "number"}) == ["count"]
        assert store.keys(schema={"required": ["age"]}) == ["user"]
        assert store.keys(schema=User.model_json_schema()) == ["user"]

    def write(ctx: ActionContext) -> None:
        store = ctx.store
        store.put("user", ANA, tags=["pii", "crm"], properties={"source": "crm"})
        store.put("birth", date(2000, 1, 1), tags=["pii"])
        store.put("count", 3, tags=["n"])
        store["flag"] = True
        store["list"] = [1]
        store.append("list", 2)
        store["pair"] = (1, 2)
        store["dict"] = {"name": "x"}
        check(store)

    run = played(bench, write, lambda ctx: check(ctx.store))
    check(run.store)
    check(bench.drain(run).store)


def test_update_changes_fields_all_or_none_and_validates(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        store = ctx.store
        store.update("user", "address.city", "Paris")
        store.update(USER, {"name": "Bo", "address.zip": "75001"})
        store.update("list", {"0": "first", "2.deep": 5})
        unfit: list[dict[str, Any]] = [
            {"age": -1}, {"age": "old"}, {"name": "Cy", "age": -1}, {"no": 1}, {"address.no": 1},
        ]  # fmt: skip
        for fields in unfit:
            with pytest.raises(StoreTypeError):
                store.update("user", fields)
        with pytest.raises(StoreTypeError):
            store.update("list", {"0": "changed", "9": "beyond"})
        with pytest.raises(KeyNotFoundError):
            store.update("missing", "a", 1)
        with pytest.raises(TypeError):
            store.update("user", "name")
        with pytest.raises(TypeError):
            store.update("user", {}, 1)

    run = played(bench, body, store={"user": ANA, "list": [0, 1, {"deep": 2}]})
    expected = User(name="Bo", age=30, address=Address(city="Paris", zip="75001"))
    assert run.store.export() == {"user": expected, "list": ["first", 1, {"deep": 5}]}
    assert run.store.metadata("user").created_at is None
    assert_sizes(bench, run)


def test_a_value_that_is_too_large_names_the_setting_and_changes_nothing(bench: Bench) -> None:
    limit = 4096
    small = Bench(bench.settings.model_copy(update={"max_value_bytes": limit}))

    def body(ctx: ActionContext) -> None:
        store = ctx.store
        store["exact"] = "x" * (limit - 2)
        for use in (
            lambda: store.put("k", "x" * (limit - 1)),
            lambda: store.append("k", "x" * (limit - 1)),
            lambda: store.update("dict", "a", "x" * limit),
            lambda: store.merge({"a": 1, "k": "x" * limit}),
            lambda: store.put("k", 1, properties={"a": "x" * limit}),
        ):
            with pytest.raises(ValueTooLargeError, match="GOSTAGE_MAX_VALUE_BYTES") as refused:
                use()
            assert refused.value.limit == limit
            assert refused.value.size > limit
        assert store.keys() == ["dict", "exact"]

    played(small, body, store={"dict": {"a": 1}})
    with pytest.raises(ValueTooLargeError, match="GOSTAGE_MAX_VALUE_BYTES"):
        small.submit(workflow_of(), store={"k": "x" * limit})
    small.close()


def test_increments_and_appends_mix_with_put_and_delete_in_one_attempt(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        store = ctx.store
        store.put("put", 5)
        store.increment("put", 2)
        store.increment("counted", 1)
        store.increment("counted", 2)
        store.put("replaced", 1)
        store.increment("replaced")
        store["replaced"] = 9
        store.increment("dropped")
        store.delete("dropped")
        store.delete("anew")
        store.increment("anew", 4)
        store["list"] = [1]
        store.append("list", 2)
        store.append("list", 3)
        assert store["list"] == [1, 2, 3]
        store.append("grown", {"n": 1})
        store.append("emptied", 1)
        store.delete("emptied")
        store.append("emptied", 2)
        store.append("swapped", 1)
        store["swapped"] = "text"
        store.append("edited", 3)
        store.update("edited", "0", "first")

    first = {
        "counted": 10, "replaced": 0, "dropped": 1, "anew": 100, "grown": [0], "emptied": [0, 0],
        "swapped": [0], "edited": [1, 2],
    }  # fmt: skip
    run = played(bench, body, store=first)
    assert run.store.export() == {
        "put": 7, "counted": 13, "replaced": 9, "anew": 4, "list": [1, 2, 3],
        "grown": [0, {"n": 1}], "emptied": [2], "swapped": "text", "edited": ["first", 2, 3],
    }  # fmt: skip
    assert_sizes(bench, run)


def test_many_values_appended_to_an_own_list_stay_cheap(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store["own"] = []
        for number in range(20_000):
            ctx.store.append("own", number)
            ctx.store.append("shared", number)

    run = played(bench, body)
    assert run.store["own"] == run.store["shared"] == list(range(20_000))


def test_only_lists_grow_and_only_integers_count(
    bench: Bench,
) -> None:
    def body(ctx: ActionContext) -> None:
        store = ctx.store
        for name, value in (
            ("text", "a"),
            ("flag", True),
            ("float", 1.0),
            ("none", None),
            ("big", 2**64),
        ):
            store[name] = value
            with pytest.raises(StoreTypeError) as refused:
                store.increment(name)
            assert (refused.value.key, refused.value.expected) == (name, "a 64-bit integer")
            with pytest.raises(StoreTypeError) as refused:
                store.append(name, 1)
            assert (refused.value.key, refused.value.expected) == (name, "a list")
        store.increment("n")
        store.append("list", 1)
        with pytest.raises(StoreTypeError, match="not a list"):
            store.append("n", 1)
        with pytest.raises(StoreTypeError, match="not a 64-bit integer"):
            store.increment("list")
        store["pair"] = (1, 2)
        with pytest.raises(StoreTypeError, match="holds tuple, not a list"):
            store.append("pair", 3)
        assert store["pair"] == (1, 2)

    assert played(bench, body).store["n"] == 1


@pytest.mark.parametrize("value", ["text", True, 1.5, None, 2**63, [1], {"a": 1}])
def test_an_increment_of_what_is_no_integer_fails_the_attempt_which_leaves_nothing(
    bench: Bench, value: Any
) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store["before"] = 1
        ctx.store.increment("k")

    run = bench.submit(workflow_of(*bound(body)), store={"k": value})
    error = failed(bench, run)
    assert error.type == "StoreTypeError"
    assert error.message.startswith("key 'k' holds ")
    assert "not a 64-bit integer" in error.message
    assert run.store.export() == {"k": value}


def test_an_append_to_what_is_no_list_fails_the_attempt_which_leaves_nothing(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store["before"] = 1
        ctx.store.append("k", 1)

    run = bench.submit(workflow_of(*bound(body)), store={"k": "text"})
    assert failed(bench, run).message == "key 'k' holds str, not a list"
    assert run.store.export() == {"k": "text"}


def test_a_misfit_shows_when_the_attempt_reads_what_it_changed(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        for use in (lambda: ctx.store.increment("k"), lambda: ctx.store.append("k", 1)):
            with pytest.raises(StoreTypeError):
                use_and_read(ctx, use)
            ctx.store["k"] = "text"

    def use_and_read(ctx: ActionContext, use: Callable[[], None]) -> None:
        use()
        ctx.store.get("k")

    assert played(bench, body, store={"k": "text"}).store.export() == {"k": "text"}


@pytest.mark.parametrize(
    ("value", "steps", "total"),
    [
        (2**63 - 2, [1], 2**63 - 1),
        (-(2**63) + 1, [-1], -(2**63)),
        (0, [2**63 - 1], 2**63 - 1),
        (-(2**63), [2**63 - 1], -1),
        (2**63 - 1, [-1, -1, -1], 2**63 - 4),
        (2**53, [1], 2**53 + 1),
        (2**63 - 1, [1], None),
        (-(2**63), [-1], None),
        (1, [2**63 - 1], None),
        (None, [2**63 - 1, 1], None),
    ],
)
def test_increments_reach_to_the_ends_of_64_bits_and_not_beyond(
    bench: Bench, value: int | None, steps: list[int], total: int | None
) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store["before"] = 1
        for step in steps:
            ctx.store.increment("n", step)

    store = {} if value is None else {"n": value}
    run = bench.submit(workflow_of(*bound(body)), store=store)
    if total is None:
        assert failed(bench, run).type == "StoreTypeError"
        assert run.store.export() == store
    else:
        result = bench.drain(run)
        assert result.store.get("n", int) == total
        assert_sizes(bench, run)


@pytest.mark.parametrize(
    "by", [1.0, True, "1", None, 2**63, pytest.param(10**5000, id="5001 digits")]
)
def test_a_step_that_is_no_64_bit_integer_is_refused(bench: Bench, by: Any) -> None:
    def body(ctx: ActionContext) -> None:
        with pytest.raises(TypeError, match="64 bits"):
            ctx.store.increment("n", by)

    assert played(bench, body).store.keys() == []


def test_items_of_a_typed_list_are_of_its_type(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store.append(LINES, "one")
        with pytest.raises(StoreTypeError):
            ctx.store.append(LINES, cast("str", 2))
        with pytest.raises(StoreTypeError):
            ctx.store.append(cast("Key[list[int]]", HITS), 2)
        ctx.store.append(Key("users", list[User]), ANA)
        ctx.store.append(Key("any", list[Any]), {"x": 1})
        ctx.store.append(Key("bare", list), (1, 2))

    run = played(bench, body)
    assert run.store[LINES] == ["one"]
    assert run.store.get("users", list[User]) == [ANA]
    assert run.store["bare"] == [(1, 2)]


def test_an_item_is_not_nested_deeper_than_its_list_can_be_read(bench: Bench) -> None:
    def nested(levels: int) -> Any:
        value: Any = 0
        for _ in range(levels):
            value = [value]
        return value

    def body(ctx: ActionContext) -> None:
        ctx.store.append("deep", nested(99))
        with pytest.raises(NotStorableError, match="deeper"):
            ctx.store.append("deep", nested(100))

    assert played(bench, body).store["deep"] == [nested(99)]


@pytest.mark.parametrize("order", ["as planned", "reversed", "odd ones first"])
def test_what_siblings_append_is_all_kept_in_plan_order(bench: Bench, order: str) -> None:
    def body(number: int) -> Callable[[ActionContext], None]:
        def append(ctx: ActionContext) -> None:
            ctx.store.append("list", [number, "a"])
            ctx.store.append("list", [number, "b"])
            assert ctx.store.get("list", list[list[Any]]).count([number, "b"]) == 1

        return append

    run = bench.submit(
        workflow_of(*bound(*(body(number) for number in range(12))), parallel=True),
        store={"list": [["base", ""]]},
    )
    messages = bench.post.messages
    if order == "reversed":
        messages.reverse()
    elif order == "odd ones first":
        odd = [messages[i] for i in (*range(1, 12, 2), *range(0, 12, 2))]
        messages.clear()
        messages.extend(odd)
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["list"] == [["base", ""], *([n, x] for n in range(12) for x in "ab")]
    assert_sizes(bench, run)


def test_lists_keep_the_order_of_stages_whose_ids_have_colons(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store.append("list", ctx.stage.id)

    workflow = Workflow("w")
    names = ["s:2", "s:1", "t", "s:1:1", "s"]
    for name in names:
        workflow.add_stage(Stage(name, bound(body, body)))
    result = bench.drain(bench.submit(workflow))
    assert result.store["list"] == [name for name in names for _ in range(2)]


def test_increments_of_siblings_commute_and_their_puts_win_by_commit(bench: Bench) -> None:
    def sibling(ctx: ActionContext) -> None:
        ctx.store.increment("n", 2)
        ctx.store["last"] = "sibling"

    def body(ctx: ActionContext) -> None:
        before = ctx.store.get("n", int)
        ctx.store.increment("n", 3)
        ctx.store["last"] = "body"
        bench.step(worker="other")
        assert ctx.store["n"] == before + 3 + 2, "what a sibling commits is seen at once"

    run = bench.submit(workflow_of(*bound(body, sibling), parallel=True), store={"n": 1})
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store.export() == {"n": 6, "last": "body"}


def test_siblings_see_each_others_writes_as_each_commits(bench: Bench) -> None:
    def first(ctx: ActionContext) -> None:
        ctx.store["seen"] = ctx.store.get("seen", list, default=[])
        ctx.store.append("seen", 1)

    def second(ctx: ActionContext) -> None:
        ctx.store["copy"] = ctx.store["seen"]

    run = bench.submit(workflow_of(*bound(first, second), parallel=True))
    assert bench.drain(run).store["copy"] == [1]


def test_a_body_sees_what_siblings_commit_while_it_runs(bench: Bench) -> None:
    seen = []

    def reads(ctx: ActionContext) -> None:
        seen.append(ctx.store.get("word", str, default="nothing"))
        bench.step("other")
        seen.append(ctx.store.get("word", str, default="nothing"))

    def writes(ctx: ActionContext) -> None:
        ctx.store["word"] = "something"

    bench.submit(workflow_of(*bound(reads, writes), parallel=True))
    bench.step()
    assert seen == ["nothing", "something"]


def test_merge_puts_all_or_none_and_says_what_was_there(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        store = ctx.store
        assert store.merge({"a": 1, "b": 1}) == ["a"]
        assert store.merge({"a": 2, "c": 2}, on_conflict="skip") == ["a"]
        with pytest.raises(KeyConflictError) as conflict:
            store.merge({"c": 3, "a": 3, "d": 3}, on_conflict="error")
        assert conflict.value.keys == ("a", "c")
        assert store.merge({"d": 4, HITS: 4}, on_conflict="error") == []
        with pytest.raises(NotStorableError):
            store.merge({"a": 5, "e": object()})
        with pytest.raises(StoreTypeError):
            store.merge({"a": 5, USER: 5})
        with pytest.raises(ValueError, match="on_conflict"):
            store.merge({"a": 6}, on_conflict=cast("Any", "replace"))
        assert store.merge({}) == []

    run = played(bench, body, store={"a": 0})
    assert run.store.export() == {"a": 1, "b": 1, "c": 2, "d": 4, "hits": 4}


def test_a_checkpoint_stays_and_what_follows_it_falls_with_the_attempt(bench: Bench) -> None:
    held: list[Run] = []

    @action(retry=Retry(2, delay=0.01))
    def body(ctx: ActionContext) -> None:
        store = ctx.store
        store.increment("n")
        store.append("list", ctx.attempt)
        store.put("kept", "long", ttl=60, tags=["t"])
        store.delete("gone")
        ctx.checkpoint()
        assert held[0].store["n"] == store["n"] == ctx.attempt
        assert "gone" not in held[0].store
        store.increment("n", 100)
        store.append("list", "lost")
        store["kept"] = "lost"
        assert store["n"] == ctx.attempt + 100
        if ctx.attempt == 1:
            raise RuntimeError("after the checkpoint")
        ctx.checkpoint()
        ctx.checkpoint()
        store.increment("n", 1000)

    held.append(bench.submit(workflow_of(body.s()), store={"gone": 1}))
    result = bench.drain(held[0])
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store.export() == {"kept": "lost", "list": [1, 2, "lost"], "n": 1102}
    assert held[0].store.metadata("kept").tags == {"t"}
    assert_sizes(bench, held[0])


def test_a_misfit_at_a_checkpoint_is_raised_there_and_can_be_mended(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store["other"] = 1
        with pytest.raises(StoreTypeError) as refused:
            step_and_check(ctx)
        assert (refused.value.key, refused.value.found) == ("k", "str")
        assert "other" not in held[0].store
        ctx.store["k"] = 1

    def step_and_check(ctx: ActionContext) -> None:
        ctx.store.increment("k")
        ctx.checkpoint()

    held = [bench.submit(workflow_of(*bound(body)), store={"k": "text"})]
    result = bench.drain(held[0])
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store.export() == {"k": 1, "other": 1}


def test_an_action_that_touches_one_key_of_two_thousand_reads_one_key(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        assert ctx.store.get("k7", str) == "x" * 500
        ctx.store["new"] = 1

    run = bench.submit(
        workflow_of(*bound(body)), store={f"k{number}": "x" * 500 for number in range(2000)}
    )
    before, calls = traffic(bench), scripts_run(bench)
    bench.step()
    received, sent = (now - then for now, then in zip(traffic(bench), before, strict=True))
    assert scripts_run(bench) - calls == 3, "a claim, one read, a commit"
    assert sent < 20_000
    assert received < 20_000
    assert bench.drain(run).store["new"] == 1


def test_a_store_that_is_not_touched_costs_nothing_however_large_it_is(bench: Bench) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store.increment("n")
        ctx.store.append("list", ctx.attempt)
        ctx.store["own"] = ctx.action.name

    costs = []
    for size in (1_000, 10_000_000):
        run = bench.submit(workflow_of(*bound(*[body] * 20)), store={"large": "x" * size})
        before = sum(traffic(bench))
        for _ in range(20):
            bench.step()
        costs.append(sum(traffic(bench)) - before)
        assert run.status is RunStatus.COMPLETED
    assert costs[1] <= costs[0] * 1.1


def traffic(bench: Bench) -> tuple[int, int]:
    """Bytes that the server has received and sent."""
    info = cast("dict[str, int]", bench.state.client.info("stats"))
    return info["total_net_input_bytes"], info["total_net_output_bytes"]


def scripts_run(bench: Bench) -> int:
    info = cast("dict[str, dict[str, int]]", bench.state.client.info("commandstats"))
    return sum(info.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))


KEYS = st.sampled_from(["a", "b", "c", "d"])
SMALL = st.integers(-5, 5)
LISTS = st.lists(SMALL, max_size=3)
OPERATIONS = st.one_of(
    st.tuples(st.just("put"), KEYS, values() | LISTS | SMALL),
    st.tuples(st.just("put"), KEYS, LISTS | SMALL),
    st.tuples(st.just("delete"), KEYS, st.none()),
    st.tuples(st.just("increment"), KEYS, SMALL),
    st.tuples(st.just("append"), KEYS, SMALL),
    st.tuples(st.just("update"), KEYS, SMALL),
    st.tuples(st.just("read"), KEYS, st.none()),
    st.tuples(st.just("checkpoint"), KEYS, st.none()),
    st.tuples(st.just("tag"), KEYS, SMALL),
    st.tuples(st.just("merge"), KEYS, SMALL),
)


@budget(
    max_examples=150,
    deadline=None,
    # Each step of a shrink is a run on a real server; the seed that is printed is enough.
    phases=[Part.explicit, Part.reuse, Part.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    attempts=st.lists(st.tuples(st.lists(OPERATIONS, max_size=8), st.booleans()), max_size=5),
    small=st.sampled_from([0, 512, 65_536]),
)
def test_any_sequence_of_changes_ends_as_in_a_plain_dict(
    settings: Settings, fresh_registry: None, attempts: list[Any], small: int
) -> None:
    namespace = f"m{uuid.uuid4().hex[:12]}"
    bench = Bench(settings.model_copy(update={"namespace": namespace, "small_store": small}))
    model: dict[str, Any] = {"a": 1, "b": [1, 2]}
    steps = [changing(model, operations, fails=fails) for operations, fails in attempts]
    actions = [one.options(on_error="continue") for one in bound(*steps)]
    run = bench.submit(workflow_of(*actions), store=dict(model))
    result = bench.drain(run)
    errors = [one.error for one in result.actions if one.error and one.error.type != "ToldToFail"]
    assert errors == []
    # Compared as they are stored, where equal sets are alike and 1 is not True.
    assert encode(run.store.export()) == encode(dict(sorted(model.items())))
    assert_sizes(bench, run)
    bench.close()


class ToldToFail(Exception):
    """Ends an attempt of the model."""


def changing(
    model: dict[str, Any], operations: list[Any], *, fails: bool
) -> Callable[[ActionContext], None]:
    """A body that does the same to the store and to the model, and looks at both alike."""

    def body(ctx: ActionContext) -> None:
        mine = dict(model)
        for kind, key, value in operations:
            if kind == "checkpoint":
                ctx.checkpoint()
                model.clear()
                model.update(mine)
            else:
                change(ctx.store, mine, kind, key, value)
        if fails:
            raise ToldToFail
        model.clear()
        model.update(mine)

    return body


def change(store: AttemptStore, model: dict[str, Any], kind: str, key: str, value: Any) -> None:
    old = model.get(key)
    if kind == "put":
        store[key] = model[key] = value
    elif kind == "tag":
        store.put(key, value, tags=["t"], ttl=60)
        model[key] = value
    elif kind == "delete":
        assert store.delete(key) is (key in model)
        model.pop(key, None)
    elif kind == "merge":
        assert store.merge({key: value, "m": value}, on_conflict="skip") == sorted(
            model.keys() & {key, "m"}
        )
        model.update({name: value for name in (key, "m") if name not in model})
    elif kind == "increment" and (
        (old is None and key not in model) or (type(old) is int and abs(old) < 2**60)
    ):
        store.increment(key, value)
        model[key] = (old or 0) + value
    elif kind == "append" and (key not in model or type(old) is list):
        store.append(key, value)
        model[key] = [*(old or []), value]
    elif kind == "update" and type(old) is list and old:
        store.update(key, "0", value)
        model[key] = [value, *old[1:]]
    else:
        assert encode(store.get(key, default="missing")) == encode(model.get(key, "missing"))
        assert (key in store) is (key in model)


def test_a_run_reads_alike_live_and_as_a_result(bench: Bench) -> None:
    run = played(bench, lambda ctx: ctx.store.append("list", 1), store={"a": 1, "user": ANA})
    result: RunResult = bench.drain(run)
    assert run.store.export() == result.store.export() == {"a": 1, "list": [1], "user": ANA}
    assert operator.contains(result.store, "a")
    assert result.store.get("missing", int, default=3) == 3
    with pytest.raises(KeyNotFoundError):
        result.store["missing"]
