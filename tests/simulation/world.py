"""One world: a server, workers, runs, operators, and all that goes wrong between them."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from gostage_core.errors import GostageError
from gostage_core.runner import Runner
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from gostage_core.testing.memory import Fault, MemoryClient
from gostage_core.testing.memory.replies import CommandError
from tests.simulation.bodies import Act, meddle, path_of, token_of
from tests.simulation.building import actions_of, stages_of
from tests.simulation.desk import Desk
from tests.simulation.facts import Facts
from tests.simulation.foretelling import foretold
from tests.simulation.loop import Loop
from tests.simulation.nemesis import Nemesis
from tests.simulation.nodes import Node
from tests.simulation.oracle import Oracle
from tests.simulation.post import Post
from tests.simulation.seams import SeededMachine, slots_of
from tests.simulation.server import ToldServer
from tests.simulation.stories import Deed, Teller
from tests.simulation.themes import THEMES, Theme, traits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gostage_core import ActionContext
    from gostage_core.testing.memory.faults import Words
    from tests.simulation.foretelling import Outcome

NAMESPACE = "sim"
_WILD_SECONDS = 25.0
_MOST_STEPS = 60_000
_CHECK_EVERY = 100
_LIVING = ("pending", "running", "sleeping", "waiting", "paused")
_LONG = 20.0
"""Seconds in which nothing is due, after which a signal that is waited for is sent."""


@dataclass
class Report:
    """What one world came to."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    runs: int = 0
    foretold: int = 0
    """Of these, those whose end was foretold in full."""
    steps: int = 0
    seconds: float = 0.0
    """Of the world's own time."""
    faults: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    traits: Counter[str] = field(default_factory=Counter)
    """In how many stories there was what."""
    answers: Counter[str] = field(default_factory=Counter)
    forks: set[str] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)


class Violation(Exception):
    """Something that should never be."""


class World:
    """The world of one seed, and one theme if it has a *story*. All in it follows from these."""

    def __init__(
        self,
        seed: int,
        *,
        story: str = "",
        without: Sequence[str] = (),
        trace: bool = False,
        check_every: int = _CHECK_EVERY,
        server: ToldServer | None = None,
    ) -> None:
        self.report = Report(seed)
        self.without = frozenset(without)
        self.chance = Random(f"{seed} world")
        theme = THEMES.get(story, Theme())
        self.favours = theme.favours
        self.is_wild = self.chance.random() < 0.5 or theme.is_wild
        self.settings = self._settings()
        self.server = server or ToldServer()
        self.server.clock.microseconds = round(self.chance.uniform(1e15, 1.7e15))
        self.loop = Loop(self.server.clock, Random(f"{seed} loop"))
        self.nemesis = Nemesis(self.loop, Random(f"{seed} nemesis"), without)
        self.post = Post(self.loop, self.nemesis, Random(f"{seed} post"))
        client = MemoryClient(self.server)
        client.faults = self._met
        machine = SeededMachine(self.loop, Random(f"{seed} machine"))
        self.state = State(self.settings, client, machine)
        self.runner = Runner.over(self.state, self.post.send)
        self.facts = Facts(self.server, self.state.keys)
        self.server.renew(self.facts.hear)
        self.teller = Teller(Random(f"{seed} stories"), wild=self.is_wild, favours=self.favours)
        self.foretold: dict[str, Outcome] = {}
        self.slots = 0
        self.oracle = Oracle(self)
        self._trace = trace
        self._check_every = check_every
        self._unique = 0

    def live(self) -> Report:
        """See it to its end; what should not be is in the report."""
        Act.now.append(self)
        with slots_of(self.loop):
            try:
                self._begin()
                self._be_wild()
                self._calm_down()
                self._see_the_end()
                self.oracle.check_end()
            except Violation as violation:
                self.report.wrong.append(str(violation))
            finally:
                self.loop.end()
                Act.now.pop()
        return self._reported()

    def tell(self, text: str) -> None:
        """Keep what happens, for who looks into it."""
        if self._trace:
            self.report.trace.append(f"{self.loop.now - self._began:9.3f} {text}")

    def seen(self, kind: str, ctx: ActionContext, what: object = None) -> None:
        """Take note of what a body does, or what it was told."""
        self.tell(f"    {kind} of {ctx.run_id} {path_of(ctx)} {token_of(ctx)}: {what}")
        self.oracle.seen(kind, ctx, what)
        if kind == "body":
            self.pass_time(0)

    def pass_time(self, seconds: float) -> None:
        """Let others go on; who does may not survive it."""
        self.loop.sleep(seconds + self.nemesis.latency())
        fiber = self.loop.current
        assert fiber is not None
        fiber.owner.strike()

    def unique(self) -> int:
        """Return a number that was never returned before."""
        self._unique += 1
        return self._unique

    def additions(self, deed: Deed, ctx: ActionContext) -> None:
        """Change the plan as the deed says."""
        ctx.add_action(*actions_of(deed.adds))
        ctx.add_stage(*stages_of(deed.adds_parts))
        if deed.meddles:
            fresh = [Deed(name=self.teller.name("d"), meddles=deed.meddles - 1) for _ in range(2)]
            meddle(ctx, self.chance, actions_of(fresh))

    def known_runs(self) -> list[str]:
        """Return the ids of all runs that there are."""
        found = self.server.ask("ZRANGE", self.state.keys.of("runs"), "0", "-1")
        return [run_id.decode() for run_id in found]

    def living_runs(self) -> list[str]:
        """Return the ids of the runs that have not ended."""
        names = [self.state.keys.of("status", status) for status in _LIVING]
        found = [self.server.ask("ZRANGE", name, "0", "-1") for name in names]
        return [run_id.decode() for some in found for run_id in some]

    def awaited(self, run_id: str) -> list[str]:
        """Return the signals that entries of a run wait for now."""
        fields = self.server.ask("HKEYS", self.state.keys.of("inbox", run_id))
        return sorted(one[1:].decode() for one in fields if one[:1] == b"w")

    def _settings(self) -> Settings:
        chance = self.chance
        return Settings(
            namespace=NAMESPACE,
            tick=chance.choice((0.5, 1.0)),
            window=chance.choice((1, 2, 4)),
            small_store=chance.choice((0, 512)),
            cancel_grace=chance.choice((0.5, 5.0)),
            max_losses=3 if self.is_wild and chance.random() < 0.4 else 100,
            max_past_bytes=chance.choice((0, 2_000, 1_000_000)),
        )

    def _begin(self) -> None:
        self._began = self.loop.now
        self._calm_at = self._began + _WILD_SECONDS
        self.nodes = [Node(self, number) for number in range(self.chance.choice((1, 2, 2, 3)))]
        self.slots = sum(node.slots for node in self.nodes)
        desk = Desk(self)
        for number in range(self.chance.randint(12, 24)):
            story = self.teller.story(f"run{number}")
            self.tell(f"{story!r}")
            self.report.traits.update(traits_of(story))
            if not self.is_wild:
                self.foretold[story.run_id] = foretold(story)
            after = self.chance.uniform(0, 10)
            desk.begin("producer", lambda story=story: desk.submit(story), after)
        for run_id, name in self.teller.signals:
            after = self.chance.uniform(0, 20)
            desk.begin("signaller", lambda a=run_id, b=name: desk.signal(a, b), after)
        if self.is_wild:
            desk.begin("operator", lambda: desk.operate(self._calm_at), 0.5)
            if self.chance.random() < (1 if self.favours == "schedule" else 0.4):
                desk.begin("scheduler", lambda: desk.keep_schedules(self._calm_at - 1), 0.1)

    def _be_wild(self) -> None:
        while self.loop.now < self._calm_at:
            self._step()

    def _calm_down(self) -> None:
        """Let nothing go wrong any more, and nobody hold anything."""
        self.tell("* nothing goes wrong any more")
        self.nemesis.rest()
        desk = Desk(self)
        for run_id in self.known_runs():
            desk.begin("operator", lambda run_id=run_id: self._let_go(run_id), 4)
        self._desk = desk

    def _let_go(self, run_id: str) -> None:
        with suppress(GostageError):  # it may have been deleted
            self.runner.get(run_id).resume()

    def _see_the_end(self) -> None:
        """Go on until every run has ended; what waits for long for a signal gets it."""
        while True:
            if not self._step():
                raise Violation("nothing goes on")
            if self.loop.steps > _MOST_STEPS:
                raise Violation(f"what goes on has no end: {self._going_on()}")
            if self.loop.steps % 10:
                continue
            if self._has_ended():
                return
            if self._is_idle():
                self._be_idle()

    def _be_idle(self) -> None:
        """Pass over the time in which nothing is due, unless somebody waits for a signal."""
        if held := self.server.ask("ZRANGE", self.state.keys.of("status", "paused"), "0", "-1"):
            for run_id in map(bytes.decode, held):
                self._desk.begin("operator", lambda run_id=run_id: self._let_go(run_id), 0)
            return
        due = self._next_due()
        gap = None if due is None else due - self.loop.now - 2 * self.settings.tick
        if gap is None or gap > _LONG:
            waiting = [(run, name) for run in self.living_runs() for name in self.awaited(run)]
            for run_id, name in waiting:
                self._desk.begin("signaller", lambda a=run_id, b=name: self._desk.signal(a, b), 0)
            if waiting:
                return
        if gap is None:
            raise Violation(f"what goes on does not end: {self._going_on()}")
        if gap > 0:
            self._shift(gap)

    def _step(self) -> bool:
        went_on = self.loop.step()
        if self.facts.wrong:
            raise Violation(self.facts.wrong[0])
        if self.loop.steps % self._check_every == 0:
            self.oracle.check_now()
        return went_on

    def _met(self, commands: Sequence[Words]) -> Fault | None:
        """Say what becomes of a request; whoever sends it may be overtaken, or die of it."""
        fiber = self.loop.current
        if fiber is None:
            return None
        self.loop.sleep(self.nemesis.latency())
        fiber.owner.strike()
        fault = self.nemesis.fault(fiber.owner.node_name)
        if fault is None and self.nemesis.happens("request comes late"):
            kept = [list(words) for words in commands]
            self.loop.call(self.nemesis.span(0.01, 6), lambda: self._carry_out(kept))
            self.nemesis.may_lose += 1  # it may begin what nobody works on then
            fault = Fault.LOST
        if self._trace:
            self._tell_request(fiber.name, commands, fault)
        return fault

    def _carry_out(self, commands: Sequence[Words]) -> None:
        """Carry out a request that was sent again since; nobody is told what came of it."""
        if self._trace:
            self._tell_request("late", commands, None)
        for words in commands:
            with suppress(CommandError):
                self.server.execute(words)

    def _tell_request(self, name: str, commands: Sequence[Words], fault: Fault | None) -> None:
        for words in commands:
            named = self.server.name_of(words)
            if named not in ("tick", None) or fault is not None:
                shown = " ".join(word.decode("utf-8", "replace")[:40] for word in words[5:9])
                self.tell(f"  {name}: {named} {shown} {fault.name if fault else ''}")

    def _has_ended(self) -> bool:
        return self.post.is_empty() and not self._busy() and not self.living_runs()

    def _busy(self) -> bool:
        return self.loop.next_at(_is_upkeep) is not None

    def _is_idle(self) -> bool:
        """Whether everybody only waits for time to pass."""
        return self.post.is_empty() and not self._busy() and all(n.is_up for n in self.nodes)

    def _next_due(self) -> float | None:
        """Return when workers will find something to do, if ever."""
        keys = self.state.keys
        scores = [
            float(self.server.ask("ZRANGE", keys.of(name), "0", "0", "WITHSCORES")[1])
            for name in ("wake", "sent", "refill", "schedules")
            if self.server.ask("ZCARD", keys.of(name))
        ]
        living = {name.encode() for node in self.nodes for name in node.living()}
        alive = self.server.ask("ZRANGE", keys.of("alive"), "0", "-1", "WITHSCORES")
        pairs = zip(alive[::2], alive[1::2], strict=True)
        scores += [float(score) for name, score in pairs if name not in living]
        due = min(scores, default=float("inf"))
        return None if due == float("inf") else due / 1000

    def _shift(self, gap: float) -> None:
        """Let time pass in which workers do nothing but to renew their leases."""
        self.tell(f"* {gap:.1f} s pass")
        self.loop.shift(gap)
        now = self.server.clock.milliseconds
        until = str(now + round(self.settings.lease * 1000))
        for node in self.nodes:
            for name in node.living():
                self.server.ask("ZADD", self.state.keys.of("alive"), until, name)
        self.server.ask("SET", self.state.keys.of("beat"), str(now))

    def _going_on(self) -> str:
        return "; ".join(self.oracle.going_on())

    def _reported(self) -> Report:
        report = self.report
        report.runs = len(self.known_runs())
        report.steps, report.seconds = self.loop.steps, self.loop.now - self._began
        report.faults, report.answers = self.nemesis.done, self.facts.counts
        return report


def _is_upkeep(fiber: Any) -> bool:
    """Whether a fiber only does what workers do all the time."""
    return fiber.name.endswith((" keeper", " watch"))
