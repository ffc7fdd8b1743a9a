"""Signatures of messages: each field that is changed shows, and what is unsigned is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from celery.signals import before_task_publish
from hypothesis import given
from hypothesis import strategies as st

from gostage_core import Settings
from gostage_core.broker.app import producer_app
from gostage_core.broker.direct import NOWHERE, DirectLine
from gostage_core.broker.hints import HINT_TASK
from gostage_core.broker.signatures import (
    HEADER,
    TICKET,
    Signer,
    UnsignedError,
    signed_link,
)
from gostage_core.broker.task_names import FAILED_TASK, RESULT_TASK, RUN_TASK, SUBMIT_TASK
from gostage_core.sealing.keys import parse_ring
from gostage_workers.publishing import Publisher
from tests.support.sealed import BOTH, FIRST, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOUR = 3600.0
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def signer(
    keys: str = FIRST, *, namespace: str = "shop", requires: bool = True, now: float = 1000.0
) -> Signer:
    ring = parse_ring("GOSTAGE_SIGNING_KEYS", keys)
    return Signer(namespace, ring, requires=requires, retention=HOUR, now=lambda: now)


def check(
    by: Signer,
    task: str,
    headers: Mapping[str, Any],
    args: list[Any],
    kwargs: dict[str, Any],
    **text: Any,
) -> None:
    body = json.dumps([args, kwargs, {"chain": None}], **text)
    by.check(task, headers, body, json.loads(body))


def headers_of(made: dict[str, Any]) -> dict[str, Any]:
    return {"id": made["task_id"], **made["headers"]}


class TestSignatures:
    @given(args=st.lists(JSON_VALUES), kwargs=st.dictionaries(st.text(), JSON_VALUES))
    def test_what_was_signed_is_taken(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        made = signer().options(SUBMIT_TASK, args, kwargs)
        check(signer(BOTH), SUBMIT_TASK, headers_of(made), args, kwargs)

    @pytest.mark.parametrize(
        "changed",
        [
            {"task": SUBMIT_TASK},
            {"id": "another"},
            {"args": ["run", "3"]},
            {"args": ["run", "2", "2"]},
            {"kwargs": {"more": 1}},
            {"at": "1001"},
            {"at": "01000"},
            {"namespace": "other"},
            {"key": "second"},
            {"mac": "0" * 64},
            {"mac": ""},
        ],
        ids=lambda changed: "-".join(map(str, *changed.items())),
    )
    def test_each_field_that_is_changed_shows(self, changed: dict[str, Any]) -> None:
        made = signer(BOTH.replace(SECOND, "").strip(",")).options(HINT_TASK, ["run", "2"], {}, "1")
        _, key, at, mac = made["headers"][HEADER].split(".")
        told = {"key": key, "at": at, "mac": mac, **changed}
        headers = {
            "id": changed.get("id", "1"),
            HEADER: f"1.{told['key']}.{told['at']}.{told['mac']}",
        }
        with pytest.raises(UnsignedError):
            check(
                signer(BOTH, namespace=changed.get("namespace", "shop")),
                changed.get("task", HINT_TASK),
                headers,
                changed.get("args", ["run", "2"]),
                changed.get("kwargs", {}),
            )

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "1",
            "2.first.1000.00",
            "1.first.soon.00",
            "1.first.1000",
            None,
            7,
            "1.first.1.\ud800",
        ],
    )
    def test_what_is_no_signature_is_none(self, header: object) -> None:
        with pytest.raises(UnsignedError):
            check(signer(), HINT_TASK, {"id": "1", HEADER: header}, ["run", "2"], {})

    @pytest.mark.parametrize("body", ["", "{}", "[", '["a"]', "[[] {}]", '[[], "', "[" * 100_000])
    def test_a_body_of_another_form_is_refused(self, body: str) -> None:
        made = signer().options(HINT_TASK, [], {}, "1")
        with pytest.raises(UnsignedError):
            signer().check(HINT_TASK, headers_of(made), body, None)

    def test_an_unknown_key_is_named(self) -> None:
        made = signer(SECOND).options(HINT_TASK, [], {}, "1")
        with pytest.raises(UnsignedError, match="'second', which is not known here"):
            check(signer(), HINT_TASK, headers_of(made), [], {})

    def test_a_new_key_signs_while_the_old_one_is_taken(self) -> None:
        old = signer().options(HINT_TASK, [], {}, "1")
        new = signer(BOTH).options(HINT_TASK, [], {}, "1")
        assert new["headers"][HEADER].startswith("1.second.")
        for made in (old, new):
            check(signer(BOTH), HINT_TASK, headers_of(made), [], {})

    def test_what_is_unsigned_is_refused_unless_keys_are_still_handed_out(self) -> None:
        with pytest.raises(UnsignedError, match="not signed"):
            check(signer(), HINT_TASK, {"id": "1"}, ["run", "2"], {})
        check(signer(requires=False), HINT_TASK, {"id": "1"}, ["run", "2"], {})

    def test_what_is_signed_wrongly_is_refused_even_then(self) -> None:
        made = headers_of(signer().options(HINT_TASK, ["run", "2"], {}, "1"))
        with pytest.raises(UnsignedError):
            check(signer(requires=False), HINT_TASK, made, ["run", "3"], {})

    def test_a_submit_that_is_older_than_what_it_may_have_begun_is_refused(self) -> None:
        made = headers_of(signer().options(SUBMIT_TASK, [{}], {}, "1"))
        check(signer(now=1000 + HOUR), SUBMIT_TASK, made, [{}], {})
        with pytest.raises(UnsignedError, match="GOSTAGE_RETENTION"):
            check(signer(now=1002 + HOUR), SUBMIT_TASK, made, [{}], {})

    def test_a_hint_is_taken_whenever_it_comes(self) -> None:
        made = headers_of(signer().options(HINT_TASK, ["run", "2"], {}, "1"))
        check(signer(now=1e9), HINT_TASK, made, ["run", "2"], {})

    def test_other_languages_sign_the_text_that_they_send(self) -> None:
        args, kwargs = '[{"id":"w","stages":[1.0,1e-7,"\u00e9"]}]', '{"key": "event-42"}'
        text = f"gostage1\nshop\n{SUBMIT_TASK}\nid-1\n1000\n{args}\n{kwargs}"
        key = b64decode(FIRST.partition(":")[2])
        mac = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers = {"id": "id-1", HEADER: f"1.first.1000.{mac}"}
        body = f" [ {args} ,\n{kwargs}, {{}}]"
        signer().check(SUBMIT_TASK, headers, body, json.loads(body))


class TestTickets:
    @pytest.mark.parametrize("task", [RESULT_TASK, FAILED_TASK])
    def test_whoever_has_one_may_tell_an_end(self, task: str) -> None:
        ticket = signer().ticket(task, {"wait": "run:2:1"})
        kwargs = {"wait": "run:2:1", TICKET: ticket, "told": {"type": "E"}}
        check(signer(), task, {"id": "1"}, ["anything"], kwargs)

    def test_of_that_task_alone(self) -> None:
        ticket = signer().ticket(RESULT_TASK, {"wait": "run:2:1"})
        for task, wait in ((RESULT_TASK, "run:3:1"), (FAILED_TASK, "run:2:1")):
            with pytest.raises(UnsignedError):
                check(signer(), task, {"id": "1"}, [], {"wait": wait, TICKET: ticket})

    def test_a_link_of_a_canvas_may_be_given_anything_and_is_what_it_was(self) -> None:
        kwargs = {"definition": {"id": "w", "stages": []}, "give": "k"}
        made = {**kwargs, TICKET: signer().ticket(RUN_TASK, kwargs)}
        check(signer(), RUN_TASK, {"id": "1"}, ["from the link before"], made)
        with pytest.raises(UnsignedError):
            check(signer(), RUN_TASK, {"id": "1"}, [], {**made, "give": "other"})

    @pytest.mark.parametrize("task", [HINT_TASK, SUBMIT_TASK])
    def test_no_other_task_takes_one(self, task: str) -> None:
        ticket = signer().ticket(task, {"wait": "run:2:1"})
        with pytest.raises(UnsignedError, match="not signed"):
            check(signer(), task, {"id": "1"}, [], {"wait": "run:2:1", TICKET: ticket})


def test_a_link_is_signed_whoever_sends_it() -> None:
    link = {
        "task": HINT_TASK,
        "args": ["run", "2"],
        "kwargs": {},
        "options": {"task_id": "id-1", "queue": "shop"},
    }
    line = DirectLine(producer_app(Settings()), "", "", lambda *_: None)
    message = json.loads(line.text([signed_link(link, signer())], NOWHERE, {}))
    body = b64decode(message["body"]).decode()
    signer().check(HINT_TASK, message["headers"], body, json.loads(body))


def test_without_keys_nothing_is_signed() -> None:
    assert Signer.of(Settings()) is None


class TestPublished:
    """Messages of other tasks that actions publish."""

    @pytest.fixture
    def published(self) -> Iterator[list[dict[str, Any]]]:
        headers: list[dict[str, Any]] = []

        def note(headers_: list[dict[str, Any]] = headers, **told: Any) -> None:
            headers_.append(told["headers"])

        before_task_publish.connect(note)
        yield headers
        before_task_publish.disconnect(note)

    def publisher(self, **options: Any) -> Publisher:
        app = Celery("shop", broker="memory://", set_as_current=False)
        return Publisher(app, "shop", **options)

    def test_their_arguments_show_in_no_monitor_where_values_are_encrypted(
        self, published: list[dict[str, Any]]
    ) -> None:
        self.publisher(hides_arguments=True)("mail", ["hush"], {"to": "hush"})
        self.publisher()("mail", ["shown"], {})
        assert "hush" not in str(published[0])
        assert published[1]["argsrepr"] == "['shown']"

    def test_the_end_of_a_link_is_signed_and_a_callback_has_a_ticket(
        self, published: list[dict[str, Any]]
    ) -> None:
        made = self.publisher(signer=signer())
        made("gostage.end", [], {"run_id": "r"}, task_id="id-1")
        check(signer(), "gostage.end", published[0], [], {"run_id": "r"})
        (callback, errback) = (
            made._answer(RESULT_TASK, wait="r:2:1"),
            made._answer(FAILED_TASK, wait="r:2:1", queue="shop"),
        )
        check(signer(), RESULT_TASK, {"id": "1"}, ["x"], callback["kwargs"])
        check(signer(), FAILED_TASK, {"id": "1"}, ["task"], errback["kwargs"])
