"""Random nests of additions, items and child runs, and what they leave in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from pydantic import BaseModel

from gostage_core import Action, ActionContext, ForEach, RunWorkflow, Stage, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sprout(BaseModel):
    """One action: what it adds behind itself, and what it has done for each of two items."""

    name: str
    adds: tuple[Sprout, ...] = ()
    each: tuple[Sprout, ...] = ()
    below: tuple[Sprout, ...] = ()
    """What it has done in a child run."""


class Grow(Action):
    """Note its name, count itself, and add what it is told to."""

    sprout: Sprout

    def execute(self, ctx: ActionContext) -> None:
        mark = "" if ctx.index is None else f".{ctx.index}"
        ctx.store.append("log", self.sprout.name + mark)
        ctx.store.increment("count")
        ctx.add_action(*actions_of(self.sprout))


def actions_of(sprout: Sprout) -> list[Action]:
    """Return what *sprout* adds behind itself, in order."""
    added: list[Action] = [Grow(sprout=one) for one in sprout.adds]
    if sprout.each:
        added.append(ForEach("pair", *(Grow(sprout=one) for one in sprout.each)))
    if sprout.below:
        workflow = Workflow("below")
        workflow.add_stage(Stage("s", [Grow(sprout=one) for one in sprout.below], parallel=True))
        key = f"count.{sprout.name}"
        added.append(
            RunWorkflow(workflow, give={"pair": "pair"}, take={key: "count"}).options(
                name=f"run-{sprout.name}"
            )
        )
    return added


@dataclass
class Expected:
    """What is left in the end."""

    log: list[str]
    count: int
    below: dict[str, int]
    """What each child run counted."""


def expected(sprouts: tuple[Sprout, ...]) -> Expected:
    """Do it all in plan order, one after another."""
    log = [word for sprout in sprouts for word in _log(sprout, "")]
    below = {
        f"count.{sprout.name}": sum(map(_count, sprout.below))
        for top in sprouts
        for sprout in _here(top)
        if sprout.below
    }
    return Expected(log, sum(map(_count, sprouts)), below)


def _log(sprout: Sprout, mark: str) -> Iterator[str]:
    yield sprout.name + mark
    for one in sprout.adds:
        yield from _log(one, mark)
    if sprout.each:
        for item in range(2):
            for one in sprout.each:
                yield from _log(one, f".{item}")


def _count(sprout: Sprout) -> int:
    return 1 + sum(map(_count, sprout.adds)) + 2 * sum(map(_count, sprout.each))


def _here(sprout: Sprout) -> Iterator[Sprout]:
    """Everything that belongs to the same run."""
    yield sprout
    for one in (*sprout.adds, *sprout.each):
        yield from _here(one)


def _named(sprouts: list[Sprout], prefix: str = "n") -> tuple[Sprout, ...]:
    return tuple(
        sprout.model_copy(
            update={
                "name": f"{prefix}{i}",
                "adds": _named(list(sprout.adds), f"{prefix}{i}a"),
                "each": _named(list(sprout.each), f"{prefix}{i}e"),
                "below": _named(list(sprout.below), f"{prefix}{i}b"),
            }
        )
        for i, sprout in enumerate(sprouts)
    )


_leaves = st.just(Sprout(name=""))
_few = st.recursive(
    _leaves,
    lambda inner: st.builds(
        Sprout,
        name=st.just(""),
        adds=st.lists(inner, max_size=2).map(tuple),
        each=st.lists(inner, max_size=2).map(tuple),
        below=st.lists(inner, max_size=2).map(tuple),
    ),
    max_leaves=8,
)
sprouts = st.lists(_few, min_size=1, max_size=3).map(_named)
"""Up to three actions, nested a few levels deep in every way, each with a name of its own."""
