"""Messages of actions on the server: their order, what they outlive, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    ForEach,
    Message,
    MessageLimitError,
    NoRetry,
    Retry,
    RunNotFoundError,
    RunStatus,
    RunTimeoutError,
    RunWorkflow,
    Stage,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from gostage_core.errors import CorruptRunError
from gostage_core.settings import Settings
from gostage_core.status import ActionStatus
from tests.support.bench import Bench
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run
    from gostage_core.authoring.action import Action
    from gostage_core.state.answers import Claim

pytestmark = pytest.mark.usefixtures("fresh_registry")


@pytest.fixture
def tight(server: RedisServer, namespace: str, fresh_registry: None) -> Iterator[Bench]:
    """A bench where a run keeps three messages, of a thousand bytes at most."""
    settings = Settings(
        redis_url=server.url, namespace=namespace, max_messages=3, max_message_bytes=1024
    )
    bench = Bench(settings)
    yield bench
    bench.close()


def workflow_of(*actions: Action, workflow_id: str = "w", parallel: bool = False) -> Workflow:
    workflow = Workflow(workflow_id)
    workflow.add_stage(Stage("s", actions, parallel=parallel))
    return workflow


def sends(*payloads: Any, kind: str = "note") -> Action:
    @action("sends")
    def send(ctx: ActionContext, payloads: list[Any], kind: str) -> None:
        for payload in payloads:
            ctx.send(kind, payload)

    return send.s(payloads=list(payloads), kind=kind)


def payloads_of(run: Run, **options: Any) -> list[Any]:
    return [message.payload for message in run.messages(**options)]


def claim_of(bench: Bench, run: Run) -> Claim:
    """Claim the first action of a run by hand."""
    claim = bench.state.claim(
        run.run_id, bench.post.messages[0].entry, nonce="n", process="p", slot="1", mark=""
    )
    assert not isinstance(claim, str)
    return claim


def say(bench: Bench, claim: Claim, payload: Any, nonce: str) -> tuple[str, tuple[str, ...]]:
    answer = bench.state.say(
        claim, nonce=nonce, type="note", payload=json.dumps(payload), stage="s", action="a"
    )
    return answer.word, answer.details


def put_below(bench: Bench, child: Run, parent: Run) -> None:
    """Make a run the child of another one, as its header says it."""
    bench.state.client.hset(
        bench.state.keys.of("run", child.run_id), "parent", f"{parent.run_id} 2"
    )


def test_messages_come_in_the_order_in_which_they_were_sent_and_say_from_where(
    bench: Bench,
) -> None:
    @action
    def second(ctx: ActionContext) -> None:
        ctx.send("other", {"attempt": ctx.attempt})

    first = 'fi"rst/ü'
    workflow = workflow_of(sends(1, [2], None).options(name=first), second.s(), workflow_id="w.1")
    run = bench.submit(workflow)
    bench.drain(run)
    messages = list(run.messages())
    assert [message.payload for message in messages] == [1, [2], None, {"attempt": 1}]
    assert [message.type for message in messages] == ["note", "note", "note", "other"]
    assert [message.context.sequence for message in messages] == [1, 2, 3, 4]
    assert {message.context.run_id for message in messages} == {run.run_id}
    assert {message.context.workflow for message in messages} == {"w.1"}
    assert [message.context.action for message in messages] == [first] * 3 + ["second"]
    assert {message.context.stage for message in messages} == {"s"}
    assert {message.context.attempt for message in messages} == {1}
    assert [message.at for message in messages] == sorted(message.at for message in messages)


def test_who_comes_late_reads_from_the_beginning_and_who_was_there_goes_on(bench: Bench) -> None:
    run = bench.submit(workflow_of(sends(*range(40))))
    assert payloads_of(run) == []
    bench.drain(run)
    assert payloads_of(run) == payloads_of(run) == list(range(40))
    assert payloads_of(run, after=37) == [37, 38, 39]
    assert payloads_of(run, after=40) == payloads_of(run, after=99) == []
    assert [m.context.sequence for m in run.messages(after=38)] == [39, 40]


def test_messages_go_out_at_once_while_the_body_runs(bench: Bench) -> None:
    seen: list[list[Any]] = []

    @action
    def talks(ctx: ActionContext) -> None:
        ctx.send("note", "now")
        seen.append(payloads_of(run))

    run = bench.submit(workflow_of(talks.s()))
    bench.drain(run)
    assert seen == [["now"]]


def test_what_a_failing_attempt_has_sent_stays_and_its_next_try_sends_again(bench: Bench) -> None:
    @action(retry=Retry(2))
    def flaky(ctx: ActionContext) -> None:
        ctx.send("note", {"try": ctx.attempt})
        ctx.store["never"] = 1
        raise RuntimeError("no")

    run = bench.submit(workflow_of(flaky.s()))
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert "never" not in result.store
    assert payloads_of(run) == [{"try": 1}, {"try": 2}]
    assert [message.context.attempt for message in run.messages()] == [1, 2]


def test_what_an_attempt_has_sent_stays_when_its_worker_dies(bench: Bench) -> None:
    run = bench.submit(workflow_of(sends("once more")))
    bench.die_at = Moment.BODY_DONE
    bench.drain(run)
    assert payloads_of(run) == ["once more"] * 2
    assert [message.context.attempt for message in run.messages()] == [1, 2]


def test_siblings_share_one_sequence(bench: Bench) -> None:
    members = [sends(n, n).options(name=f"m{n}") for n in range(5)]
    run = bench.submit(workflow_of(*members, parallel=True))
    bench.drain(run)
    messages = list(run.messages())
    assert sorted(message.payload for message in messages) == sorted([*range(5), *range(5)])
    assert [message.context.sequence for message in messages] == list(range(1, 11))


def test_a_call_that_is_sent_again_writes_one_message(bench: Bench) -> None:
    run = bench.submit(workflow_of(sends()))
    claim = claim_of(bench, run)
    assert say(bench, claim, 1, "n1") == say(bench, claim, 1, "n1") == ("said", ())
    assert say(bench, claim, 1, "n2") == ("said", ())
    assert payloads_of(run) == [1, 1]


def test_an_attempt_whose_lease_has_gone_sends_nothing_more(bench: Bench) -> None:
    went_on: list[str] = []

    @action
    def slow(ctx: ActionContext) -> None:
        if ctx.attempt == 1:
            bench.rescuer.lost("frozen")
            bench.step(worker="other")
            try:
                ctx.send("note", "stale")
            except Exception:
                went_on.append("caught")
            went_on.append("after")
        ctx.send("note", ctx.attempt)

    run = bench.submit(workflow_of(slow.s()))
    ended = bench.deliver(bench.post.messages.popleft(), worker="frozen")
    assert ended is not None
    assert ended.word == "fenced"
    assert went_on == []
    assert bench.drain(run).status is RunStatus.COMPLETED
    assert payloads_of(run) == [2]


@pytest.mark.parametrize("token", ["0:n", "1:other", ""])
def test_another_token_than_the_leases_is_refused(bench: Bench, token: str) -> None:
    run = bench.submit(workflow_of(sends()))
    claim = claim_of(bench, run)
    assert say(bench, replace(claim, token=token), 1, "n1") == ("lost", ())
    assert say(bench, replace(claim, entry="99"), 1, "n1") == ("lost", ())
    assert say(bench, replace(claim, run_id="never-was"), 1, "n1") == ("lost", ())
    assert payloads_of(run) == []


def test_what_is_no_json_is_the_failure_of_the_action_and_names_the_type(bench: Bench) -> None:
    @action
    def wrong(ctx: ActionContext) -> None:
        ctx.send("note", {"ok": 1})
        ctx.send("note", {"tags": {"a"}})

    run = bench.submit(workflow_of(wrong.s()))
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "NotStorableError"
    assert "payload['tags'] is of type set" in result.error.message
    assert payloads_of(run) == [{"ok": 1}]


def test_a_body_may_go_on_after_what_was_refused(bench: Bench) -> None:
    @action(store_as="refused")
    def tries(ctx: ActionContext) -> str:
        try:
            ctx.send("note", object())
        except TypeError as error:
            ctx.send("note", "instead")
            return type(error).__name__
        return ""

    run = bench.submit(workflow_of(tries.s()))
    assert bench.drain(run).store["refused"] == "NotStorableError"
    assert payloads_of(run) == ["instead"]


def test_a_message_that_is_too_large_is_refused_and_the_run_stays_whole(tight: Bench) -> None:
    @action(retry=None)
    def huge(ctx: ActionContext) -> None:
        ctx.store["kept"] = ctx.attempt
        ctx.send("note", "small")
        ctx.checkpoint()
        ctx.send("note", "x" * 10_000_000)

    run = tight.submit(workflow_of(huge.s(), sends("next")), store={"a": 1})
    result = tight.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "ValueTooLargeError"
    assert "message 'note' is 10,000,0" in result.error.message
    assert "GOSTAGE_MAX_MESSAGE_BYTES" in result.error.message
    assert [one.status for one in result.actions] == [ActionStatus.FAILED, ActionStatus.PENDING]
    assert result.store.export() == {"a": 1, "kept": 1}
    assert payloads_of(run) == ["small"]


def test_a_run_that_keeps_as_many_as_it_may_refuses_more_and_loses_none(tight: Bench) -> None:
    @action
    def talks(ctx: ActionContext) -> None:
        for n in range(3):
            ctx.send("note", n)
        try:
            ctx.send("note", 3)
        except MessageLimitError as error:
            ctx.store["said"] = str(error)
            raise NoRetry("full") from error

    run = tight.submit(workflow_of(talks.s()))
    result = tight.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.cause is not None
    assert result.error.cause.type == "MessageLimitError"
    assert "GOSTAGE_MAX_MESSAGES" in result.error.cause.message
    assert payloads_of(run) == [0, 1, 2]


def test_a_repeat_of_the_last_message_that_fits_is_no_limit(tight: Bench) -> None:
    run = tight.submit(workflow_of(sends()))
    claim = claim_of(tight, run)
    words = [say(tight, claim, n, f"n{n}") for n in (1, 2, 3, 3, 4)]
    assert words == [("said", ())] * 4 + [("full", (run.run_id,))]


def test_every_run_above_has_the_messages_too_each_by_its_own_sequence(bench: Bench) -> None:
    top = bench.submit(workflow_of(sends("top"), workflow_id="top"))
    middle = bench.submit(workflow_of(sends("middle"), workflow_id="middle"))
    below = bench.submit(workflow_of(sends("below"), workflow_id="below"))
    put_below(bench, middle, top)
    put_below(bench, below, middle)
    bench.post.messages.reverse()
    bench.step()
    bench.step()
    bench.drain(top)
    assert payloads_of(below) == ["below"]
    assert payloads_of(middle) == ["below", "middle"]
    assert payloads_of(top) == ["below", "middle", "top"]
    messages = list(top.messages())
    assert [message.context.sequence for message in messages] == [1, 2, 3]
    assert [message.context.run_id for message in messages] == [
        below.run_id, middle.run_id, top.run_id,
    ]  # fmt: skip
    assert [message.context.workflow for message in messages] == ["below", "middle", "top"]


def test_a_run_that_has_ended_gets_no_more_and_those_above_it_do(bench: Bench) -> None:
    top, middle, below = (bench.submit(workflow_of(sends(n))) for n in range(3))
    put_below(bench, middle, top)
    put_below(bench, below, middle)
    bench.post.messages.rotate(-1)
    bench.drain(middle)
    bench.drain(below)
    assert payloads_of(middle) == [1]
    assert payloads_of(top)[:2] == [1, 2]


def test_a_workflow_within_a_workflow_sends_into_both_runs(bench: Bench) -> None:
    inner = workflow_of(sends("inner"), workflow_id="inner")
    middle = workflow_of(sends("middle"), RunWorkflow(inner), workflow_id="middle")
    outer = workflow_of(RunWorkflow(middle, store_as="child"), sends("outer"), workflow_id="outer")
    run = bench.submit(outer)
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED
    messages = list(run.messages())
    assert [message.payload for message in messages] == ["middle", "inner", "outer"]
    assert [message.context.workflow for message in messages] == ["middle", "inner", "outer"]
    assert [message.context.sequence for message in messages] == [1, 2, 3]
    assert messages[0].context.run_id == result.store["child"] != run.run_id
    child = bench._runner.get(messages[0].context.run_id)
    assert payloads_of(child) == ["middle", "inner"]


def test_each_item_of_a_for_each_sends_into_the_stream_of_the_run(bench: Bench) -> None:
    @action
    def tell(ctx: ActionContext) -> None:
        ctx.send("item", {"index": ctx.index, "item": ctx.item})

    run = bench.submit(workflow_of(ForEach("items", tell.s())), store={"items": ["a", "b"]})
    assert bench.drain(run).status is RunStatus.COMPLETED
    assert sorted(payload["item"] for payload in payloads_of(run)) == ["a", "b"]
    assert {message.context.stage for message in run.messages()} == {"s"}


def test_a_run_above_that_is_full_refuses_the_message_for_all(tight: Bench) -> None:
    top = tight.submit(workflow_of(sends(1, 2, 3)))
    tight.step()
    below = tight.submit(workflow_of(sends()))
    third = tight.submit(workflow_of(sends("more")))
    for run in (below, third):
        put_below(tight, run, top)
    claim = claim_of(tight, below)
    assert top.status.is_terminal
    assert say(tight, claim, 1, "n1") == ("said", ()), "a run that has ended is left as it is"
    assert payloads_of(top) == [1, 2, 3]
    live = tight.submit(workflow_of(sends()))
    put_below(tight, below, live)
    key = tight.state.keys.of("messages", live.run_id)
    tight.state.client.rpush(key, *['[0,"t",0,"w","s","a",1,"r"]'] * 3)
    assert say(tight, claim, 2, "n2") == ("full", (live.run_id,))
    assert payloads_of(below) == [1]


@pytest.mark.parametrize("parent", ["gone 1", "nonsense", "", "own"])
def test_what_stands_above_may_be_gone_or_damaged(bench: Bench, parent: str) -> None:
    run = bench.submit(workflow_of(sends(1)))
    above = f"{run.run_id} 1" if parent == "own" else parent
    bench.state.client.hset(bench.state.keys.of("run", run.run_id), "parent", above)
    claim = claim_of(bench, run)
    assert say(bench, claim, 1, "n")[0] == "said"
    assert payloads_of(run)[0] == 1


def test_following_ends_with_the_run_and_misses_nothing(bench: Bench) -> None:
    run = bench.submit(workflow_of(*(sends(n).options(name=f"a{n}") for n in range(4))))
    bench.step()
    assert [message.payload for message in follow(bench, run)] == [0, 1, 2, 3]
    assert run.status is RunStatus.COMPLETED
    assert [message.payload for message in run.messages(follow=True)] == [0, 1, 2, 3]


def follow(bench: Bench, run: Run, after: int = 0) -> Iterator[Message]:
    """Follow a run and take a step of it at each message."""
    for message in run.messages(follow=True, after=after):
        yield message
        if bench.post.messages:
            bench.step()


def test_following_goes_on_behind_what_was_seen(bench: Bench) -> None:
    run = bench.submit(workflow_of(*(sends(n).options(name=f"a{n}") for n in range(4))))
    bench.step()
    bench.step()
    following = follow(bench, run)
    assert [next(following).payload for _ in range(2)] == [0, 1]
    following.close()
    bench.drain(run)
    assert [message.payload for message in run.messages(follow=True, after=2)] == [2, 3]


def test_following_may_be_limited_and_the_run_goes_on(bench: Bench) -> None:
    run = bench.submit(workflow_of(sends(1)))
    with pytest.raises(RunTimeoutError):
        list(run.messages(follow=True, timeout=0.1))
    assert bench.drain(run).status is RunStatus.COMPLETED


def test_a_run_that_was_never_submitted_has_no_messages_to_read(bench: Bench) -> None:
    run = bench.submit(workflow_of(sends(1)))
    bench.drain(run)
    assert bench.state.purge(run.run_id).word == "purged"
    for options in ({}, {"follow": True}):
        with pytest.raises(RunNotFoundError):
            list(run.messages(**options))


def test_messages_are_forgotten_with_their_run(bench: Bench) -> None:
    run = bench.submit(workflow_of(sends(1)))
    bench.drain(run)
    bench.state.purge(run.run_id)
    assert not bench.state.client.exists(bench.state.keys.of("messages", run.run_id))


@pytest.mark.parametrize("item", [b"", b"{", b"[]", b"\xff", b'["soon",1,2,3,4,5,6,7]'])
def test_what_is_no_message_of_ours_is_damage_and_says_so(bench: Bench, item: bytes) -> None:
    run = bench.submit(workflow_of(sends(1)))
    bench.drain(run)
    bench.state.client.rpush(bench.state.keys.of("messages", run.run_id), item)
    with pytest.raises(CorruptRunError, match="messages"):
        list(run.messages())


def test_a_key_of_another_type_refuses_the_message_before_anything_is_written(
    bench: Bench,
) -> None:
    run = bench.submit(workflow_of(sends(1)))
    claim = claim_of(bench, run)
    key = bench.state.keys.of("messages", run.run_id)
    bench.state.client.set(key, "text")
    with pytest.raises(CorruptRunError):
        say(bench, claim, 1, "n")
    with pytest.raises(CorruptRunError):
        list(run.messages())
    bench.state.client.delete(key)
    assert say(bench, claim, 1, "n")[0] == "said"


def test_messages_outlive_a_restart_of_the_server_and_so_does_who_follows(
    fresh_registry: None, namespace: str
) -> None:
    with RedisServer("--appendfsync", "always") as server:
        bench = Bench(Settings(redis_url=server.url, namespace=namespace))
        run = bench.submit(workflow_of(*(sends(n).options(name=f"a{n}") for n in range(3))))
        bench.step()
        seen: list[int] = []
        for message in run.messages(follow=True):
            seen.append(message.payload)
            server.restart()
            if bench.post.messages:
                bench.step()
        assert seen == [0, 1, 2]
        assert payloads_of(run) == [0, 1, 2]
        bench.close()
