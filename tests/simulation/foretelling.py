"""A plain model of how a story ends: no server, no messages, no crashes, no time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.simulation.stories import Deed, Part, Story

Ends = frozenset[str]
"""How something may end: ``ok``, ``fail``, ``bail``, or ``pass``: failed, and its run goes on.
More than one: its timing decides."""

OK, FAIL, PASS = frozenset({"ok"}), frozenset({"fail"}), frozenset({"pass"})
_STATUS = {"ok": "completed", "fail": "failed", "bail": "bailed"}


@dataclass
class Outcome:
    """How a run ends, as far as that can be told before."""

    statuses: set[str] = field(default_factory=set)
    may: list[str] = field(default_factory=list)
    """The paths of acts that may be committed, in plan order."""
    must: set[str] = field(default_factory=set)
    """Those that are committed for certain."""
    counted: set[str] = field(default_factory=set)
    """Those that count, for nothing is done beside them."""
    below: dict[str, int] = field(default_factory=dict)
    """How many acts of a run below are committed, where that is certain."""
    plan: list[tuple[str, list[str]]] | None = field(default_factory=list)
    """The stages with their own members; ``None`` where that is not certain."""
    is_vague: bool = False
    """Whether what may be committed cannot be told."""


def foretold(story: Story) -> Outcome:
    """Tell how *story* ends."""
    return _of_parts(story.parts)


def _of_parts(parts: Sequence[Part]) -> Outcome:
    teller = _Foretelling()
    ends = teller.parts(parts)
    teller.outcome.statuses = {_STATUS[end] for end in ends}
    return teller.outcome


@dataclass(frozen=True)
class _Crowd:
    """Members that are done side by side."""

    members: tuple[tuple[Deed, ...], ...]
    within: tuple[str, ...]
    join: int | None
    wait_all: bool
    grows: bool
    """Whether some are there only when others have been committed."""


class _Foretelling:
    """Goes through one run in plan order."""

    def __init__(self, stage: str = "") -> None:
        self.outcome = Outcome()
        self._added: list[tuple[Part, bool]] = []
        self._stage = stage

    def parts(self, parts: Sequence[Part]) -> Ends:
        """Go through stages."""
        queue, ends = [(part, True) for part in parts], OK
        while queue:
            part, sure = queue.pop(0)
            self._added = []
            names = [deed.name for deed in part.deeds]
            if "ok" in ends:
                own = self._part(part, names, sure=sure and ends == OK)
                ends = _after(ends, own if sure else own | OK)
            if self.outcome.plan is not None:
                self.outcome.plan.append((part.id, names))
            queue[:0] = self._added
        return ends

    def _part(self, part: Part, names: list[str], *, sure: bool) -> Ends:
        self._stage = part.id
        if not part.parallel:
            return self._sequence(part.deeds, "", names, sure=sure)
        deeds = list(_with_additions(part.deeds))
        names[:] = [deed.name for deed in deeds]
        crowd = _crowd([(deed,) for deed in deeds], [""] * len(deeds), part, len(part.deeds))
        return self._side_by_side(crowd, sure=sure)

    def _sequence(
        self, deeds: Sequence[Deed], within: str, names: list[str] | None = None, *, sure: bool
    ) -> Ends:
        queue, ends, told = list(deeds), OK, []
        while queue:
            deed = queue.pop(0)
            told.append(deed.name)
            if "ok" in ends:
                own = self._deed(deed, within, sure=sure and ends == OK)
                own = _passed(own)
                queue[:0] = deed.adds if deed.succeeds else ()
                self._doubt_plan(bool(deed.adds) and not (sure and ends == OK))
                ends = _after(ends, own)
        if names is not None:
            names[:] = told
        return ends

    def _deed(self, deed: Deed, within: str, *, sure: bool) -> Ends:
        ends = self._act(deed, within, sure=sure) if deed.kind == "act" else (
            self._composite(deed, f"{within}/{deed.name}".lstrip("/"), sure=sure)
        )  # fmt: skip
        return ends - FAIL | PASS if deed.goes_on and "fail" in ends else ends

    def _act(self, deed: Deed, within: str, *, sure: bool) -> Ends:
        if not deed.succeeds:
            return FAIL
        outcome = self.outcome
        path = "/".join(part for part in (self._stage, within, deed.name) if part)
        outcome.may.append(path)
        if sure:
            outcome.must.add(path)
        if deed.counts:
            outcome.counted.add(path)
        if deed.adds_parts:
            self._added += [(part, sure) for part in deed.adds_parts]
            outcome.is_vague |= not sure
            self._doubt_plan(not sure)
        return frozenset({"bail"}) if deed.bails else OK

    def _composite(self, deed: Deed, within: str, *, sure: bool) -> Ends:
        match deed.kind:
            case "each":
                return self._side_by_side(_items(deed, within), sure=sure)
            case "branch":
                chosen = deed.inner[:1] if deed.times else deed.inner[1:]
                label = "simulation.holds" if deed.times else "otherwise"
                return self._sequence(chosen, f"{within}[{label}]", sure=sure)
            case "repeat":
                ends = OK
                for time in range(deed.times):
                    if "ok" in ends:
                        label = f"{within}[{time}]"
                        own = self._sequence(deed.inner, label, sure=sure and ends == OK)
                        ends = _after(ends, own)
                return ends
            case "run":
                return self._below(deed, sure=sure)
        return OK

    def _below(self, deed: Deed, *, sure: bool) -> Ends:
        below = _of_parts(deed.parts)
        ends = frozenset("fail" if one == "failed" else "ok" for one in below.statuses)
        is_certain = ends == OK and below.must == set(below.may) and not below.is_vague
        if sure and is_certain:
            self.outcome.below[f"below.{deed.name}"] = len(below.may)
        return ends

    def _side_by_side(self, crowd: _Crowd, *, sure: bool) -> Ends:
        alone = [self._dry(*one) for one in zip(crowd.members, crowd.within, strict=True)]
        ends, are_sure = _together(crowd, alone)
        for deeds, within, is_sure in zip(crowd.members, crowd.within, are_sure, strict=True):
            self._sequence(deeds, within, sure=sure and is_sure)
        self._doubt_plan(crowd.grows and not (sure and all(are_sure)))
        return _passed(ends)

    def _dry(self, deeds: Sequence[Deed], within: str) -> Ends:
        """Tell how a member ends that nobody disturbs."""
        other = _Foretelling(self._stage)
        if len(deeds) == 1 and not within:  # an action, which is no sequence of its own
            return other._deed(deeds[0], within, sure=True)
        return other._sequence(deeds, within, sure=True)

    def _doubt_plan(self, doubtful: bool) -> None:
        if doubtful:
            self.outcome.plan = None


def _after(first: Ends, then: Ends) -> Ends:
    """Tell how two ends that come one after the other."""
    return first - OK | then if "ok" in first else first


def _passed(ends: Ends) -> Ends:
    """Tell how what goes on without one of its own ends, for what comes behind it."""
    return ends - PASS | OK if "pass" in ends else ends


def _items(deed: Deed, within: str) -> _Crowd:
    labels = [f"{within}[{item}]" for item in range(deed.times)]
    if len(deed.inner) > 1 or deed.join is not None:
        members = [deed.inner] * deed.times
        return _crowd(members, labels, deed, len(members))
    # What an item of one action adds is done beside the others.
    grown = list(_with_additions(deed.inner))
    pairs = [((one,), label) for label in labels for one in grown]
    return _crowd([one for one, _ in pairs], [label for _, label in pairs], deed, deed.times)


def _crowd(
    members: Sequence[tuple[Deed, ...]], within: Sequence[str], of: Deed | Part, planned: int
) -> _Crowd:
    join = None if of.join is None else min(of.join, planned)
    return _Crowd(tuple(members), tuple(within), join, of.wait_all, len(members) > planned)


def _with_additions(deeds: Sequence[Deed]) -> Iterator[Deed]:
    """Yield deeds, each with what it adds behind it."""
    for deed in deeds:
        if deed.kind != "act" or not deed.adds:
            yield deed
            continue
        yield deed.model_copy(update={"adds": ()})
        if deed.succeeds:
            yield from _with_additions(deed.adds)


def _together(crowd: _Crowd, alone: Sequence[Ends]) -> tuple[Ends, list[bool]]:
    """Tell how members end together, by how each would; and which of them nobody cuts off."""
    count = len(alone)
    if any("bail" in ends for ends in alone):
        every = frozenset().union(*alone)
        if crowd.join is not None:
            every |= OK | FAIL
        elif frozenset({"bail"}) in alone:
            every -= OK
        return every, [count == 1] * count
    if crowd.join is not None:
        return _enough(crowd, alone)
    may_fail = ["fail" in ends for ends in alone]
    if not any(may_fail):
        return OK, [True] * count
    ends = FAIL if FAIL in alone else OK | FAIL
    if crowd.wait_all:
        return ends, [True] * count
    return ends, [fails and sum(may_fail) == 1 for fails in may_fail]


def _enough(crowd: _Crowd, alone: Sequence[Ends]) -> tuple[Ends, list[bool]]:
    """Tell how members end of which some must complete."""
    count, wanted = len(alone), crowd.join or 0
    least = sum(ends == OK for ends in alone)
    most = sum("ok" in ends for ends in alone)
    if crowd.grows and least < count:
        return OK | FAIL, [False] * count
    if least >= wanted:
        return OK, [wanted == count] * count
    if most >= wanted:
        return OK | FAIL, [False] * count
    may_fail = any("fail" in ends for ends in alone)
    if not may_fail:
        return OK, [True] * count  # too few, and yet nothing has failed
    return FAIL if FAIL in alone else OK | FAIL, [crowd.wait_all] * count
