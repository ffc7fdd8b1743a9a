"""Other Celery tasks, as an engine in memory has them: recorded, and answered by the test."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from gostage_core.broker.tagged import untagged
from gostage_core.composition.task_end import failed, succeeded, waiting_entry
from gostage_core.errors import InvalidActionError, TrialError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gostage_core.state.operations import State
    from gostage_core.testing.engine.post import Post

    Fakes = Mapping[str, Callable[..., object]]


@dataclass(frozen=True, slots=True, eq=False)
class PublishedTask:
    """A message of a Celery task that an action has published."""

    name: str
    """The registered name of the task."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    """What else was said of the message, as ``apply_async`` takes it."""
    answer_to: str = ""
    """What waits for its end; empty where nothing does."""

    @property
    def task_id(self) -> str:
        """The id of the task: the same for every try of a ``CeleryTask``."""
        return str(self.options.get("task_id", ""))

    @property
    def run_id(self) -> str:
        """The run that waits for its end; empty where none does."""
        place = waiting_entry(self.answer_to)
        return place.run_id if place else ""


class Tasks:
    """The messages of other tasks in one engine, and their ends."""

    def __init__(self, state: State, post: Post, fakes: Fakes) -> None:
        """Have *fakes* called for tasks of their names."""
        self.published: list[PublishedTask] = []
        self._state = state
        self._post = post
        self._fakes = dict(fakes)
        self._to_do: deque[PublishedTask] = deque()
        self._ended: set[PublishedTask] = set()

    def publish(
        self,
        name: str,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
        *,
        answer_to: str = "",
        **options: Any,
    ) -> None:
        """Record a message, as a worker would publish it.

        Raises:
            InvalidActionError: no message can hold its arguments.
        """
        try:
            values, named, options = untagged([list(args), dict(kwargs or {}), options])
        except (TypeError, ValueError) as error:
            raise InvalidActionError(f"task {name}: {error}") from error
        task = PublishedTask(name, tuple(values), named, options, answer_to)
        self.published.append(task)
        if name in self._fakes:
            self._to_do.append(task)

    def do_next(self) -> bool:
        """Have the next task done that there is a fake for; tell whether there was one."""
        if not self._to_do:
            return False
        task = self._to_do.popleft()
        try:
            result = self._fakes[task.name](*task.args, **task.kwargs)
        except Exception as error:  # noqa: BLE001 - whatever a task raises is its failure
            self.fail(task, error)
        else:
            self.finish(task, result)
        return True

    def finish(self, task: PublishedTask | str, result: object) -> None:
        """Bring what a task returned to who waits for it."""
        self._deliver(task, succeeded(result, self._state.settings.max_value_bytes))

    def fail(self, task: PublishedTask | str, error: BaseException) -> None:
        """Bring what a task failed with."""
        trace = "".join(format_exception(error))
        self._deliver(task, failed(type(error).__qualname__, str(error), trace))

    def _deliver(self, which: PublishedTask | str, text: str) -> None:
        task = self._waiting(which) if isinstance(which, str) else which
        self._ended.add(task)
        place = waiting_entry(task.answer_to)
        if place is not None:
            answer = self._state.deliver(place.run_id, place.entry, task.answer_to, text)
            self._post.send(place.run_id, answer.next)

    def _waiting(self, name: str) -> PublishedTask:
        """Return the oldest task of this name that has not ended yet."""
        for task in self.published:
            if task.name == name and task not in self._ended:
                return task
        names = sorted({task.name for task in self.published if task not in self._ended})
        known = f"those that wait are {', '.join(names)}" if names else "none waits"
        raise TrialError(f"no task {name!r} has been published that waits for its end; {known}")
