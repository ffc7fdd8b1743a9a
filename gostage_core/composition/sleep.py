"""``Sleep``: time passes, and no worker is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from gostage_core.authoring.definition_fields import Delay
from gostage_core.authoring.waits import Timer
from gostage_core.composition.composite import Composite
from gostage_core.duration import seconds as seconds_of
from gostage_core.errors import InvalidActionError

if TYPE_CHECKING:
    from gostage_core.authoring.waits import Wait
    from gostage_core.context import ActionContext
    from gostage_core.duration import Duration

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0


class Sleep(Composite, id="gostage.Sleep"):
    """Lets time pass before the run goes on; nothing of it runs or is held meanwhile.

    It costs one entry of a sorted set, for whatever time. It ends within about half a second of its
    time, by the server's clock, and outlasts every restart.
    """

    seconds: Delay = Field(gt=0)
    """How long, in seconds."""

    def __init__(
        self,
        duration: Duration = 0,
        /,
        *,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
    ) -> None:
        """Bind it: ``Sleep("5m")``, ``Sleep(90)`` or ``Sleep(hours=1, minutes=30)``.

        Raises:
            InvalidActionError: the sum is not more than nothing and at most 366 days.
        """
        try:
            total = seconds_of(duration) + seconds + minutes * _MINUTE + hours * _HOUR + days * _DAY
            total = seconds_of(total)
        except (TypeError, ValueError) as error:
            raise InvalidActionError(f"Sleep: {error}") from None
        super().__init__(seconds=total)

    def execute(self, ctx: ActionContext) -> Wait | None:
        """Wait for the time; then go on."""
        return None if ctx.phase else Timer(self.seconds)
