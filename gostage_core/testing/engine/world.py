"""What goes on in an engine in memory: messages, what falls due, and the passing of time."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from gostage_core.errors import RunStuckError
from gostage_core.replies import send_reply
from gostage_core.rescuer import Rescuer
from gostage_core.run import Run
from gostage_core.scheduling.firing import Firing
from gostage_core.testing.engine.timeline import Timeline, is_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gostage_core.state.operations import State
    from gostage_core.testing.engine.clock import HeldClock
    from gostage_core.testing.engine.crew import Crew, Worker
    from gostage_core.testing.engine.listening import InlineListening
    from gostage_core.testing.engine.post import Hint, Post
    from gostage_core.testing.engine.tasks import Tasks

_SECOND: Final = 1_000_000
_LONGEST_RECOVERY: Final = 60 * _SECOND
"""A worker's death is got over within so much time, in microseconds."""
_MOST_FRUITLESS: Final = 1_000
"""So often time goes on to what falls due elsewhere, for a run that none of it changes."""
_MOST_RELEASES: Final = 3
"""So often an action is left to workers that know it, before it is clear that none does."""


class World:
    """All that is outside of a test's own hands. For the thread that made its server."""

    def __init__(
        self,
        state: State,
        clock: HeldClock,
        post: Post,
        crew: Crew,
        tasks: Tasks,
        listening: InlineListening,
    ) -> None:
        """Begin with nothing under way."""
        self.state = state
        self.crew = crew
        self._clock = clock
        self._post = post
        self._tasks = tasks
        self._listening = listening
        self._timeline = Timeline(state, lambda: crew.living)
        reply, fire = partial(send_reply, state), Firing(state, post.send).fire
        self._rescuer = Rescuer(state, post, post.depth, reply, fire)
        self._left: Counter[tuple[str, str]] = Counter()
        self._awaited: tuple[str, int] = ("", 0)
        self._fruitless = 0
        self._renew()

    def settle(self) -> None:
        """Do what can be done now, and take up again what a death or a loss holds up."""
        self._listening.look()
        latest = self._clock.microseconds + _LONGEST_RECOVERY
        while self._step() or self._pass_until(self._timeline.next_recovery(), latest):
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass, with all that falls due meanwhile, one after another."""
        end = self._clock.microseconds + round(seconds * _SECOND)
        self._listening.look()
        while self._step() or self._pass_until(self._timeline.next_of_all(), end):
            pass
        self._move_to(end)
        while self._step():
            pass

    def go_on(self, channels: Sequence[str], seconds: float) -> None:
        """Do one thing for who waits on *channels*; where there is none, let time pass.

        Raises:
            RunStuckError: nothing is to come for the run, and *seconds* have no end.
        """
        if self._step():
            return
        latest = self._clock.microseconds + seconds * _SECOND
        has_passed = self._pass_until(self._timeline.next(), latest)
        if math.isfinite(latest):
            if not has_passed:
                self._move_to(round(latest))
            return
        run_id = self._run_of(channels)
        if not has_passed or self._goes_on_for_ever(run_id):
            why = Run(self.state, run_id).why()
            raise RunStuckError(run_id, f"is {why.status}: {why.text}")

    def hand_over(self, hint: Hint) -> None:
        """Give a message to a worker that is free."""
        ended = self.crew.free().attempt(hint)
        if ended is None:
            return
        place = (hint.run_id, hint.entry)
        self._left[place] = self._left[place] + 1 if ended.word == "released" else 0
        self._post.go_on(hint, ended.next)

    def freeze(self, worker: Worker, seconds: float) -> None:
        """Let *worker* stand still in what it does, while time passes and others go on."""
        worker.is_frozen = True
        try:
            self.advance(seconds)
        finally:
            worker.is_frozen = False

    def _step(self) -> bool:
        """Do one thing that can be done now, and tell whether there was any."""
        if self._post.hints:
            hint = self._post.hints.popleft()
            for _ in range(self.crew.deliveries(hint)):
                self.hand_over(hint)
        elif not self._tasks.do_next():
            due = self._timeline.next_of_all()
            if due is None or due > self._clock.milliseconds:
                return False
            self._rescuer.tick()
        self._listening.look()
        return True

    def _pass_until(self, moment: int | None, latest: float) -> bool:
        """Let time pass until then, unless that is too late; tell whether it has."""
        if moment is None or moment * 1_000 > latest:
            return False
        self._move_to(moment * 1_000)
        return True

    def _move_to(self, microseconds: int) -> None:
        self._clock.move_to(microseconds)
        self._renew()

    def _renew(self) -> None:
        """Keep the leases of the living, as their main processes do all the time."""
        self.state.renew(self.crew.living)

    def _run_of(self, channels: Sequence[str]) -> str:
        prefix = self.state.keys.of("events", "")
        return next((one.removeprefix(prefix) for one in channels if one.startswith(prefix)), "")

    def _goes_on_for_ever(self, run_id: str) -> bool:
        """Tell whether time goes on again and again for a run that nothing of it will change."""
        if any(n >= _MOST_RELEASES and is_of(run_id, one) for (one, _), n in self._left.items()):
            return True
        length = self.state.client.llen(self.state.keys.of("journal", run_id))
        standing = (run_id, int(length))
        self._fruitless = self._fruitless + 1 if standing == self._awaited else 0
        self._awaited = standing
        if self._fruitless < _MOST_FRUITLESS:
            return False
        self._fruitless = 0
        return not self._timeline.has_timer_of(run_id)
