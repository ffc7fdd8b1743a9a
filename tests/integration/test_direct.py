"""What is pushed directly is what Celery would have published, and yields to whoever listens."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from celery import signals

from gostage_core.broker.app import direct_line
from gostage_core.broker.direct import Trail
from gostage_core.coordinator import Coordinator
from gostage_core.state.answers import Next, Ready
from gostage_workers.app import create_app

if TYPE_CHECKING:
    from gostage_core.settings import Settings
    from gostage_core.state.operations import State

CHAIN = Next("chain", (Ready("1", b'["first"]'), Ready("2", b'["second",null,null,2.5]')))
TIMED = Next("chain", (Ready("1", b'["first",null,null,2.5]'),))
DIFFERS = {"reply_to", "origin", "delivery_tag"}


@pytest.fixture
def ways(settings: Settings, state: State) -> tuple[Coordinator, Coordinator]:
    """The same coordinator over the direct line, and through Celery."""
    app = create_app(settings=settings)
    line = direct_line(app, settings, state.push)
    assert line is not None
    return Coordinator(app, settings.namespace, line), Coordinator(app, settings.namespace)


def sent(state: State) -> dict[str, Any]:
    """The message that waits in the queue, decoded, without what is random."""
    (text,) = state.client.lrange(state.settings.namespace, 0, -1)  # type: ignore[union-attr]
    state.client.delete(state.settings.namespace)
    message: dict[str, Any] = json.loads(text)
    message["body"] = json.loads(base64.b64decode(message["body"]))
    ids = [message["headers"].pop("id"), message["properties"].pop("correlation_id")]
    assert ids[0] == ids[1]
    if message["headers"]["root_id"] == ids[0]:
        message["headers"]["root_id"] = "its own"
    for link in message["body"][2]["chain"] or ():
        link["options"].pop("task_id")
    for part in (message["headers"], message["properties"]):
        for name in DIFFERS & part.keys():
            assert part.pop(name)
    return message


@pytest.mark.parametrize("following", [CHAIN, TIMED])
@pytest.mark.parametrize("trail", [Trail(), Trail("root", "parent")])
def test_a_direct_message_is_the_one_that_celery_publishes(
    ways: tuple[Coordinator, Coordinator], state: State, following: Next, trail: Trail
) -> None:
    direct, celery = ways
    direct.send("run", following, trail)
    ours = sent(state)
    assert ours["body"][0] == ["run", "1"]  # what is ready comes first
    celery.send("run", following, trail)
    assert ours == sent(state)


def test_a_message_that_is_sent_again_is_the_same_both_ways(
    ways: tuple[Coordinator, Coordinator], state: State
) -> None:
    direct, celery = ways
    direct.send_again("run", CHAIN.ready[0])
    ours = sent(state)
    celery.send_again("run", CHAIN.ready[0])
    assert ours == sent(state)


def test_what_goes_to_the_head_of_its_queue_comes_before_the_others_both_ways(
    ways: tuple[Coordinator, Coordinator], state: State
) -> None:
    for coordinator in ways:
        called = Ready("7", b'["called"]', "other", head=True)
        coordinator.send("run", Next("group", (Ready("1", b'["first"]'), called)))
        assert coordinator.go_on("run", Next("chain", (called,)), None, Trail()) is None
        waiting = state.client.lrange(state.settings.namespace, 0, -1)
        state.client.delete(state.settings.namespace)
        names = [json.loads(text)["headers"]["shadow"] for text in waiting]  # type: ignore[union-attr]
        assert names == ["first", "called", "called"]  # taken from the right


def test_whoever_listens_to_what_is_published_hears_of_it(
    ways: tuple[Coordinator, Coordinator], state: State
) -> None:
    heard: list[str] = []

    def listen(headers: dict[str, Any], **_: Any) -> None:
        heard.append(headers["task"])
        headers["trace"] = "abc"

    signals.before_task_publish.connect(listen)
    try:
        ways[0].send("run", CHAIN)
    finally:
        signals.before_task_publish.disconnect(listen)
    assert heard == ["gostage.action"]
    assert sent(state)["headers"]["trace"] == "abc"


def test_a_message_with_a_priority_goes_through_celery_to_its_own_list(
    ways: tuple[Coordinator, Coordinator], state: State
) -> None:
    ways[0].send("run", Next("chain", (Ready("1", b'["first",null,6]'),)))
    assert state.client.llen(state.settings.namespace) == 0
    assert state.client.llen(f"{state.settings.namespace}\x06\x166") == 1


def test_an_app_that_publishes_elsewhere_is_not_bypassed(settings: Settings, state: State) -> None:
    app = create_app(settings=settings)
    app.conf.broker_url = "redis://localhost:1/0"
    line = direct_line(app, settings, state.push)
    assert line is not None
    assert not line.takes({"options": {"queue": "q"}})


def test_another_broker_than_the_states_server_has_no_direct_line(
    settings: Settings, state: State
) -> None:
    elsewhere = settings.model_copy(update={"broker_url": "redis://localhost:1/0"})
    assert direct_line(create_app(settings=elsewhere), elsewhere, state.push) is None
