"""Every key that gostage keeps in Redis, spelt once, for Python and for the scripts."""

from __future__ import annotations

import re
from typing import Final

from gostage_core.errors import ConfigurationError, InvalidKeyError
from gostage_core.naming import check_name

RUN_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""What a run may be called: no space, which parts it from an entry, and no slash."""

SCHEMA: Final = 1
"""The form of what is kept, as the header of each run says it; the scripts have it too."""

_TEMPLATES: Final[dict[str, str]] = {
    # name       key after the prefix      type    content
    "run": "run:%s",  # hash    the run's header: status, definition, counters, error
    "plan": "plan:%s",  # hash    the plan: s spec, c carrier, l links, r record, g stage id
    "live": "live:%s",  # set     entries that are ready, running, sleeping or waiting
    "store": "store:%s",  # hash    key -> encoded value, or L + base for an appended list
    "meta": "meta:%s",  # hash    key -> created|updated|expires|json, only where there is any
    "items": "items:%s/%s",  # list    what was appended to one key (no run id has a /)
    "journal": "journal:%s",  # list    the run's history, one JSON array an entry
    "messages": "messages:%s",  # list    what its actions have sent, one JSON array a message
    "inbox": "inbox:%s",  # hash    signals that it has got, and who waits for which
    "undo": "undo:%s",  # list    how what has completed is undone, one JSON array an action
    "left": "left:%s",  # hash    series of the numbers -> how much of it the run has to do
    "past": "past:%s",  # list    what the store had before, one JSON array an operation
    "wake": "wake",  # zset    "run entry" -> when somebody must look at it (ms)
    "sent": "sent",  # zset    "run entry" whose message is out -> when to look for it (ms)
    "alive": "alive",  # zset    process -> until when its leases are good (ms)
    "doomed": "doomed",  # hash    process -> "slot run entry" that is to be stopped
    "beat": "beat",  # string  when a rescuer last ticked (ms)
    "claims": "claims:%s",  # hash    of one process: slot -> "run entry"
    "marks": "marks",  # hash    queue -> send time of the youngest hint that was taken from it
    "numbers": "numbers",  # hash    what include/counting.lua counts, by workflow and action
    "keys": "keys",  # hash    idempotency key -> run id
    "runs": "runs",  # zset    run id -> submitted at (ms)
    "status": "status:%s",  # zset    the same, by status
    "workflow": "workflow:%s",  # zset    the same, by workflow id
    "tag": "tag:%s",  # zset    the same, by tag
    "throttles": "throttles",  # set     keys of throttles that anything has to do with
    "throttle": "throttle:%s",  # hash    of one: numbers that an operator set, turns of its line
    "inside": "inside:%s",  # set     "run entry" that is within the throttle; a run is its entry 0
    "invited": "invited:%s",  # set     the same, for what a place within it is kept
    "line": "line:%s",  # zset    the same, that waits for a place -> its turn
    "starts": "starts:%s",  # list    when the last ones began within it (ms)
    "refill": "refill",  # zset    throttle -> when it may have room (ms)
    "schedules": "schedules",  # zset    schedule -> when it is due next (ms)
    "schedule": "schedule:%s",  # hash    of one schedule: what, when, and what became of it
    "expiry": "expiry",  # zset    ended run -> when its retention ends (ms)
    "events": "events:%s",  # channel journal length of a run, published as it grows
}

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Keys:
    """The keys of one namespace.

    All of a namespace lies in one hash slot (the braces), so that an atomic operation may touch a
    run, the indexes and the timers together.
    """

    def __init__(self, namespace: str) -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise ConfigurationError(
                f"GOSTAGE_NAMESPACE {namespace!r:.80} is not 1 to 64 of A-Z a-z 0-9 _ . -"
            )
        self.namespace = namespace
        self.prefix = f"{{{namespace}}}:"

    def of(self, name: str, *parts: str) -> str:
        """Return the key called *name* (a key of the table above) for *parts*."""
        return self.prefix + (_TEMPLATES[name] % parts if parts else _TEMPLATES[name])

    def checked_foreign(self, key: str) -> str:
        """Return a *key* that somebody else has named, if it is none of ours.

        Raises:
            InvalidKeyError: it is, or no text of 1 to 200 characters in one line.
        """
        check_name(key)
        if key.startswith(self.prefix) or key == self.namespace:
            raise InvalidKeyError(f"{key!r} is a key of gostage itself; name another one")
        return key


def escaped(text: str) -> str:
    """Return *text* as a pattern of SCAN that matches nothing else."""
    return "".join(f"\\{c}" if c in "\\*?[]" else c for c in text)


_IN_LUA: Final = re.compile(r"K\.(?P<name>\w+)\((?P<arguments>[^()]*)\)")


def spell_in_lua(text: str) -> str:
    """Return the Lua *text* with each ``K.name(argument, …)`` spelt out over the prefix.

    Spelt out and not called: a script is read anew at each call, and a table of functions costs
    more than all else that it does.
    """
    return _IN_LUA.sub(_spelt, text)


def _spelt(match: re.Match[str]) -> str:
    pieces = _TEMPLATES[match["name"]].split("%s")
    arguments = [part.strip() for part in match["arguments"].split(",") if part.strip()]
    parts = ["ARGV[1]", f'"{pieces[0]}"']
    for argument, piece in zip(arguments, pieces[1:], strict=True):
        parts += [argument, f'"{piece}"'] if piece else [argument]
    return f"({' .. '.join(parts)})"
