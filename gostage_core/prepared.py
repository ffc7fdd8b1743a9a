"""Submits as text: what an outbox keeps until the transaction that asked for them is committed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from gostage_core.authoring.definition import WorkflowDefinition
from gostage_core.authoring.definition_fields import Identifier, StoreKey
from gostage_core.authoring.problems import listing, problem_lines
from gostage_core.authoring.sparse import SparseModel
from gostage_core.errors import CorruptRunError, InvalidWorkflowError
from gostage_core.plan import NewRun, submit_details
from gostage_core.sealing.marks import Document

if TYPE_CHECKING:
    from gostage_core.bounds import Bounds
    from gostage_core.sealing.vault import Vault

_SEALED: Final = ("definition", "store")

_AT_ONCE: Final = 1
"""Milliseconds until a deadline that has passed: none at all would be no deadline."""


class PreparedRun(NamedTuple):
    """A run that is checked and not yet submitted."""

    run_id: str
    """What it will be called; a run that its key has already keeps the name it has."""
    text: str
    """The whole of it as ASCII JSON, for :meth:`Runner.submit_prepared`."""


class _Document(SparseModel):
    """What the text holds."""

    format: Literal[1]
    run_id: Identifier
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    definition: WorkflowDefinition
    key: StoreKey | None = None
    on_conflict: Literal["join", "reject", "replace"] = "join"
    concurrency_key: StoreKey | None = None
    deadline: AwareDatetime | None = None
    reply_to: str = ""
    trace: str = ""
    """The span that it was prepared in."""
    tags: tuple[StoreKey, ...] = ()
    store: dict[StoreKey, str] = Field(default_factory=dict)
    """Values as the codec writes them: text, so that no other reader of JSON can change them."""


def prepared(new: NewRun, vault: Vault, now: datetime | None = None) -> PreparedRun:
    """Return a run that is to be created as text; its deadline counts from *now* on.

    Raises:
        NotStorableError: there is a secret in it, and *vault* has no keys.
    """
    deadline = (now or datetime.now(UTC)) + timedelta(milliseconds=new.deadline_ms)
    document = _Document(
        format=1,
        run_id=new.run_id,
        nonce=new.nonce,
        definition=new.definition,
        key=new.key or None,
        on_conflict=new.on_conflict,
        concurrency_key=new.concurrency_key or None,
        deadline=deadline if new.deadline_ms else None,
        reply_to=new.reply_to,
        trace=new.trace,
        tags=new.tags,
        store={key: value.decode("ascii") for key, value in new.values.items()},
    )
    text = json.dumps(document.model_dump(), default=datetime.isoformat, separators=(",", ":"))
    (sealed,) = vault.sealed(new.run_id, [Document(text, _SEALED)])
    return PreparedRun(new.run_id, str(sealed))


def read_prepared(text: str, bounds: Bounds, vault: Vault, now: datetime | None = None) -> NewRun:
    """Return the run that :func:`prepared` wrote, whatever actions this process knows.

    The actions were checked where it was written; a worker that does not know them leaves them to
    those that do.

    Raises:
        InvalidWorkflowError: it is not such a text; lists every problem with its place.
        SealedValueError: it is sealed with a key that *vault* does not have.
    """
    read = _document(text, vault)
    return NewRun(
        run_id=read.run_id,
        nonce=read.nonce,
        definition=read.definition,
        details=submit_details(read.definition),
        bounds=bounds,
        key=read.key or "",
        on_conflict=read.on_conflict,
        concurrency_key=read.concurrency_key or "",
        deadline_ms=_left_ms(read.deadline, now or datetime.now(UTC)),
        reply_to=read.reply_to,
        trace=read.trace,
        tags=read.tags,
        values={key: value.encode() for key, value in read.store.items()},
    )


def _document(text: str, vault: Vault) -> _Document:
    try:
        # Pydantic's own parser refuses halves of surrogate pairs, which values may have.
        read = json.loads(text)
        if isinstance(read, dict):
            read = vault.fields(str(read.get("run_id")), read, must=True)
        return _Document.model_validate(read)
    except CorruptRunError as error:
        fault = error.detail
    except ValidationError as error:
        fault = listing(problem_lines(error))
    except (ValueError, TypeError, RecursionError) as error:
        fault = f"not JSON: {error}"
    raise InvalidWorkflowError(f"not what prepare() returned: {fault}")


def _left_ms(deadline: datetime | None, now: datetime) -> int:
    if deadline is None:
        return 0
    return max(_AT_ONCE, round((deadline - now) / timedelta(milliseconds=1)))
