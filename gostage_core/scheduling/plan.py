"""A schedule as it is kept: when, what, and what happens when times overlap or were missed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from pydantic import Field

from gostage_core.authoring.definition import WorkflowDefinition
from gostage_core.authoring.definition_fields import Delay, Tags
from gostage_core.authoring.sparse import SparseModel
from gostage_core.errors import CorruptScheduleError
from gostage_core.plan import NewRun
from gostage_core.scheduling.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gostage_core.bounds import Bounds

Overlap = Literal["skip", "queue", "allow", "cancel"]
CatchUp = Literal["last", "all", "none"]

OVERLAPS: Final = get_args(Overlap)
CATCH_UPS: Final = get_args(CatchUp)

LATE_MS: Final = 60_000
"""A time that was missed by no more than this is not missed: workers were slow or restarted."""

MOST_MISSED: Final = 10_000
"""So many missed times of a cron expression are counted at most."""


class Policy(SparseModel):
    """What happens when times overlap, or were missed."""

    overlap: Overlap = "skip"
    """While the last run goes on: leave the time out, put it off until then (one at most), submit
    all the same, or cancel the last run."""

    catch_up: CatchUp = "last"
    """Of times at which no worker was there for more than a minute: the last, all, or none."""

    window: Delay = 86_400.0
    """Seconds; what was missed longer ago is left out, but for the last minute."""


class Options(SparseModel):
    """What each run is submitted with."""

    values: dict[str, str] = Field(default_factory=dict)
    """First values of its store, encoded."""
    tags: Tags = ()
    deadline: Delay | None = None
    concurrency_key: str = ""
    actor: str = "operator"
    """Who made the schedule."""


class Occurrence(SparseModel):
    """The time for which a run is submitted, and what comes after it."""

    at: int
    following: int
    passed: int
    """How many times before it are left out."""
    is_left_out: bool = False
    """Whether it is left out itself."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A schedule, as it stands."""

    name: str
    timing: Timing
    policy: Policy
    options: Options
    definition: WorkflowDefinition
    due: int
    """When it is due next, in ms by the server's clock."""
    paused: Mapping[str, str] | None
    """Who has paused it and why."""
    queued: int | None
    """The time whose run was put off until the last one has ended."""
    last: str
    """The id of the last run; empty before the first."""
    fired_at: int
    fired: int
    skipped: int
    missed: int

    @classmethod
    def read(cls, name: str, fields: Mapping[str, str]) -> Stored:
        """Read a schedule.

        Raises:
            CorruptScheduleError: it is none of ours.
        """
        try:
            return cls(
                name=name,
                timing=Timing.model_validate_json(fields["timing"]),
                policy=Policy.model_validate_json(fields["policy"]),
                options=Options.model_validate_json(fields["options"]),
                definition=WorkflowDefinition.model_validate_json(fields["definition"]),
                due=int(fields["due"]),
                paused=dict(json.loads(fields["paused"])) if "paused" in fields else None,
                queued=int(fields["queued"]) if "queued" in fields else None,
                last=fields.get("last", ""),
                fired_at=int(fields.get("fired_at", 0)),
                fired=int(fields.get("fired", 0)),
                skipped=int(fields.get("skipped", 0)),
                missed=int(fields.get("missed", 0)),
            )
        except (LookupError, ValueError, TypeError, RecursionError) as error:
            raise CorruptScheduleError(name, f"{error!r:.300}") from error

    def occurrence(self, now: int) -> Occurrence | None:
        """Return the time for which a run is due at *now*, if one is."""
        if self.due > now:
            return None
        at = self._wanted(now)
        if at is None or at > now:
            following = self.following(now)
            passed = self.timing.count(self.due, following, MOST_MISSED)
            return Occurrence(at=self.due, following=following, passed=passed, is_left_out=True)
        passed = self.timing.count(self.due, at, MOST_MISSED)
        return Occurrence(at=at, following=self.following(at), passed=passed)

    def _wanted(self, now: int) -> int | None:
        """Return the first time that is not left out; ``None`` where all that have come are."""
        window = LATE_MS if self.policy.catch_up == "none" else round(self.policy.window * 1000)
        oldest = now - max(LATE_MS, window)
        if self.due >= now - LATE_MS:
            return self.due
        if self.policy.catch_up == "all":
            return self.due if self.due >= oldest else self.following(oldest - 1)
        last = self.timing.last(now) or self.due
        return last if last >= oldest else None

    def following(self, ms: int) -> int:
        """Return when it is due after *ms*."""
        return following(self.timing, ms)

    def new_run(
        self, run_id: str, nonce: str, bounds: Bounds, details: Mapping[str, str]
    ) -> NewRun:
        """Return the run that is submitted."""
        options = self.options
        return NewRun(
            run_id=run_id,
            nonce=nonce,
            definition=self.definition,
            details=json.dumps({**details, "workflow": self.definition.id}),
            bounds=bounds,
            concurrency_key=options.concurrency_key,
            deadline_ms=round((options.deadline or 0) * 1000),
            tags=tuple(sorted({*self.definition.tags, *options.tags, tag_of(self.name)})),
            values={key: text.encode("ascii") for key, text in options.values.items()},
        )


NEVER: Final = 253_402_300_799_000
"""The end of the year 9999: what is due then is due never."""


def following(timing: Timing, ms: int) -> int:
    """Return when *timing* is due after *ms*."""
    try:
        return timing.after(ms)
    except (StopIteration, OverflowError):  # the calendar ends there too
        return NEVER


def tag_of(name: str) -> str:
    """Return the tag of the runs of a schedule."""
    return f"schedule:{name}"
