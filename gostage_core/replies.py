"""What a producer gets on the list that it names: the result of its run, or why there is none.

Where values are encrypted, all but the run's id and its status are in the field ``~``, an envelope
as ``sealing/cipher.py`` writes it. Bound to it is JSON without spaces, in ASCII: ``["gostage",1,
namespace,run id,"document",clear]``. There ``clear`` is a text: the other fields as JSON, likewise,
sorted by name. Of a refused submit that named no run id, the run id is empty.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gostage_core.run import Run
from gostage_core.source import RedisSource
from gostage_core.state.stored import whole

if TYPE_CHECKING:
    from gostage_core.state.operations import State


def send_reply(state: State, run_id: str) -> None:
    """Put the result of a run that has ended onto the lists that are to get it, once each.

    Raises:
        SealedValueError: it is encrypted, and this process does not have its key.
    """
    source = RedisSource(state, run_id)
    source.check_keys()
    result = Run(state, run_id).result()
    error = result.error
    head = {
        "run_id": run_id,
        "status": str(result.status),
        "error": error
        and {"type": error.type, "message": error.message, "path": error.path, "text": str(error)},
        "bail_reason": result.bail_reason,
    }
    values = source.dump()
    # What the store holds is JSON text already.
    store = (f"{json.dumps(key)}: {whole(one).decode()}" for key, one in sorted(values.items()))
    state.reply(run_id, f'{json.dumps(head)[:-1]}, "store": {{{", ".join(store)}}}}}')


def refusal(run_id: str | None, error: Exception) -> str:
    """Return what the list gets of a definition that could not be submitted."""
    return json.dumps(
        {
            "run_id": run_id,
            "status": "refused",
            "error": {"type": type(error).__qualname__, "message": str(error)},
        }
    )
