"""Makes schedules: checks what one says, and writes it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from gostage_core.authoring.definition_fields import LONGEST_ID
from gostage_core.authoring.problems import listing, problem_lines
from gostage_core.errors import InvalidScheduleError, ScheduleError, ScheduleExistsError
from gostage_core.plan import check_plan_size
from gostage_core.scheduling.plan import Options, Policy, following
from gostage_core.scheduling.schedule import read_schedule
from gostage_core.scheduling.timing import Timing
from gostage_core.state.keys import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gostage_core.authoring.definition import WorkflowDefinition
    from gostage_core.state.operations import State

_LONGEST_NAME: Final = 100


def make_schedule(
    state: State,
    name: str,
    definition: WorkflowDefinition,
    *,
    timing: Mapping[str, Any],
    policy: Mapping[str, Any],
    options: Mapping[str, Any],
    paused: bool,
    replace: bool,
    actor: str,
) -> None:
    """Write a schedule.

    Raises:
        InvalidScheduleError: something of it cannot be; the message names it.
        ScheduleExistsError: there is one of this name, which is not to be replaced.
        ValueTooLargeError: the workflow is larger than ``GOSTAGE_MAX_PLAN_BYTES``.
    """
    _check_name(name)
    text, limit = definition.to_json(), state.settings.max_plan_bytes
    check_plan_size(f"workflow {definition.id!r}", [text], limit)
    try:
        when, how = Timing(**timing), Policy(**policy)
        what = Options(**options, actor=actor)
    except ValidationError as error:
        lines = [line.removeprefix("the whole: ") for line in problem_lines(error, "")]
        raise InvalidScheduleError(name, listing(lines)) from error
    when, due = _begun(state, name, when, replace=replace)
    word = state.schedule(
        name,
        replace=replace,
        nonce=state.machine.token(),
        due=due,
        timing=when.model_dump_json(),
        policy=how.model_dump_json(),
        definition=text,
        options=what.model_dump_json(),
        paused=json.dumps({"actor": actor, "reason": "from the start"}) if paused else "",
    )
    if word == "exists":
        raise ScheduleExistsError(name)


def _check_name(name: str) -> None:
    if not RUN_ID.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InvalidScheduleError(
            name[:LONGEST_ID], f"a name is 1 to {_LONGEST_NAME} of A-Z a-z 0-9 _ . : -"
        )


def _begun(state: State, name: str, timing: Timing, *, replace: bool) -> tuple[Timing, int]:
    """Return *timing* with what its intervals are counted from, and when it is due first.

    A schedule that is put in place of one with the same times is due when that one was: who does so
    at each deployment is not to move them on and on.
    """
    now = state.server_ms()
    with suppress(ScheduleError):
        old = read_schedule(state, name) if replace else None
        if old is not None and old.timing.model_copy(update={"anchor": 0}) == timing:
            return old.timing, old.due if old.paused is None else old.following(now)
    begun = timing.model_copy(update={"anchor": now})
    return begun, following(begun, now)
