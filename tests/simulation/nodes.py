"""Workers: a main process with its keeper and its rescuer, and processes that make attempts."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gostage_core.attempt import Executor, Place
from gostage_core.errors import UnavailableError
from gostage_core.replies import send_reply
from gostage_core.rescuer import Rescuer
from gostage_core.scheduling.firing import Firing
from gostage_core.timeout import OvertimeSignal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.loop import Fiber
    from tests.simulation.world import World

_MICRO = 1_000_000


class Process:
    """One process of a worker: what stands still together, and dies together."""

    def __init__(self, node: Node, number: int) -> None:
        self.node = node
        self.node_name = node.name
        self.name = f"{node.name}.{node.boot}.{number}"
        self.frozen_until = 0
        self.is_dead = False
        self._fibers: list[Fiber] = []

    def begin(self, what: str, body: Callable[[], object], *, after: float = 0) -> Fiber:
        """Begin a fiber in it."""
        fiber = self.node.world.loop.start(f"{self.name} {what}", self, body, after=after)
        self._fibers.append(fiber)
        return fiber

    def strike(self) -> None:
        """Meet what happens at this step."""
        self.node.world.nemesis.strike(self)

    def suffer(self, kind: str) -> None:
        """Have something done to it, or to the worker around it."""
        self.node.suffer(kind, self)

    def interrupt(self) -> None:
        """Be told to end: what it does is interrupted, as by a signal."""
        for fiber in self._fibers:
            if not fiber.is_over:
                self.node.world.loop.ring(fiber, SystemExit())

    def freeze(self, seconds: float) -> None:
        """Stand still for so long."""
        loop = self.node.world.loop
        self.frozen_until = round((loop.now + seconds) * _MICRO)

    @property
    def is_stopped(self) -> bool:
        """Whether it stands still, which whoever looks at it sees."""
        return self.frozen_until > self.node.world.loop.clock.microseconds

    def die(self) -> None:
        """End at once, wherever its fibers stand. Its own fiber does not return."""
        if self.is_dead:
            return
        self.is_dead = True
        current = self.node.world.loop.current
        fibers, self._fibers = self._fibers, []
        for fiber in fibers:
            if fiber is not current:
                self.node.world.loop.kill(fiber)
        if current in fibers:
            assert current is not None
            self.node.world.loop.kill(current)

    @contextmanager
    def interrupting(self, seconds: float | None, _give_up: Callable[[], None]) -> Iterator[None]:
        """End a body at its timeout as a pool's child does: by a signal."""
        loop, fiber, armed = self.node.world.loop, self.node.world.loop.current, [True]
        assert fiber is not None

        def ring() -> None:
            if armed[0] and not fiber.is_over:
                loop.ring(fiber, OvertimeSignal())

        if seconds is not None:
            loop.call(seconds, ring)
        try:
            yield
        finally:
            armed[0] = False
            fiber.alarm = None

    @contextmanager
    def giving_up(self, seconds: float | None, give_up: Callable[[], None]) -> Iterator[None]:
        """End a body at its timeout as a pool of threads does: by another thread."""
        if seconds is None:
            yield
            return
        rang = [False]

        def ring() -> None:
            rang[0] = True
            with suppress(UnavailableError):  # a worker that leaves asks no more
                give_up()

        timer = self.begin("timer", ring, after=seconds)
        try:
            yield
        finally:
            if rang[0]:
                self.node.world.loop.join(timer)
            else:
                self.node.world.loop.kill(timer)


class Node:
    """One worker, from its start to its death, and again."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"node{number}"
        self.boot = 0
        self.forks = world.chance.random() < 0.6
        """Whether its attempts are made in processes of their own; else in threads of one."""
        self.slots = world.chance.choice((1, 1, 2, 3))
        self.is_leaving = False
        self.is_up = False
        self._numbers = 0
        self.children: list[Process] = []
        self.start()

    def start(self) -> None:
        """Begin a new life."""
        self.boot += 1
        self.is_leaving, self.is_up = False, True
        self.main = self._process()
        self.main.begin("keeper", self._keep, after=self.world.chance.random() * 0.2)
        self.main.begin("watch", self._watch, after=self.world.chance.random() * 0.2)
        self.children = []
        if self.forks:
            for _ in range(self.slots):
                self._fork()
            return
        executor = self._executor(self.main, self.main.giving_up)
        for slot in range(self.slots):
            self.main.begin(f"slot {slot}", lambda: self._work(executor))

    def living(self) -> list[str]:
        """Return the names of the processes that can execute."""
        return [one.name for one in (self.main, *self.children) if not one.is_stopped]

    def suffer(self, kind: str, process: Process) -> None:
        """Have something done to a process of this worker, or to all of it."""
        world, nemesis = self.world, self.world.nemesis
        world.tell(f"* {kind}: {process.name}")
        lease = world.settings.lease
        if kind == "server away":
            nemesis.take_server(nemesis.span(0.05, 2.5 * lease))
            nemesis.may_lose += world.slots
        elif kind == "scripts forgotten":
            world.server.ask("SCRIPT", "FLUSH")
        elif kind == "node cut off":
            nemesis.cut_off(self.name, nemesis.span(0.05, 2.5 * lease))
            nemesis.may_lose += self.slots
        elif kind == "node stops":
            nemesis.may_lose += self.slots
            self._stop(nemesis.span(0.1, 2.5 * lease))
        elif kind == "child stops" and process is not self.main:
            nemesis.may_lose += 1
            process.freeze(nemesis.span(0.1, 2.5 * lease))
        elif kind == "child dies" and process is not self.main:
            nemesis.may_lose += 1
            world.loop.call(nemesis.span(0.05, 1), lambda: self._replace(process))
            process.die()
        elif kind == "node leaves":
            self._leave()
        elif kind == "node dies":
            nemesis.may_lose += self.slots
            self.die(nemesis.span(0.05, 2 * lease))

    def kill(self, name: str) -> None:
        """End a child, whose body nobody waits for any more."""
        child = next((child for child in self.children if child.name == name), None)
        if child is not None:
            self.world.nemesis.may_lose += 1  # it may have gone on to something else
            self.world.loop.call(0.1, lambda: self._replace(child))
            child.die()

    def die(self, absent: float) -> None:
        """End with all processes, and start again after so many seconds."""
        if not self.is_up:
            return
        self.is_up = False
        self.world.loop.call(absent, self.start)
        own = self.world.loop.current
        processes = [*self.children, self.main]
        self.children = []
        processes.sort(key=lambda one: own is not None and one is own.owner)
        for process in processes:  # the one whose turn it is does not return
            process.die()

    def _process(self) -> Process:
        self._numbers += 1
        return Process(self, self._numbers)

    def _fork(self) -> None:
        child = self._process()
        self.children.append(child)
        executor = self._executor(child, child.interrupting)
        child.begin("slot", lambda: self._work(executor))

    def _replace(self, child: Process) -> None:
        if child in self.children:
            self.children.remove(child)
            self._fork()

    def _executor(self, process: Process, guard: object) -> Executor:
        place = Place(process.name, guard=guard, stopping=lambda: self.is_leaving)  # type: ignore[arg-type]
        return Executor(self.world.state, place)

    def _stop(self, seconds: float) -> None:
        for process in (self.main, *self.children):
            process.freeze(seconds)

    def _work(self, executor: Executor) -> None:
        """Take one message after the other, until the worker leaves."""
        try:
            while not self.is_leaving:
                self._take_one(executor)
        except (SystemExit, UnavailableError):
            assert self.is_leaving

    def _take_one(self, executor: Executor) -> None:
        world, process = self.world, executor._place.process
        message = world.post.take()
        mark = "" if message.head else message.mark
        world.tell(f"{process} takes {message.run_id} {message.entry}")
        ended = executor.attempt(message.run_id, message.entry, mark=mark, have=message.have)
        world.tell(f"{process}: {message.run_id} {message.entry} {ended.word}")
        if ended.word == "damaged":
            world.facts.wrong.append(f"{message.run_id} {message.entry} is damaged")
        world.post.go_on(message, ended.next)

    def _keep(self) -> None:
        """Renew the leases again and again, and end bodies that nobody waits for."""
        while True:
            self._pause()
            try:
                doomed = self.world.state.renew(self.living())
                for process, held in doomed.items():
                    slot, _, member = held.partition(" ")
                    if self.world.state.claims_of(process).get(slot) == member:
                        self.kill(process)
            except UnavailableError:
                continue

    def _watch(self) -> None:
        """Let the rescuer tick again and again, and tell it of processes that have died."""
        world = self.world
        rescuer = Rescuer(
            world.state,
            world.post,
            world.post.depth,
            lambda run_id: send_reply(world.state, run_id),
            Firing(world.state, world.post.send).fire,
        )
        known: list[str] = []
        while True:
            self._pause()
            world.post.poke()
            try:
                living = self.living()
                for process in known:
                    if process not in living:
                        rescuer.lost(process)
                known = living
                rescuer.tick()
            except UnavailableError:
                continue

    def _pause(self) -> None:
        self.world.loop.sleep(self.world.settings.tick * self.world.chance.uniform(0.8, 1.2))

    def _leave(self) -> None:
        """End in good order: bodies are interrupted, and what runs is given back."""
        if self.is_leaving:
            return
        self.is_leaving = True
        self.main.begin("end", self._end)

    def _end(self) -> None:
        world = self.world
        if self.forks:
            for child in self.children:
                child.interrupt()
        world.loop.sleep(world.chance.uniform(0, 2))
        known = self.living()
        for child in self.children:
            child.die()
        with suppress(UnavailableError):  # others find what is left
            Rescuer(world.state, world.post, world.post.depth).leave(known)
        self.die(world.nemesis.span(0.05, 2))
