"""The shipped scripts and a plain model of a run are asked the same, and answer the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import settings as configured
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from gostage_core import ActionContext, Stage, Workflow, action
from gostage_core.authoring.conditions import conditions
from gostage_core.authoring.registry import registry
from gostage_core.authoring.waits import SignalWait, Timer
from gostage_core.entry import Entry
from gostage_core.settings import Settings
from gostage_core.state.answers import Claim, CommitParts
from gostage_core.testing.memory import MemoryClient, MemoryServer
from gostage_core.waiting import waiting_arguments
from tests.support.bench import Bench
from tests.support.invariants import check_all
from tests.support.plain_run import Attempt, PlainRun

if TYPE_CHECKING:
    from gostage_core.authoring.waits import Wait

FAILURE = '{"type":"ValueError","message":"no"}'
WHO = '{"actor":"ana"}'


@action
def nothing(ctx: ActionContext) -> None:
    """Do nothing; its attempts are made by hand."""


class Lockstep(RuleBasedStateMachine):
    """One run; attempts of it that were handed out, whatever has become of them since."""

    attempts: Bundle[tuple[Attempt, Claim]] = Bundle("attempts")

    @initialize(count=st.integers(1, 3))
    def submit(self, count: int) -> None:
        self._isolated = [registry.isolated(), conditions.isolated()]
        for one in self._isolated:
            one.__enter__()
        self.server = MemoryServer()
        self.bench = Bench(Settings(namespace="step"), MemoryClient(self.server))
        workflow = Workflow("w")
        workflow.add_stage(Stage("s", [nothing.s() for _ in range(count)]))
        self.run = self.bench.submit(workflow, run_id="run")
        self.plain = PlainRun(count, self.bench.settings.max_losses)
        self.labels = [one.entry for one in self.run.result().actions]
        self.nonces = 0

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.close()
            for one in reversed(self._isolated):
                one.__exit__(None, None, None)

    # What workers ask

    @rule(target=attempts, index=st.integers(0, 2), slot=st.sampled_from("ab"))
    def claim(self, index: int, slot: str) -> Any:
        self.nonces += 1
        attempt = Attempt(index % self.plain.count, f"n{self.nonces}", slot)
        return self._claimed(attempt)

    @rule(target=attempts, known=attempts)
    def claim_again(self, known: tuple[Attempt, Claim]) -> Any:
        return self._claimed(known[0])

    def _claimed(self, attempt: Attempt) -> Any:
        found = self.bench.state.claim(
            "run", self.labels[attempt.index], nonce=attempt.nonce, process="p",
            slot=attempt.slot, mark="",
        )  # fmt: skip
        word = "claimed" if isinstance(found, Claim) else found
        assert word == self.plain.claim(attempt.index, attempt.nonce, attempt.slot)
        if not isinstance(found, Claim):
            return multiple()
        return replace(attempt, number=self.plain.entries[attempt.index].number), found

    @rule(known=attempts)
    def commit(self, known: tuple[Attempt, Claim]) -> None:
        answer = self.bench.state.commit(known[1], have="", parts=CommitParts())
        assert answer.word == self.plain.commit(known[0])

    @rule(known=attempts, again=st.booleans())
    def fail(self, known: tuple[Attempt, Claim], *, again: bool) -> None:
        answer = self.bench.state.fail(
            known[1], delay=60 if again else None, policy="fail", failure=FAILURE, details="{}"
        )
        assert answer.word == self.plain.fail(known[0], again=again)

    @rule(known=attempts)
    def release(self, known: tuple[Attempt, Claim]) -> None:
        answer = self.bench.state.release(known[1], delay=0, reason='{"released":"later"}')
        assert answer.word == self.plain.release(known[0])

    @rule(known=attempts)
    def sleep(self, known: tuple[Attempt, Claim]) -> None:
        assert self._wait(known[1], Timer(60)) == self.plain.sleep(known[0])

    @rule(known=attempts)
    def listen(self, known: tuple[Attempt, Claim]) -> None:
        assert self._wait(known[1], SignalWait(0, "bell")) == self.plain.listen(known[0])

    def _wait(self, claim: Claim, wait: Wait) -> str:
        state = self.bench.state
        parts = waiting_arguments(wait, claim, self._entry(claim), state.settings)
        return state.wait(claim, changes=(0,), parts=parts).word

    def _entry(self, claim: Claim) -> Entry:
        return Entry.from_spec(claim.spec)

    # What others ask

    @rule(known=attempts)
    def lose(self, known: tuple[Attempt, Claim]) -> None:
        attempt, claim = known
        answer = self.bench.state.lose("run", claim.entry, "p", attempt.slot, counted=True)
        assert answer.word == self.plain.lose(attempt)

    @rule()
    def pass_time(self) -> None:
        self.server.clock.advance(61)
        self.bench.state.renew(["p"])
        self.bench.rescuer.tick()
        self.plain.pass_time()

    @rule(number=st.integers(0, 4))
    def signal(self, number: int) -> None:
        answer = self.bench.state.signal("run", f"s{number}", "bell", b"null", WHO)
        assert answer.word == self.plain.signal(f"s{number}")

    @rule()
    def pause(self) -> None:
        assert self.bench.state.pause("run", WHO).word == self.plain.pause()

    @rule()
    def resume(self) -> None:
        assert self.bench.state.resume("run", WHO).word == self.plain.resume()

    @rule()
    def halt(self) -> None:
        assert self.bench.state.halt("run", "cancelled", WHO).word == self.plain.halt()

    @rule(number=st.integers(0, 3))
    def retry(self, number: int) -> None:
        answer = self.bench.state.retry(
            "run", nonce=f"r{number}", details=WHO, deadline=None, changes=(0,), skip=()
        )
        assert answer.word == self.plain.retry(f"r{number}")

    # What is to be seen

    @invariant()
    def both_stand_the_same(self) -> None:
        if not hasattr(self, "plain"):
            return
        [run] = check_all(self.bench.state, "run")
        assert [run.state_of(n) for n in self.labels] == [one.state for one in self.plain.entries]
        assert run.header["status"] == self.plain.status
        assert int(run.inbox.get("c", 0)) == self.plain.kept


def test_a_run_does_what_the_model_does_whatever_is_asked() -> None:
    run_state_machine_as_test(
        Lockstep, settings=configured(max_examples=150, stateful_step_count=40, deadline=None)
    )
