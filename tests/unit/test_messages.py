"""Which messages may be sent, and how authors see them in their tests."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest

from gostage_core import InvalidKeyError, Message, NotStorableError, Runner, ValueTooLargeError
from gostage_core.errors import InvalidWorkflowError, MessageLimitError
from gostage_core.messages import payload_text
from gostage_core.sealing.vault import Vault
from gostage_core.testing import context

LIMIT = 1024


class Colour(StrEnum):
    RED = "red"


def circle() -> list[Any]:
    around: list[Any] = []
    around.append(around)
    return around


def bomb() -> list[Any]:
    """A value of sixty lists, which is longer than any memory as JSON."""
    tree: list[Any] = []
    for _ in range(60):
        tree = [tree, tree]
    return tree


@pytest.mark.parametrize(
    "payload",
    [
        None, True, 0, -1.5, 2**80, "", "é\x00\ud800", [], {}, [None, [1, {"a": []}]],
        {"": 1, "päth": {"to": [False]}},
    ],
    ids=repr,
)  # fmt: skip
def test_every_json_value_comes_back_as_it_went(payload: Any) -> None:
    ctx = context()
    ctx.send("kind", payload)
    assert ctx.sent == [("kind", payload)]


def test_tuples_come_back_as_lists_and_words_of_an_enum_as_text() -> None:
    ctx = context()
    ctx.send("kind", {"at": (1, 2), "colour": Colour.RED})
    assert ctx.sent == [("kind", {"at": [1, 2], "colour": "red"})]


def test_a_message_needs_no_payload() -> None:
    ctx = context()
    ctx.send("done")
    assert ctx.sent == [("done", None)]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (object(), "payload is of type object"),
        ({"rows": [1, {2}]}, "payload['rows'][1] is of type set"),
        ({"when": datetime.now(UTC)}, "payload['when'] is of type datetime.datetime"),
        (b"raw", "payload is of type bytes"),
        ({"n": {1: "one"}}, "a key of payload['n'] is of type int"),
        ([float("nan")], "payload[0] is nan"),
        ([[float("-inf")]], "payload[0][0] is -inf"),
        (threading.Lock(), "is of type _thread.lock"),
        (circle(), "deep in one another"),
        (10**5000, "integer string conversion"),
    ],
    ids=[
        "an object", "a set", "a date", "bytes", "a key", "no number", "infinity", "a lock",
        "a circle", "endless digits",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_its_place_and_its_type(payload: Any, said: str) -> None:
    ctx = context()
    with pytest.raises(NotStorableError) as refused:
        ctx.send("kind", payload)
    assert said in str(refused.value)
    assert "message 'kind'" in str(refused.value)
    assert "into the store" in str(refused.value)
    assert ctx.sent == []


def test_a_message_has_a_largest_size_and_the_error_names_the_setting() -> None:
    assert len(payload_text("kind", "x" * (LIMIT - 2), LIMIT)) == LIMIT
    for payload in ("x" * (LIMIT - 1), ["y" * 600] * 2, "é" * 200):
        with pytest.raises(ValueTooLargeError, match="GOSTAGE_MAX_MESSAGE_BYTES"):
            payload_text("kind", payload, LIMIT)


@pytest.mark.parametrize("small", [bomb, lambda: ["x" * 900] * 10_000])
def test_a_value_that_is_large_only_as_text_is_refused_before_it_is_written(small: Any) -> None:
    with pytest.raises((ValueTooLargeError, NotStorableError)):
        payload_text("kind", small(), 64 * LIMIT)


@pytest.mark.parametrize("kind", ["", "a\nb", "x" * 201, "__own", 5, None, b"raw"], ids=repr)
def test_the_type_of_a_message_is_a_name(kind: Any) -> None:
    with pytest.raises(InvalidKeyError, match="type of messages"):
        context().send(kind, 1)


def test_a_message_cannot_be_changed_and_says_where_it_comes_from() -> None:
    text = json.dumps([1_700_000_000_123, "kind", {"a": 1}, "w", "s", "a", 2, "r"])
    message = Message.from_text(7, text.encode(), Vault("gostage"))
    assert (message.type, message.payload) == ("kind", {"a": 1})
    assert message.at == datetime.fromtimestamp(1_700_000_000.123, UTC)
    place = message.context
    assert (place.workflow, place.stage, place.action) == ("w", "s", "a")
    assert (place.attempt, place.run_id, place.sequence) == (2, "r", 7)
    with pytest.raises(AttributeError):
        message.type = "other"  # type: ignore[misc]


def test_a_full_run_says_which_and_what_to_do() -> None:
    text = str(MessageLimitError("r", 100_000))
    assert "'r'" in text
    assert "100,000" in text
    assert "GOSTAGE_MAX_MESSAGES" in text


def test_a_handler_is_registered_with_parentheses_for_names_that_may_be() -> None:
    runner = Runner("redis://nowhere.invalid:1/0")
    with pytest.raises(TypeError, match="parentheses"):
        runner.on(lambda message: None)  # type: ignore[arg-type]
    with pytest.raises(InvalidKeyError):
        runner.on("")
    with pytest.raises(InvalidWorkflowError):
        runner.on(run_id="no run")


def test_a_decorated_handler_stays_what_it_was_and_nothing_is_connected() -> None:
    threads = threading.active_count()
    runner = Runner("redis://nowhere.invalid:1/0")

    def show(message: Message) -> str:
        return message.type

    assert runner.on("a")(runner.on("b", workflow="w")(show)) is show
    assert runner.drain()
    assert threading.active_count() == threads
    runner.close()
