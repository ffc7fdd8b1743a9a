"""A world of runs whose actions share throttles, in which random things happen to them."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from gostage_core import Stage, Throttle, Workflow, action
from gostage_core.errors import RunError
from gostage_core.state.answers import Claim, CommitParts
from gostage_core.testing.memory import MemoryClient
from tests.support.invariants import check_all, texts

if TYPE_CHECKING:
    from random import Random

    from gostage_core import Action, ActionContext, Run
    from gostage_core.testing.memory import MemoryServer
    from tests.support.bench import Bench

FAILURE: Final = '{"type":"ValueError","message":"no"}'
THROTTLE_KEYS: Final = ("throttle", "inside", "invited", "line", "starts")


class Numbers(NamedTuple):
    """What a throttle allows; 0 for anything."""

    most: int
    rate: int
    per_ms: int


THROTTLES: Final = (
    Throttle("two", concurrency=2),
    Throttle("slow", rate=3, per=10),
    Throttle("both", concurrency=1, rate=2, per=5),
)
SAID: Final = {
    one.key: Numbers(one.concurrency or 0, one.rate or 0, round(one.per * 1000))
    for one in THROTTLES
}
OF_RUNS: Final = Throttle("runs", concurrency=2)


@action
def pass_through(ctx: ActionContext) -> None:
    """Do nothing; its attempts are made by hand."""


def through(throttle: Throttle) -> Action:
    return pass_through.s().options(name=throttle.key, throttle=throttle)


def server_of(bench: Bench) -> MemoryServer:
    assert isinstance(bench.state.client, MemoryClient)
    return bench.state.client.server


def throttle_keys_left(bench: Bench) -> list[str]:
    """Return every key of Redis that throttles have left, and what the shared ones name."""
    client, keys = bench.state.client, bench.state.keys
    found = [
        text
        for text in texts(client.scan_iter(f"{keys.prefix}*"))
        if text.removeprefix(keys.prefix).startswith(tuple(f"{name}:" for name in THROTTLE_KEYS))
    ]
    named = texts(client.smembers(keys.of("throttles"))) + texts(
        client.zrange(keys.of("refill"), 0, -1)
    )
    return sorted(found + named)


class Body(NamedTuple):
    """A body that is at work, as its worker sees it."""

    claim: Claim
    key: str
    process: str


@dataclass
class Turnstile:
    """Many runs, the bodies that are within their throttles, and all that happens to them."""

    bench: Bench
    chance: Random
    bodies: list[Body] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    began: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    set_by_hand: dict[str, Numbers] = field(default_factory=dict)
    fullest: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    turns: int = 0

    def live(self, steps: int) -> None:
        """Let so many random things happen, and then see every run to its end."""
        for _ in range(steps):
            self.step()
            self.check()
        for key in list(self.set_by_hand):
            self.set_back(key)
        for run in self.runs:
            with suppress(RunError):
                run.resume()
        while not all(self.has_ended(run) for run in self.runs):
            self.turns += 1
            assert self.turns < 3_000, "it does not end"
            self.calm_step()
            self.check()

    def step(self) -> None:
        luck = self.chance.random()
        if luck < 0.12:
            self.submit()
        elif luck < 0.5 and self.bench.post.messages:
            self.deliver()
        elif luck < 0.75 and self.bodies:
            self.end(self.bodies.pop(self.chance.randrange(len(self.bodies))))
        elif luck < 0.9:
            self.pass_time(self.chance.choice([0.1, 1, 3, 11]))
        else:
            self.meddle()

    def calm_step(self) -> None:
        if self.bench.post.messages:
            self.deliver()
        elif self.bodies:
            self.commit(self.bodies.pop())
        else:
            self.pass_time(1)

    def submit(self) -> None:
        stage = Stage(
            "s",
            [through(self.chance.choice(THROTTLES)) for _ in range(self.chance.randint(1, 5))],
            parallel=self.chance.random() < 0.6,
        )
        workflow = Workflow("w", throttle=OF_RUNS if self.chance.random() < 0.3 else None)
        workflow.add_stage(stage)
        tenant = self.chance.choice([None, None, "ana", "bob"])
        self.runs.append(self.bench.submit(workflow, concurrency_key=tenant))

    def deliver(self) -> None:
        """Hand a message to a worker of its own; or lose it, or hand it over twice."""
        messages = self.bench.post.messages
        messages.rotate(self.chance.randrange(len(messages)))
        message = messages.popleft()
        luck = self.chance.random()
        if luck < 0.05:
            return
        self.claim(message.run_id, message.entry)
        if luck > 0.95:
            self.claim(message.run_id, message.entry)

    def claim(self, run_id: str, entry: str) -> None:
        process = f"p{self.chance.random()}"
        claim = self.bench.state.claim(
            run_id, entry, nonce=process, process=process, slot="t", mark=""
        )
        if isinstance(claim, Claim):
            key = json.loads(claim.spec)["name"]
            self.check_begin(key)
            self.bodies.append(Body(claim, key, process))

    def check_begin(self, key: str) -> None:
        """Check by the bodies themselves that one more may begin."""
        most, rate, per_ms = self.set_by_hand.get(key, SAID[key])
        within = sum(body.key == key and self.is_valid(body.claim) for body in self.bodies) + 1
        assert most == 0 or within <= most, f"{within} within {key!r}, which allows {most}"
        self.fullest[key] = max(self.fullest[key], within)
        now = server_of(self.bench).clock.milliseconds
        self.began[key].append(now)
        recent = [at for at in self.began[key] if at > now - per_ms]
        assert rate == 0 or len(recent) <= rate, (
            f"{len(recent)} began within {per_ms} ms of {key!r}"
        )

    def is_valid(self, claim: Claim) -> bool:
        """Whether a body may still commit, as the plan says it."""
        text = self.bench.state.client.hget(
            self.bench.state.keys.of("plan", claim.run_id), f"r{claim.entry}"
        )
        parts = cast("bytes", text or b"").decode().split("|")
        return parts[0] == "x" and parts[4] == claim.token

    def end(self, body: Body) -> None:
        """End an attempt in one of all the ways in which it may."""
        state, claim = self.bench.state, body.claim
        luck = self.chance.random()
        if luck < 0.55:
            self.commit(body)
        elif luck < 0.65:
            answer = state.fail(
                claim, delay=self.chance.choice([0.5, 4]), policy="fail", failure=FAILURE,
                details="{}",
            )  # fmt: skip
            self.bench.post.send(claim.run_id, answer.next)
        elif luck < 0.7:
            answer = state.fail(claim, delay=None, policy="fail", failure=FAILURE, details="{}")
            self.bench.post.send(claim.run_id, answer.next)
        elif luck < 0.8:
            delay = self.chance.choice([0.0, 2.0])
            answer = state.release(claim, delay=delay, reason='{"released":"no","worker":"w"}')
            self.bench.post.send(claim.run_id, answer.next)
        else:
            self.bench.rescuer.lost(body.process)
            if self.chance.random() < 0.5:
                assert state.commit(claim, have="", parts=CommitParts()).word != "committed"

    def commit(self, body: Body) -> None:
        answer = self.bench.state.commit(body.claim, have="", parts=CommitParts())
        self.bench.post.send(body.claim.run_id, answer.next)

    def pass_time(self, seconds: float) -> None:
        server_of(self.bench).clock.advance(seconds)
        self.bench.state.renew([body.process for body in self.bodies])
        self.bench.rescuer.tick()

    def meddle(self) -> None:
        """Do as operators do, to a run or to a throttle."""
        if self.chance.random() < 0.25:
            return self.set_or_clear(self.chance.choice(THROTTLES).key)
        if not self.runs:
            return None
        run = self.chance.choice(self.runs)
        with suppress(RunError):
            match self.chance.randrange(7):
                case 0:
                    run.cancel(grace=self.chance.choice([0, 2]))
                case 1 | 2:
                    run.pause()
                case 3:
                    run.resume()
                case 4:
                    run.retry()
                case 5:
                    run.delete()
                case _:
                    self.edit(run)
        return None

    def edit(self, run: Run) -> None:
        plan = self.bench.state.keys.of("plan", run.run_id)
        fields = self.bench.state.client.hkeys(plan)
        entries = [name[1:] for name in texts(fields) if name.startswith("c")]
        if not entries:
            return
        answer = self.bench.state.edit(
            run.run_id,
            nonce=str(self.chance.random()),
            revision=run.plan.revision,
            details='{"actor":"ana"}',
            edits=[1, self.chance.choice(["disable", "remove"]), self.chance.choice(entries)],
        )
        self.bench.post.send(run.run_id, answer.next)

    def set_or_clear(self, key: str) -> None:
        if key in self.set_by_hand:
            return self.set_back(key)
        numbers = SAID[key]
        most, rate = (self.chance.randint(1, 4) if n else 0 for n in (numbers.most, numbers.rate))
        self.set_by_hand[key] = Numbers(most, rate, numbers.per_ms)
        self.bench.runner.throttles.set(
            key, concurrency=most or None, rate=rate or None, per=numbers.per_ms / 1000
        )
        return None

    def set_back(self, key: str) -> None:
        del self.set_by_hand[key]
        self.bench.runner.throttles.clear(key)

    def has_ended(self, run: Run) -> bool:
        try:
            return run.status.is_terminal
        except RunError:
            return True  # it was deleted

    def check(self) -> None:
        """Check some run, and that nothing is on the books of a throttle that is not there."""
        if self.runs:
            check_all(self.bench.state, self.chance.choice(self.runs).run_id)
        check_books(self.bench)
        self.check_room("two", self.set_by_hand.get("two", SAID["two"]).most)
        self.check_room(OF_RUNS.key, OF_RUNS.concurrency or 0)

    def check_room(self, key: str, most: int) -> None:
        """Check that nobody stands in line where one more may go in."""
        client, keys = self.bench.state.client, self.bench.state.keys
        within = client.scard(keys.of("inside", key)) + client.scard(keys.of("invited", key))
        if client.zcard(keys.of("line", key)):
            assert within >= most, f"{key!r} has room, and a line"


def check_books(bench: Bench) -> None:
    """Check that whoever is within a throttle or stands in its line is an entry that lives.

    A line that somebody stands in is looked at again, whatever happens.
    """
    client, keys = bench.state.client, bench.state.keys
    for key in texts(client.smembers(keys.of("throttles"))):
        inside, invited = (
            texts(client.smembers(keys.of(name, key))) for name in ("inside", "invited")
        )
        line = texts(client.zrange(keys.of("line", key), 0, -1))
        for member in (*inside, *invited, *line):
            run_id, _, entry = member.partition(" ")
            status = cast("bytes", client.hget(keys.of("run", run_id), "status") or b"gone")
            assert status not in (b"gone", b"completed", b"failed", b"cancelled"), member
            if entry != "0":
                assert client.sismember(keys.of("live", run_id), entry), member
        if line:
            assert client.zscore(keys.of("refill"), key) is not None, f"nobody looks at {key!r}"
