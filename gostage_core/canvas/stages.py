"""Writes what a canvas is made of as the stages of a workflow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.stage import Stage
from gostage_core.canvas.parts import Call, Line, Sides, takes_a_result
from gostage_core.canvas.reading import read
from gostage_core.composition.canvas_parts import CanvasGroup, Gather
from gostage_core.composition.celery_task import CeleryTask
from gostage_core.errors import CanvasError, InvalidActionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.authoring.action import Action
    from gostage_core.canvas.parts import Part
    from gostage_core.duration import Duration

    Source = str | list["Source"]

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.:-]+")
_NAMED: Final = 3
"""So many tasks are named in the id of a stage; of more, the first and the last."""


def stages_of(canvas: object, *, store_as: str, timeout: Duration | None) -> list[Stage]:
    """Return *canvas*, a signature, as stages; its result is written under *store_as*.

    Raises:
        CanvasError: a part that cannot be done by a run; names the part and where it stands.
    """
    return StageWriter(store_as, timeout).write(read(canvas))


class StageWriter:
    """Makes the stages. A result that is used lies in the store under the path of its task."""

    def __init__(self, store_as: str, timeout: Duration | None) -> None:
        self._store_as = store_as
        self._timeout = timeout
        self._stages: list[Stage] = []

    def write(self, part: Part) -> list[Stage]:
        """Return the stages for a whole canvas, whose result is written under ``store_as``."""
        given: Source | None = None
        line = list(flat(part))
        waiting: list[tuple[str, Action]] = []
        for one, wanted in zip(line, wants(line, last=True), strict=True):
            is_last = one is line[-1]
            if isinstance(one, Sides):
                self._sequence(waiting)
                given = self._side_by_side(one, given, wanted=wanted)
            else:
                key = self._store_as if is_last else one.path
                waiting.append((one.name, self._task(one, given, key if wanted else None)))
                given = key
        if isinstance(line[-1], Sides):
            waiting.append(("result", Gather(given or [], store_as=self._store_as)))
        self._sequence(waiting)
        return self._stages

    def _sequence(self, waiting: list[tuple[str, Action]]) -> None:
        """Put the actions that wait for it into a stage."""
        if waiting:
            names = [name for name, _ in waiting]
            label = "-".join(names) if len(names) <= _NAMED else f"{names[0]}..{names[-1]}"
            self._stages.append(Stage(self._id(label), [action for _, action in waiting]))
            waiting.clear()

    def _side_by_side(self, sides: Sides, given: Source | None, *, wanted: bool) -> Source:
        actions: list[Action] = []
        sources: list[Source] = []
        for member in sides.members:
            sequence, source = self._actions(member, given, wanted=wanted)
            actions += sequence if len(sequence) == 1 else [_nested(member, sequence)]
            sources.append(source)
        if actions:
            stage = Stage(self._id("group"), actions, parallel=True, on_failure="wait_all")
            self._stages.append(stage)
        return sources

    def _actions(
        self, part: Part, given: Source | None, *, wanted: bool
    ) -> tuple[list[Action], Source]:
        """Return a part that lies in another one as actions, and where its result will be."""
        actions: list[Action] = []
        line = list(flat(part))
        for one, needed in zip(line, wants(line, last=wanted), strict=True):
            if isinstance(one, Call):
                actions.append(self._task(one, given, one.path if needed else None))
                given = one.path
                continue
            below = [self._actions(member, given, wanted=needed) for member in one.members]
            if below:
                actions.append(_nested(one, *(sequence for sequence, _ in below)))
            given = [source for _, source in below]
        return actions, [] if given is None else given

    def _task(self, call: Call, given: Source | None, key: str | None) -> Action:
        takes = given is not None and not call.immutable
        place = call.path if call.path == call.task else f"{call.path} ({call.task})"
        try:
            task = CeleryTask(
                call.task,
                args=call.args,
                kwargs=call.kwargs,
                give={0: given} if takes else None,
                timeout=self._timeout,
                queue=call.queue,
                store_as=key,
                **call.message,
            )
            return task.options(description=place)
        except InvalidActionError as error:
            raise CanvasError(place, str(error)) from error

    def _id(self, label: str) -> str:
        return f"{len(self._stages) + 1}-{_UNSAFE.sub('_', label)[:100]}"


def flat(part: Part) -> Iterator[Call | Sides]:
    """Yield what comes one after another in *part*."""
    if isinstance(part, Line):
        for one in part.parts:
            yield from flat(one)
    else:
        yield part


def wants(line: Sequence[Call | Sides], *, last: bool) -> list[bool]:
    """Tell of each part whether somebody wants its result; *last* says it of the last one."""
    return [*(takes_a_result(following) for following in line[1:]), last]


def _nested(part: Part, *members: Sequence[Action]) -> Action:
    kind = "group" if isinstance(part, Sides) else "chain"
    return CanvasGroup(*members).options(name=kind, description=part.path)
