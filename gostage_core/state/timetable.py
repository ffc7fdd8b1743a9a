"""The operations on schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gostage_core.sealing.marks import Document
from gostage_core.state.answers import answer_of, text_of
from gostage_core.state.client import our_errors
from gostage_core.state.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gostage_core.state.answers import Answer


class Timetable(Scripted):
    """What is asked of schedules."""

    def schedule(
        self,
        name: str,
        *,
        replace: bool,
        nonce: str,
        due: int,
        timing: str,
        policy: str,
        definition: str,
        options: str,
        paused: str,
    ) -> str:
        """Write a schedule: ``written`` or ``exists``."""
        what = (Document(definition, ("stages", "middleware")), Document(options, ("values",)))
        reply = self._run_shared(
            "schedule", "schedules", name, int(replace), nonce, due, timing, policy,
            *self.vault.sealed(_place(name), what), paused,
        )  # fmt: skip
        return text_of(reply[0])

    def adjust(self, name: str, how: str, details: str, due: int = 0) -> str:
        """Pause, resume or remove a schedule: ``adjusted`` or ``gone``."""
        return text_of(self._run_shared("adjust", "schedules", name, how, details, due)[0])

    def fire(
        self,
        run_id: str,
        name: str,
        *,
        due: int | None,
        at: int = 0,
        following: int = 0,
        passed: int = 0,
        overlap: str = "allow",
        why: str = "{}",
        queued: bool = False,
        run: Sequence[object],
    ) -> Answer:
        """Submit the run *at* a time of a schedule that is *due*, or (``None``) asked for now.

        ``created``, ``skipped``, ``queued``, ``taken``, or ``gone``: another worker has.
        """
        reply = self._run(
            "fire", run_id, self.settings.window, name, "" if due is None else due, at, following,
            passed, overlap, why, int(queued), *run,
        )  # fmt: skip
        return answer_of(reply, "created")

    def scheduled(self, name: str, *, must: bool = False) -> dict[str, str]:
        """Return all that is kept of a schedule; nothing of one that is not there.

        What is sealed and cannot be opened here is left out, unless it *must* be there.

        Raises:
            SealedValueError: it must, and is not.
        """
        with our_errors(url=self.settings.redis_url):
            found: Any = self.client.hgetall(self.keys.of("schedule", name))
        texts = {text_of(field): value for field, value in found.items()}
        for sealed in texts.keys() & {"definition", "options"}:
            blank: dict[str, object] = {"stages": []} if sealed == "definition" else {}
            place = _place(name)
            texts[sealed] = self.vault.document(place, texts[sealed], must=must, blank=blank)
        return {field: text_of(value) for field, value in texts.items()}

    def schedule_names(self) -> list[str]:
        """Return the names of all schedules, sorted."""
        with our_errors(url=self.settings.redis_url):
            found = cast("list[bytes]", self.client.zrange(self.keys.of("schedules"), 0, -1))
        return sorted(map(text_of, found))


def _place(name: str) -> str:
    """Return what is bound to the texts of a schedule where those of runs have the run's id."""
    return f"schedule {name}"  # no run can be called so
