"""Requests of workers to the server, in words: ``the commit of pay/charge (attempt 1)``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from gostage_core.state import scripts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gostage_core.testing.memory import MemoryServer
    from gostage_core.testing.memory.faults import Words

_WRITES: Final = {
    "checkpoint": "the checkpoint of {}",
    "claim": "the claim of {}",
    "commit": "the commit of {}",
    "control": "the heartbeat of {}",
    "fail": "the failure of {}",
    "note": "the note on {}",
    "release": "the return of {}",
    "remember": "the keeping of once {what!r} in {}",
    "say": "the message of {}",
    "wait": "the wait of {}",
}
"""What changes something on the server."""
_READS: Final = {"read": "the reading of the store in {}"}
_OTHER_READ: Final = "the look of {} at its run"
_WHAT: Final = 5
"""Which argument of ``remember`` says what is kept, behind a letter for its kind."""
_ARGUMENTS: Final = 4
"""Where the arguments of a script begin in a request."""


class Request(NamedTuple):
    """What a worker asks of the server."""

    name: str
    writes: bool
    """Whether it changes anything there."""


def request_of(request: Sequence[Words], place: str) -> Request:
    """Return what *request* is, of an attempt at *place*."""
    script, what = _script(request[0])
    if len(request) > 1 or script is None:
        return Request(_OTHER_READ.format(place), writes=False)
    if script in _READS:
        return Request(_READS[script].format(place), writes=False)
    return Request(_WRITES[script].format(place, what=what), writes=True)


def load_scripts(server: MemoryServer) -> None:
    """Make the scripts of attempts known to *server*, so that none is sent in the midst of one."""
    for name in (*_WRITES, *_READS):
        server.execute([b"SCRIPT", b"LOAD", scripts.source(name).encode()])


@cache
def _names() -> Mapping[bytes, str]:
    return {scripts.digest(name).encode(): name for name in (*_WRITES, *_READS)}


def _script(words: Words) -> tuple[str | None, str]:
    """Return the script that a command runs, and what it is to keep."""
    if words[0] != b"EVALSHA":
        return None, ""
    name = _names().get(words[1])
    what = words[_ARGUMENTS + _WHAT - 1].decode()[1:] if name == "remember" else ""
    return name, what
