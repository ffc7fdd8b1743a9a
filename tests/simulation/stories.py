"""What runs are made of, as plain data: chance tells stories, a model foretells how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from random import Random

Kind = Literal["act", "each", "branch", "repeat", "run", "sleep", "await"]
Hook = Literal["", "fail", "skip", "recover"]
_FAVOUR = 8
"""How many times as often as others what is favoured comes up."""


class Told(BaseModel):
    """A part of a story."""

    model_config = ConfigDict(frozen=True)


class Deed(Told):
    """One action, and what it does."""

    name: str
    kind: Kind = "act"
    fails: int = 0
    """How many tries fail before one does not."""
    tries: int = 1
    goes_on: bool = False
    """Whether the run goes on when it has failed."""
    bails: bool = False
    seconds: float = 0.0
    """How long its body takes, or it sleeps."""
    timeout: float | None = None
    heeds: bool = True
    """Whether its body ends when it is told to."""
    adds: tuple[Deed, ...] = ()
    adds_parts: tuple[Part, ...] = ()
    meddles: int = 0
    """How many generations change the plan as chance has it."""
    waits: tuple[str, ...] = ()
    """Signals that its body waits for, one after another."""
    once: bool = False
    checkpoint: bool = False
    counts: bool = False
    """Whether it reads a number, and writes the next one."""
    says: bool = False
    undo: Literal["", "done", "fails"] = ""
    throttle: str = ""
    queue: str | None = None
    priority: int | None = None
    inner: tuple[Deed, ...] = ()
    """What it is made of."""
    times: int = 1
    """How many items, or passes; of a branch, whether its condition holds."""
    limit: int | None = None
    join: int | None = None
    wait_all: bool = False
    parts: tuple[Part, ...] = ()
    """Of a run of its own."""

    @property
    def succeeds(self) -> bool:
        """Whether one of its tries does."""
        return self.fails < self.tries


class Part(Told):
    """One stage."""

    id: str
    deeds: tuple[Deed, ...]
    parallel: bool = False
    limit: int | None = None
    join: int | None = None
    wait_all: bool = False
    before: Hook = ""
    after: Hook = ""


class Story(Told):
    """One run."""

    run_id: str
    parts: tuple[Part, ...]
    throttle: str = ""
    deadline: float | None = None
    before: Hook = ""
    after: Hook = ""


class Teller:
    """Tells stories by chance.

    A *wild* one may have whatever there is; one that is not wild leaves out what time decides. What
    it *favours*, a kind or a trait of deeds, is in most of them.
    """

    def __init__(self, chance: Random, *, wild: bool, favours: str = "") -> None:
        self._chance = chance
        self._wild = wild
        self._favours = favours
        self._names = 0
        self._run = ""
        self.signals: list[tuple[str, str]] = []
        """The signals that are waited for, each with its run; those of runs below are not known."""

    def story(self, run_id: str) -> Story:
        """Tell of one run."""
        self._run = run_id
        parts = tuple(self.part(2) for _ in range(self._pick(1, 1, 2, 3)))
        made: dict[str, Any] = {"throttle": self._maybe(0.1, "runs", "")}
        if self._wild:
            made["deadline"] = self._maybe(
                self._often("deadline", 0.1), self._chance.uniform(3, 40), None
            )
            made["before"] = self._maybe(0.1, self._pick("", "fail"), "")
            made["after"] = self._maybe(0.1, self._pick("", "fail", "recover"), "")
        return Story(run_id=run_id, parts=parts, **made)

    def part(self, depth: int) -> Part:
        """Tell of one stage."""
        parallel = self._odds(0.5)
        deeds = self._deeds(depth, self._pick(0, 1, 2, 2, 3, 4), alone=not parallel, on_stage=True)
        options = self._side_by_side(len(deeds)) if parallel else {}
        if self._wild and self._odds(0.25):
            options["before"] = self._pick("", "", "", "fail", "skip")
            options["after"] = self._pick("", "", "fail", "recover", "recover")
        return Part(id=self.name("s"), deeds=deeds, parallel=parallel, **options)

    def deed(self, depth: int, *, alone: bool = False, on_stage: bool = False) -> Deed:
        """Tell of one action.

        It may have others below it if *depth* allows. It is *alone* if nothing in its run is done
        beside it; *on_stage* it may add stages.
        """
        kinds = ["act"] * 6
        if depth > 0:
            kinds += ["each", "branch", "repeat", "run", "sleep", "await"]
        kinds += [self._favours] * (kinds.count(self._favours) * _FAVOUR)
        kind = self._chance.choice(kinds)
        if kind == "act":
            return self._act(depth, alone=alone, on_stage=on_stage)
        made = {"name": self.name(kind[0]), "kind": kind, "goes_on": self._odds(0.2)}
        return Deed(**made, **self._composite(kind, depth - 1, alone=alone))

    def name(self, letter: str) -> str:
        """Return a name that nothing else has."""
        self._names += 1
        return f"{letter}{self._names}"

    def _composite(self, kind: str, depth: int, *, alone: bool) -> dict[str, Any]:
        match kind:
            case "each":
                times = self._pick(0, 1, 2, 3)
                inner = self._deeds(depth, self._pick(1, 1, 2))
                return {"inner": inner, "times": times, **self._side_by_side(times)}
            case "branch":
                return {
                    "inner": self._deeds(depth, self._pick(1, 2), alone=alone),
                    "times": self._pick(0, 1),
                }
            case "repeat":
                return {
                    "inner": self._deeds(depth, self._pick(1, 2), alone=alone),
                    "times": self._pick(1, 2, 3),
                }
            case "run":
                return {"parts": tuple(self.part(depth) for _ in range(self._pick(1, 1, 2)))}
            case "sleep":
                return {"seconds": self._pick(0.2, 3.0, 30.0, 4000.0)}
        timeout = self._chance.uniform(1, 30) if self._wild and self._odds(0.3) else None
        return {"waits": (self._signal(),), "timeout": timeout}

    def _act(self, depth: int, *, alone: bool, on_stage: bool) -> Deed:
        tries = self._pick(1, 1, 2, 3)
        made: dict[str, Any] = {
            "name": self.name("a"),
            "fails": tries if self._odds(0.08) else self._pick(0, 0, tries - 1),
            "tries": tries,
            "goes_on": self._odds(0.2),
            "bails": self._odds(0.02),
            "seconds": self._pick(0.0, 0.0, 0.0, 0.05, 0.5, 4.0),
            "once": self._odds(self._often("once", 0.15)),
            "checkpoint": self._odds(0.1),
            "counts": alone and not self._wild,
            "says": self._odds(0.1),
            "throttle": self._throttle(),
            "undo": self._maybe(self._often("undo", 0.15), self._pick("done", "done", "fails"), ""),
            "waits": (self._signal(),) if self._odds(0.06) else (),
            "queue": self._maybe(0.1, "other", None),
            "priority": self._maybe(0.1, self._pick(3, 6), None),
        }
        if depth > 0 and self._odds(self._often("adds", 0.3)):
            made["adds"] = self._deeds(depth - 1, self._pick(1, 2), alone=alone)
        if depth > 0 and on_stage and self._odds(0.1):
            made["adds_parts"] = (self.part(depth - 1),)
        if self._wild:
            made["timeout"] = self._maybe(0.15, self._pick(0.3, 2.0), None)
            made["meddles"] = self._pick(0, 0, 0, 1, 2)
            made["heeds"] = self._odds(0.7)
        return Deed(**made)

    def _deeds(
        self, depth: int, count: int, *, alone: bool = False, on_stage: bool = False
    ) -> tuple[Deed, ...]:
        return tuple(self.deed(depth, alone=alone, on_stage=on_stage) for _ in range(count))

    def _side_by_side(self, count: int) -> dict[str, Any]:
        options: dict[str, Any] = {
            "limit": self._pick(None, None, 1, 2),
            "wait_all": self._odds(0.3),
        }
        if count and self._odds(0.2):
            options["join"] = self._chance.randint(1, count)
        return options

    def _throttle(self) -> str:
        names = ["two", "one", "slow"]
        names += [self._favours] * (names.count(self._favours) * _FAVOUR)
        often = max(self._often(name, 0.15) for name in ("throttle", *names))
        found: str = self._maybe(often, self._pick(*names), "")
        return found

    def _signal(self) -> str:
        name = self.name("go")
        self.signals.append((self._run, name))
        return name

    def _often(self, trait: str, odds: float) -> float:
        return 0.6 if trait == self._favours else odds

    def _odds(self, odds: float) -> bool:
        return self._chance.random() < odds

    def _maybe(self, odds: float, this: Any, otherwise: Any) -> Any:
        return this if self._odds(odds) else otherwise

    def _pick(self, *among: Any) -> Any:
        return self._chance.choice(among)
