"""Runs whose values are encrypted: all that a run can do, with nothing left to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretBytes, SecretStr

from gostage_core import (
    Action,
    ActionContext,
    NotStorableError,
    PreparedRunError,
    Retry,
    Runner,
    RunStatus,
    RunWorkflow,
    Settings,
    StoreTypeError,
    Workflow,
    action,
)
from gostage_core.errors import CorruptRunError, SealedValueError, TamperedValueError
from gostage_core.planning.plan_edit import PlanEdit  # noqa: TC001 - a test's annotation
from gostage_core.state.operations import State
from gostage_core.testing import MemoryEngine
from gostage_core.testing.memory import MemoryClient
from tests.support.bench import Bench
from tests.support.confidential import MARKER, Card, bail, confidential, each, fail, poll
from tests.support.sealed import BOTH, FIRST, SECOND, kept_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core.run import Run
    from gostage_core.testing import Crashes

NOWHERE = "redis://nowhere"


def settings(keys: str | None = FIRST) -> Settings:
    return Settings(redis_url=NOWHERE, encryption_keys=keys)


@pytest.fixture
def engine() -> Iterator[MemoryEngine]:
    with MemoryEngine(settings=settings()) as made:
        yield made


@pytest.fixture
def sealed_bench(namespace: str) -> Iterator[Bench]:
    from gostage_core.testing.memory import MemoryServer

    one = Settings(namespace=namespace, encryption_keys=FIRST)
    bench = Bench(one, MemoryClient(MemoryServer()))
    yield bench
    bench.close()


def beside(engine: MemoryEngine, keys: str | None) -> Runner:
    """Return a runner over the same server, with other keys or with none."""
    state = State(settings(keys), MemoryClient(engine.server))
    return Runner.over(state, lambda *_args, **_options: None)


def readable(engine: MemoryEngine) -> list[str]:
    """Return where the marker can be read on the server."""
    client = MemoryClient(engine.server)
    return [place for place, text in kept_by(client) if MARKER.encode() in text]


def brought_to_its_end(engine: MemoryEngine, workflow: Workflow, **options: Any) -> Run:
    run = engine.submit(workflow, store={"first": MARKER}, **options)
    run.signal("early", MARKER)
    engine.settle()
    run.signal("approval", Card(number=MARKER, code=SecretStr(MARKER)))
    run.signal("for-nobody", MARKER)
    engine.advance("1h")
    return run


class TestNothingToRead:
    def test_a_run_that_completes(self, engine: MemoryEngine) -> None:
        run = brought_to_its_end(engine, confidential(), reply_to="replies")
        result = run.result()
        assert result.status is RunStatus.COMPLETED, result.error
        assert result.store["each"] == [2 * MARKER, f"{{'deep': '{MARKER}'}}{MARKER}"]
        assert result.store["taken"] == result.store["written"] == result.store["polled"] == MARKER
        assert result.store["approval"].code.get_secret_value() == MARKER
        assert result.store["log"] == [MARKER, MARKER]
        assert [one.payload for one in run.messages()] == [{"what": MARKER}, MARKER]
        assert readable(engine) == []

    def test_a_run_that_fails_is_undone_retried_and_forked(self, engine: MemoryEngine) -> None:
        run = brought_to_its_end(engine, confidential(fails=True))
        result = run.result()
        assert result.status is RunStatus.FAILED
        assert result.error is not None
        assert result.error.message == MARKER
        assert MARKER in str(result.error.cause)
        assert MARKER in result.error.traceback
        assert result.compensated
        assert any(MARKER in str(entry.change) for entry in run.journal())
        fork = run.fork(at="tell", store={"new": MARKER})
        fork.signal("early", MARKER)
        engine.settle()
        fork.signal("approval", Card(number=MARKER, code=SecretStr(MARKER)))
        engine.advance("1h")
        assert fork.result().store["new"] == fork.result().store["taken"] == MARKER
        assert fork.result().store["log"] == [MARKER, MARKER]
        again = fork.fork(at="end/fail")
        engine.settle()
        assert again.result().error is not None
        assert again.store["each"] == run.store["each"]
        assert readable(engine) == []

    def test_a_run_that_is_retried_with_other_values(self, engine: MemoryEngine) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s").add(fail.s(why=MARKER))
        run = engine.submit(workflow)
        engine.settle()
        run.retry(store={"more": MARKER})
        engine.settle()
        assert run.store["more"] == MARKER
        assert readable(engine) == []

    def test_a_run_that_ends_early(self, engine: MemoryEngine) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s").add(bail.s(why=MARKER))
        result = engine.execute(workflow)
        assert result.bail_reason == MARKER
        assert readable(engine) == []

    def test_a_run_that_is_edited(self, engine: MemoryEngine) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s").add(poll.s(what="x"), each.s(what="x"))
        run = engine.submit(workflow)
        with run.edit(reason="another address") as plan:
            plan.actions["poll"].set(what=MARKER)
            plan.stages["s"].add(poll.s(what=MARKER).options(name="added"))
            plan.actions["each"].disable()
        with run.edit(reason="once more") as plan:
            plan.actions["poll"].set(what=f"{MARKER}2")
        engine.settle()
        assert run.status is RunStatus.COMPLETED
        changed = [str(one.changes) for one in run.plan.revisions]
        assert any(f'"{MARKER}" → "{MARKER}2"' in text for text in changed)
        assert readable(engine) == []

    def test_a_schedule_and_its_runs(self, engine: MemoryEngine) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s", initial={"initial": MARKER}).add(poll.s(what=MARKER))
        engine.runner.schedules.add("nightly", workflow, every="1h", store={"first": MARKER})
        engine.advance("61m")
        (summary,) = engine.runner.list()
        assert engine.runner.get(summary.run_id).store["first"] == MARKER
        run = engine.runner.schedules["nightly"].trigger()
        engine.settle()
        assert run.store["polled"] == MARKER
        assert readable(engine) == []

    def test_a_prepared_run_is_sealed_in_its_text(self, engine: MemoryEngine) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s").add(poll.s(what=MARKER))
        prepared = engine.runner.prepare(workflow, store={"first": MARKER})
        assert MARKER not in prepared.text
        run = engine.runner.submit_prepared(prepared.text)
        engine.settle()
        assert run.store["first"] == run.store["polled"] == MARKER
        with pytest.raises(PreparedRunError, match="'first'"):
            beside(engine, SECOND).submit_prepared(prepared.text)
        with pytest.raises(PreparedRunError, match="does not open"):
            other = prepared.text.replace(prepared.run_id, "another-run")
            engine.runner.submit_prepared(other)

    def test_a_task_of_another_app_and_what_it_returns(self) -> None:
        with MemoryEngine(settings=settings(), tasks={"shop.tasks.mail": lambda to: to}) as engine:
            run = brought_to_its_end(engine, confidential(foreign=True))
            assert run.status is RunStatus.COMPLETED
            assert run.store["receipt"] == MARKER
            assert readable(engine) == []

    def test_each_try_of_a_child_run_has_its_own_place(self, engine: MemoryEngine) -> None:
        child = Workflow("child")
        child.add_stage("s").add(fail.s(why=MARKER))
        workflow = Workflow("w")
        nested = RunWorkflow(child, store={"own": MARKER})
        workflow.add_stage("s").add(nested.options(retry=Retry(max_attempts=3, delay=1)))
        engine.execute(workflow)
        children = [one.run_id for one in engine.runner.list(workflow="child")]
        assert len(children) == 3
        assert {engine.runner.get(one).store["own"] for one in children} == {MARKER}
        assert readable(engine) == []


class TestTheServerCounts:
    def test_with_integers_which_stay_plain(self, engine: MemoryEngine) -> None:
        @action("sealed.count")
        def count(ctx: ActionContext) -> None:
            ctx.store.increment("hits", 2)

        workflow = Workflow("w")
        workflow.add_stage("s").add(count.s(), count.s())
        run = engine.submit(workflow, store={"hits": 38})
        engine.settle()
        assert run.store["hits"] == 42

    def test_not_with_one_that_is_tagged_as_secret(self, engine: MemoryEngine) -> None:
        @action("sealed.pin")
        def pin(ctx: ActionContext) -> None:
            ctx.store.put("pin", 47114711, tags=["secret"])

        @action("sealed.add")
        def add(ctx: ActionContext) -> None:
            ctx.store.increment("pin")

        workflow = Workflow("w")
        workflow.add_stage("s").add(pin.s(), add.s())
        result = engine.execute(workflow)
        assert result.store["pin"] == 47114711
        assert result.error is not None
        assert result.error.type == StoreTypeError.__name__
        client = MemoryClient(engine.server)
        assert not [text for _, text in kept_by(client) if b"47114711" in text]

    def test_and_appends_to_lists_and_nothing_else(self, engine: MemoryEngine) -> None:
        @action("sealed.append")
        def append(ctx: ActionContext, key: str) -> None:
            ctx.store.append(key, 2)

        workflow = Workflow("w")
        workflow.add_stage("s").add(append.s(key="list"), append.s(key="text"))
        run = engine.submit(workflow, store={"list": [1], "text": "x"})
        engine.settle()
        assert run.store["list"] == [1, 2]
        error = run.result().error
        assert error is not None
        assert "key 'text' holds str, not a list" in error.message


class TestKeys:
    def test_a_worker_without_the_key_leaves_the_action_to_one_that_has_it(
        self, engine: MemoryEngine
    ) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s").add(poll.s(what=MARKER))
        bench = Bench(settings(SECOND), MemoryClient(engine.server))
        run = bench.submit(workflow)
        bench.post.messages.clear()
        blind = Bench(settings(), MemoryClient(engine.server))
        blind.rescuer.tick()
        ended = blind.deliver(_hint(run))
        assert ended is not None
        assert ended.word == "released"
        assert "'second'" in str(run.why())
        bench.state.client.zadd(bench.state.keys.of("wake"), {f"{run.run_id} 2": 0})
        assert bench.drain(run).status is RunStatus.COMPLETED

    def test_an_earlier_key_reads_on_and_the_first_one_writes(self, engine: MemoryEngine) -> None:
        run = brought_to_its_end(engine, confidential())
        later = beside(engine, BOTH)
        assert later.get(run.run_id).store["written"] == MARKER
        fork = later.get(run.run_id).fork(at="tell")
        client = MemoryClient(engine.server)
        texts = [text for place, text in kept_by(client) if fork.run_id in place]
        assert any(b"~1.second." in text for text in texts)
        assert not any(b"~1.first." in text for text in texts)

    @pytest.mark.parametrize("keys", [None, SECOND], ids=["no key", "another key"])
    def test_without_the_key_a_run_can_be_looked_at_and_its_values_say_what_is_missing(
        self, engine: MemoryEngine, keys: str | None
    ) -> None:
        run = brought_to_its_end(engine, confidential(fails=True))
        stranger = beside(engine, keys).get(run.run_id)
        result = stranger.result()
        assert result.status is RunStatus.FAILED
        assert [one.name for one in result.actions] == [one.name for one in run.result().actions]
        assert str(result.error) == (
            "end/fail: RuntimeError: (encrypted, and this process has no key for it)"
        )
        with pytest.raises(SealedValueError, match="'first'"):
            result.store["written"]
        with pytest.raises(SealedValueError, match="'first'"):
            result.store["log"]
        assert result.store["count"] == 1
        assert MARKER not in str([stranger.journal(), stranger.why(), [*stranger.messages()]])
        assert [one.kind for one in stranger.journal()] == [one.kind for one in run.journal()]
        assert stranger.plan.revisions
        with pytest.raises(SealedValueError, match="'first'"):
            stranger.fork(at="tell")

    def test_without_the_key_nobody_edits_what_they_cannot_read(self, engine: MemoryEngine) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s").add(poll.s(what=MARKER))
        run = engine.submit(workflow)
        with (
            pytest.raises(SealedValueError, match="'first'"),
            beside(engine, None).get(run.run_id).edit(reason="longer") as plan,
        ):
            _lengthen(plan)
        engine.settle()
        assert run.store["polled"] == MARKER


class TestTampering:
    def test_a_value_from_another_run_is_refused_with_run_and_key(
        self, engine: MemoryEngine
    ) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s").add(poll.s(what=MARKER))
        one, other = (engine.submit(workflow, store={"first": text}) for text in ("a", "b"))
        _copy(engine, "store", "first", one, other)
        with pytest.raises(TamperedValueError) as raised:
            other.store.get("first")
        assert "'first'" in str(raised.value)
        assert other.run_id in str(raised.value)
        assert one.store["first"] == "a"

    def test_parameters_from_another_run_fail_the_run_and_nothing_is_done(
        self, engine: MemoryEngine
    ) -> None:
        workflow = Workflow("w")
        workflow.add_stage("s").add(poll.s(what=MARKER))
        one, other = engine.submit(workflow), engine.submit(workflow)
        _copy(engine, "plan", "s2", one, other)
        engine.settle()
        assert one.status is RunStatus.COMPLETED
        client = MemoryClient(engine.server)
        assert client.hget(engine.runner._state.keys.of("run", other.run_id), "status") == b"failed"
        assert "polled" not in other.store
        with pytest.raises(CorruptRunError, match=other.run_id):
            other.result()


class Charge(Action, id="sealed.Charge"):
    """Takes secrets."""

    token: SecretStr
    salt: SecretBytes
    cards: list[Card] = []

    def execute(self, ctx: ActionContext) -> None:
        assert self.token.get_secret_value() == MARKER
        assert self.salt.get_secret_value() == b"\xff\x00"
        assert [card.code.get_secret_value() for card in self.cards] == [MARKER]
        ctx.store["token"] = self.token
        ctx.store["salt"] = self.salt
        assert MARKER not in repr([*ctx.actions])


def charging() -> Workflow:
    card = Card(number="1", code=SecretStr(MARKER))
    workflow = Workflow("charging")
    workflow.add_stage("s").add(
        Charge(token=SecretStr(MARKER), salt=SecretBytes(b"\xff\x00"), cards=[card])
    )
    return workflow


class TestSecretTypes:
    @pytest.mark.parametrize("keys", [FIRST, None], ids=["a key", "no key"])
    def test_they_reach_the_worker_and_the_store_in_a_test_without_keys_too(
        self, keys: str | None
    ) -> None:
        with MemoryEngine(settings=settings(keys)) as engine:
            result = engine.execute(charging())
            assert result.error is None
            assert result.store.get("token", SecretStr).get_secret_value() == MARKER
            assert result.store["salt"].get_secret_value() == b"\xff\x00"

    def test_they_go_through_a_definition_as_json(self) -> None:
        workflow = charging()
        again = Workflow.from_json(workflow.to_json())
        assert again.digest == workflow.digest
        assert MARKER not in repr((workflow.definition(), again.definition()))

    def test_a_plain_text_in_a_file_becomes_a_secret_where_the_action_says_so(self) -> None:
        document = {
            "id": "w",
            "stages": [
                {
                    "id": "s",
                    "actions": [
                        {"action": "sealed.Charge", "params": {"token": MARKER, "salt": "_wA="}}
                    ],
                }
            ],
        }
        assert MARKER not in repr(Workflow.from_dict(document).definition())

    def test_without_keys_a_server_does_not_get_them(self, memory_bench: Bench) -> None:
        with pytest.raises(NotStorableError, match="GOSTAGE_ENCRYPTION_KEYS"):
            memory_bench.submit(charging())
        with pytest.raises(NotStorableError, match="GOSTAGE_ENCRYPTION_KEYS"):
            memory_bench.runner.prepare(charging())
        assert memory_bench.runner.list() == []

    def test_without_keys_an_action_that_stores_one_fails(self, memory_bench: Bench) -> None:
        @action("sealed.leak")
        def leak(ctx: ActionContext) -> None:
            ctx.store["token"] = SecretStr(MARKER)

        workflow = Workflow("w")
        workflow.add_stage("s").add(leak.s())
        result = memory_bench.drain(memory_bench.submit(workflow))
        assert result.error is not None
        assert result.error.type == NotStorableError.__name__

    def test_a_change_of_one_shows_that_there_is_one(self, engine: MemoryEngine) -> None:
        run = engine.submit(charging())
        with run.edit(reason="a new one") as plan:
            plan.actions["Charge"].set(token=SecretStr(f"{MARKER}2"))
            assert MARKER not in str(plan.changes)
        told = str(run.plan.revisions[-1].changes)
        assert 'token: "**********" → "**********"' in told
        assert MARKER not in repr(run.plan.at(2))


def test_no_crash_makes_a_difference(gostage_crashes: Callable[..., Crashes]) -> None:
    workflow = Workflow("w")
    workflow.add_stage("s").add(poll.s(what=MARKER).options(store_as="kept"))
    child = Workflow("child")
    child.add_stage("s").add(poll.s(what=MARKER))
    workflow.add_stage("t").add(RunWorkflow(child, store={"own": MARKER}, take=["polled"]))

    def engine() -> MemoryEngine:
        return MemoryEngine(settings=settings())

    for scenario in gostage_crashes(workflow, engine=engine):
        result = scenario.run()
        assert result.status is RunStatus.COMPLETED, scenario
        assert result.store["kept"] == result.store["polled"] == MARKER, scenario
        assert readable(scenario.engine) == [], scenario


def _lengthen(plan: PlanEdit) -> None:
    plan.actions["poll"].options(timeout=60)


def _hint(run: Run) -> Any:
    from tests.support.bench import Message

    return Message(run.run_id, "2")


def _copy(engine: MemoryEngine, key: str, field: str, one: Run, other: Run) -> None:
    keys, client = engine.runner._state.keys, MemoryClient(engine.server)
    value = client.hget(keys.of(key, one.run_id), field)
    client.hset(keys.of(key, other.run_id), field, value)
