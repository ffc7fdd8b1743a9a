"""Queue items as they lie in Redis: sound, odd, refused by Celery, and malformed."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any
from uuid import uuid4

Envelope = dict[str, Any]


def envelope(
    *args: object,
    task: str = "gostage.action",
    body: object = None,
    headers: Envelope | None = None,
    properties: Envelope | None = None,
) -> Envelope:
    """Return the envelope of a task message with these arguments, as Celery would write it."""
    task_id = str(uuid4())
    content = [args, {}, {"callbacks": None}] if body is None else body
    return {
        "body": encoded(json.dumps(content)),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": task, "id": task_id, "timelimit": [None, None], **(headers or {})},
        "properties": {
            "correlation_id": task_id,
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "body_encoding": "base64",
            "priority": 0,
            **(properties or {}),
        },
    }


def item(*args: object, **options: Any) -> bytes:
    """Return a queue item; takes what :func:`envelope` takes."""
    return json.dumps(envelope(*args, **options)).encode()


def changed(*path: str, to: object = None, **options: Any) -> bytes:
    """Return a queue item with the value at ``path`` replaced."""
    changing = envelope("changed", **options)
    place = changing
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return json.dumps(changing).encode()


def without(*path: str) -> bytes:
    """Return a queue item that lacks what is at ``path``."""
    cut = envelope("cut")
    place = cut
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return json.dumps(cut).encode()


def with_body(text: str | bytes, **options: Any) -> bytes:
    """Return a queue item whose body decodes to ``text``."""
    return changed("body", to=encoded(text), **options)


def encoded(text: str | bytes) -> str:
    """Return base64."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def nested(levels: int) -> str:
    """Return JSON with so many arrays in each other."""
    return "[" * levels + "]" * levels


def bomb(size: int) -> bytes:
    """Return a queue item of some kilobytes whose body unpacks to ``size`` bytes."""
    packer = zlib.compressobj(9)
    pieces = [packer.compress(b"0" * 2**20) for _ in range(size // 2**20)]
    return with_body(b"".join([*pieces, packer.flush()]), headers={"compression": "zlib"})


def protocol_1(**fields: object) -> bytes:
    """Return a queue item in Celery's older protocol, which has everything in the body."""
    body = {"task": "gostage.action", "id": str(uuid4()), "args": [], "kwargs": {}, **fields}
    return changed("headers", to={}, body=body)


DEEP = json.loads(nested(600))

MALFORMED: dict[str, bytes] = {
    "an empty string": b"",
    "bytes that are no text": b"\xff\xfe\x00",
    "no JSON": b"hello",
    "JSON null": b"null",
    "a JSON number": b"1",
    "a JSON array": b"[]",
    "a JSON string": b'"x"',
    "an empty object": b"{}",
    "20,000 nested arrays": nested(20_000).encode(),
    "a number of 10,000 digits": b"9" * 10_000,
    "a marker of an unknown type": b'{"__type__": "nope", "__value__": 1}',
    "a body that is not base64": changed("body", to="!!! not base64 !"),
    "a body with characters beyond ASCII": changed("body", to="é"),
    "a body that is a number": changed("body", to=5),
    "a body that decodes to a number": item(body=5),
    "a body that decodes to null": with_body("null"),
    "a body that decodes to a string": item(body="abc"),
    "a body of two parts": item(body=[[], {}]),
    "an empty body": with_body(""),
    "no body": without("body"),
    "a body cut off": with_body('[["x"], {}, {"callb'),
    "a body of bytes that are no text": with_body(b"\xff\xfe"),
    "a body nested 20,000 levels": with_body(nested(20_000)),
    "a body nested 900 levels": with_body(f'[["x", {nested(900)}], {{}}, {{}}]'),
    "a body with a huge number": with_body(f"[[{'9' * 10_000}], {{}}, {{}}]"),
    "args that are a number": item(body=[5, {}, {}]),
    "kwargs that are a list": item(body=[[], [1], {}]),
    "an embed that is a number": item(body=[[], {}, 5]),
    "a chain of numbers": item(body=[[], {}, {"chain": [5]}]),
    "errbacks that are a number": item(body=[[], {}, {"errbacks": 5}]),
    "a chord that is a string": item(body=[[], {}, {"chord": "x"}]),
    "headers that are a list": changed("headers", to=[1]),
    "headers nested 600 levels": changed("headers", "x", to=DEEP),
    "no properties": without("properties"),
    "properties that are a list": changed("properties", to=[1]),
    "properties nested 600 levels": changed("properties", "reply_to", to=DEEP),
    "no delivery tag": without("properties", "delivery_tag"),
    "a delivery tag that is a list": changed("properties", "delivery_tag", to=[1]),
    "a delivery tag that is null": changed("properties", "delivery_tag"),
    "a delivery info that is a list": changed("properties", "delivery_info", to=[1]),
    "a delivery info without a key": changed(
        "properties", "delivery_info", to={"exchange": ""}, task="plain.early"
    ),
    "a task that is a list": changed("headers", "task", to=["x"]),
    "no id": without("headers", "id"),
    "an id that is a list": changed("headers", "id", to=[1]),
    "a shadow name that is an object": changed("headers", "shadow", to={"a": 1}),
    "a time limit that is a number": changed("headers", "timelimit", to=5),
    "time limits that are strings": changed("headers", "timelimit", to=["x", "y"]),
    "time limits of 400 digits": changed("headers", "timelimit", to=[10**400, None]),
    "stamps that are a number": changed("headers", "stamped_headers", to=5),
    "an unknown encoding of the body": changed("properties", "body_encoding", to="rot13"),
    "no content type": changed("content-type"),
    "a content type that is a list": changed("content-type", to=[1]),
    "a content encoding that is a number": changed("content-encoding", to=5),
    "an unknown compression": changed("headers", "compression", to="nope"),
    "a compression that it does not have": changed("headers", "compression", to="zlib"),
    "a decompression bomb": bomb(80 * 2**20),
    "protocol 1, a task that is a list": protocol_1(task=[1]),
    "protocol 1, an id that is a list": protocol_1(id=[1]),
    "protocol 1, a time limit that is a number": protocol_1(timelimit=5),
}

REFUSED: dict[str, bytes] = {
    "no headers": without("headers"),
    "a body that is no task": changed("headers", to={}, body=5),
    "an unknown task": item(task="nope"),
    "pickle": changed("content-type", to="application/x-python-serialize"),
    "YAML": changed("content-type", to="application/x-yaml"),
    "an unknown content type": changed("content-type", to="text/x-nothing"),
    "an eta that is no date": changed("headers", "eta", to="not-a-date"),
    "an eta that is a number": changed("headers", "eta", to=5),
    "an expiry that is no date": changed("headers", "expires", to="x"),
    "an expiry in the past": changed("headers", "expires", to="2020-01-01T00:00:00+00:00"),
    "kwargs with unexpected names": item(body=[[], {"nope": 1}, {}]),
    "too many args": item(*range(50)),
    "protocol 1, kwargs that are a number": protocol_1(kwargs=5),
}
"""What Celery itself refuses, or fails the task with, and survives."""

ODD: dict[str, bytes] = {
    "no delivery info": changed("properties", "delivery_info", to={}),
    "a delivery tag that is a number": changed("properties", "delivery_tag", to=5),
    "a priority that is no number": changed("properties", "priority", to="x"),
    "an id with a line break": changed("headers", "id", to="a\r\nb"),
    "an id of 1 MB": changed("headers", "id", to="x" * 2**20),
    "an id that is a number": changed("headers", "id", to=5),
    "an unknown content encoding": changed("content-encoding", to="zip"),
    "a body that is plain text": json.dumps(
        {
            **envelope(properties={"body_encoding": None}),
            "body": json.dumps([["changed"], {}, None]),
        }
    ).encode(),
    "a body that is compressed": with_body(
        zlib.compress(json.dumps([["changed"], {}, {}]).encode()), headers={"compression": "zlib"}
    ),
    "a body with arguments as an object": item(body={"args": ["changed"], "kwargs": {}}),
    "protocol 1": protocol_1(args=["changed"]),
    "endless time limits": changed("headers", "timelimit", to=[float("inf"), None]),
    "a header nobody knows": changed("headers", "x-nobody", to=[{"a": [1]}]),
}
"""What a task is executed of all the same, with the argument ``changed``."""
