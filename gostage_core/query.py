"""Finds runs in the indexes, the youngest first."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, cast

from gostage_core.errors import CorruptRunError, RunNotFoundError
from gostage_core.naming import fault_of
from gostage_core.source import texts_of
from gostage_core.state.client import our_errors
from gostage_core.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from gostage_core.sealing.vault import Vault
    from gostage_core.state.operations import State
    from gostage_core.status import RunStatus
    from gostage_core.summary import RunSummary

logger: Final = logging.getLogger(__name__)

_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Conditions on runs; ``None`` asks for nothing."""

    status: RunStatus | str | None = None
    workflow: str | None = None
    tag: str | None = None
    since: datetime | None = None
    """Submitted then or later."""
    before: datetime | None = None
    """Submitted earlier than that."""

    def answered_by(self, summary: RunSummary) -> bool:
        """Tell whether a run answers every condition."""
        return (
            (self.status is None or summary.status == str(self.status))
            and (self.workflow is None or summary.workflow == self.workflow)
            and (self.tag is None or self.tag in summary.tags)
            and (self.before is None or summary.submitted_at < self.before.astimezone(UTC))
        )

    def is_past(self, summary: RunSummary) -> bool:
        """Tell whether no run that was submitted earlier answers."""
        return self.since is not None and summary.submitted_at < self.since.astimezone(UTC)


def matching(state: State, query: RunQuery, cursor: str | None = None) -> Iterator[RunSummary]:
    """Yield the runs that answer *query*, the youngest first, from behind *cursor* on.

    Raises:
        RunNotFoundError: the run of *cursor* is not there any more.
    """
    words = (query.status, query.workflow, query.tag)
    if any(word is not None and fault_of(str(word)) for word in words):
        return  # nothing can be called so
    for summary in _from(state, _index(state, query), cursor):
        if query.is_past(summary):
            return
        if query.answered_by(summary):
            yield summary


def _index(state: State, query: RunQuery) -> str:
    """Return the index that is likely to be the shortest."""
    if query.tag is not None:
        return state.keys.of("tag", query.tag)
    if query.workflow is not None:
        return state.keys.of("workflow", query.workflow)
    if query.status is not None:
        return state.keys.of("status", str(query.status))
    return state.keys.of("runs")


def _from(state: State, index: str, cursor: str | None) -> Iterator[RunSummary]:
    """Yield the runs of an index, the youngest first, from behind *cursor* on."""
    client = state.client
    with our_errors(url=state.settings.redis_url):
        start = 0
        if cursor is not None:
            rank = cast("int | None", client.zrevrank(index, cursor))
            if rank is None:
                raise RunNotFoundError(cursor)
            start = rank + 1
        while ids := cast("list[bytes]", client.zrevrange(index, start, start + _PAGE - 1)):
            pipeline = client.pipeline(transaction=False)
            names = [run_id.decode("utf-8", "surrogateescape") for run_id in ids]
            for run_id in names:
                pipeline.hgetall(state.keys.of("run", run_id))
            headers = pipeline.execute(raise_on_error=False)
            yield from _summaries(state.vault, zip(names, headers, strict=True))
            start += _PAGE


def _summaries(vault: Vault, headers: Iterable[tuple[str, Any]]) -> Iterator[RunSummary]:
    """Yield what can be read: a damaged run does not hide the others, and tells when asked for."""
    for run_id, header in headers:
        if header == {}:
            continue
        try:
            if isinstance(header, Exception):
                raise CorruptRunError(run_id, str(header))
            yield summary_of(run_id, vault.header(run_id, texts_of(header)))
        except CorruptRunError as error:
            logger.warning("%s; it is not listed", error)
