"""What worlds are about: how each theme is made frequent, and how it is known to have come up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from tests.simulation.stories import Deed, Part, Story


@dataclass(frozen=True)
class Theme:
    """One thing that runs do, or that is done to them."""

    favours: str = ""
    """The kind or the trait of deeds, or what operators do, that is frequent in such a world."""
    answers: tuple[str, ...] = ()
    """The answers of operations that show it; where there are none, the deeds of a story do."""
    is_wild: bool = False
    """Whether it comes up in wild worlds alone."""


THEMES: Final = {
    "wait": Theme("await"),
    "sleep": Theme("sleep"),
    "child": Theme("run"),
    "each": Theme("each"),
    "branch": Theme("branch"),
    "repeat": Theme("repeat"),
    "growth": Theme("adds"),
    "concurrency": Theme("two"),
    "rate": Theme("slow"),
    "once": Theme("once"),
    "undo": Theme("undo", ("compensate: compensating",)),
    "throttle": Theme("throttle", ("claim: throttled",)),
    "signal": Theme("await", ("signal: consumed",)),
    "pause": Theme("pause", ("pause: paused",), is_wild=True),
    "resume": Theme("resume", ("resume: resumed",), is_wild=True),
    "cancel": Theme("cancel", ("halt: halted",), is_wild=True),
    "retry": Theme("retry", ("retry: retried",), is_wild=True),
    "fork": Theme("fork", ("fork: created",), is_wild=True),
    "edit": Theme("edit", ("edit: applied",), is_wild=True),
    "delete": Theme("delete", ("purge: purged",), is_wild=True),
    "schedule": Theme("schedule", ("fire: created",), is_wild=True),
    "deadline": Theme("deadline", is_wild=True),
    "join": Theme("join", is_wild=True),
    "reject": Theme("reject", is_wild=True),
    "replace": Theme("replace", is_wild=True),
}
"""By name, in the order in which figures tell them."""

KEYS: Final = ("join", "reject", "replace")


def traits_of(story: Story) -> set[str]:
    """Return what a story is made of, as themes favour it."""
    found = {"deadline"} if story.deadline is not None else set()
    for deed in _all_of(story.parts):
        found |= {deed.kind, deed.throttle}
        found |= {name for name in ("once", "undo", "adds") if getattr(deed, name)}
    return found


def seen(traits: Counter[str], answers: Counter[str]) -> dict[str, int]:
    """Tell how often each theme came up, by the traits of stories and the answers of operations."""
    return {
        name: sum(answers[one] for one in theme.answers) if theme.answers else traits[theme.favours]
        for name, theme in THEMES.items()
    }


def _all_of(parts: Iterable[Part]) -> Iterator[Deed]:
    for part in parts:
        yield from _with_inner(part.deeds)


def _with_inner(deeds: Iterable[Deed]) -> Iterator[Deed]:
    for deed in deeds:
        yield deed
        yield from _with_inner((*deed.inner, *deed.adds))
        yield from _all_of((*deed.parts, *deed.adds_parts))
