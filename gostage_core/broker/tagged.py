"""Values as the JSON that Celery's own serializer makes of them: dates and the like are tagged."""

from __future__ import annotations

import json
from typing import Any

from kombu.exceptions import EncodeError
from kombu.utils.json import dumps, loads


def tagged(value: object) -> Any:
    """Return *value* as JSON values.

    Raises:
        ValueError: something in it cannot be written as JSON.
    """
    try:
        return json.loads(dumps(value))
    except (EncodeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(str(error)) from error


def untagged(value: object) -> Any:
    """Return *value* with what is tagged in it as it was. All else stays as it is.

    Raises:
        ValueError: a tag that Celery's serializer does not know.
    """
    if isinstance(value, list):
        return [untagged(part) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"__type__", "__value__"}:
        return loads(json.dumps(value))
    return {name: untagged(part) for name, part in value.items()}
