"""Whatever is handed in, sent or found: a clear error or nothing, and no other run's loss."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydantic import field_validator

from gostage_core import (
    AccessRefusedError,
    Action,
    ActionContext,
    ConfigurationError,
    CorruptRunError,
    CorruptValueError,
    DuplicateStageError,
    GostageError,
    InvalidActionError,
    InvalidKeyError,
    InvalidWorkflowError,
    KeyNotFoundError,
    NotStorableError,
    Retry,
    Runner,
    RunNotFoundError,
    RunStatus,
    ServerUnfitError,
    Settings,
    Stage,
    StoreUnavailableError,
    UnknownActionError,
    ValueTooLargeError,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from gostage_core.authoring.registry import registry
from gostage_core.preflight import check_server, inspect_server
from gostage_core.state.operations import State
from tests.support.bench import Bench, Message
from tests.support.server import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import Run
    from gostage_core.attempt import Ended

pytestmark = pytest.mark.usefixtures("fresh_registry")

GARBAGE = [b"\xff\xfe\x00", b"", b"-1", b"9" * 400, b"x|y|z", b"{}", b"[]", b'{"a":', b"nan", None]
"""What a field may be found to hold; ``None`` where it is gone."""

executions: Counter[tuple[str, str]] = Counter()


class Note(Action):
    """Leaves a trace in every part of the record that a run has."""

    number: int = 0
    adds: bool = False

    def execute(self, ctx: ActionContext) -> None:
        executions[ctx.run_id, ctx.action.name] += 1
        ctx.store.append("order", ctx.action.name)
        ctx.store.increment("count")
        ctx.store.put("labelled", 1, tags=["t"], ttl=3600)
        ctx.progress(0.5, "half")
        if self.adds:
            ctx.add_action(note("added"))
            ctx.add_stage(Stage("added", [note("in-added")]))


def note(name: str, **options: Any) -> Action:
    adds = bool(options.pop("adds", False))
    return Note(adds=adds).options(name=name, **options)


def one_stage(*actions: Action) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions))
    return workflow


def everything() -> Workflow:
    """A workflow whose record has every kind of field."""
    workflow = Workflow("full", name="Full", tags=["a", "b/c"])
    workflow.add_stage(Stage("one", [note("a", adds=True, timeout=60), note("b", retry=Retry(2))]))
    sides = [note("p"), note("q"), note("r")]
    workflow.add_stage(Stage("two", sides, initial={"k": [1]}, parallel=True, max_parallel=2))
    workflow.add_stage(Stage("three", [note("z")]))
    return workflow


def submit_full(bench: Bench) -> Run:
    return bench.submit(everything(), store={"first": 1}, tags=["t"], deadline=3600)


# -- What is handed in -----------------------------------------------------------------------------


def test_parameters_that_do_not_fit_name_their_place(bench: Bench) -> None:
    with pytest.raises(InvalidActionError, match="number"):
        Note(number=cast("Any", "many"))
    entry: dict[str, Any] = {
        "action": next(one for one in registry.ids() if one.endswith(":Note")),
        "params": {"number": "many"},
    }
    document = {"id": "w", "stages": [{"id": "s", "actions": [entry]}]}
    with pytest.raises(InvalidActionError, match=r"stages\[0\]\.actions\[0\]\.params\.number"):
        bench.submit(cast("Any", document))
    entry["params"] = {"nmber": 1}
    with pytest.raises(InvalidActionError, match="did you mean 'number'"):
        bench.submit(cast("Any", json.dumps(document)))
    assert_nothing_kept(bench)


def test_an_action_that_nothing_registered_is_refused_where_it_is_submitted(bench: Bench) -> None:
    document = {"id": "w", "stages": [{"id": "s", "actions": [{"action": "os.system"}]}]}
    with pytest.raises(UnknownActionError, match=r"stages\[0\]\.actions\[0\].*os\.system"):
        bench.submit(cast("Any", document))
    assert_nothing_kept(bench)


class Moody(Action):
    """Has a validator that says what this process thinks of it."""

    value: int = 1

    @field_validator("value")
    @classmethod
    def _judge(cls, value: int) -> int:
        if mood:
            raise mood[0]
        return value

    def execute(self, ctx: ActionContext) -> None:
        ctx.store["done"] = self.value


mood: list[Exception] = []


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("no"), MemoryError("no")])
def test_a_worker_that_does_not_agree_with_the_parameters_leaves_the_action_to_others(
    bench: Bench, error: Exception
) -> None:
    run = bench.submit(one_stage(Moody()))
    mood.append(error)
    try:
        assert word(bench.step()) == "released"
    finally:
        mood.clear()
    [released] = [entry for entry in run.journal() if entry.kind == "action.released"]
    assert "no" in released.change["released"]
    assert bench.drain(run).store["done"] == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: (number for number in range(3)),
        lambda: lambda: 1,
        lambda: print,
        threading.Lock,
        threading.Event,
        object,
        lambda: Note,
        lambda: bytearray(b"x"),
        lambda: 1j,
        lambda: contextlib,
        lambda: Settings,
    ],
)
def test_what_cannot_be_stored_says_where_it_is_and_what_to_do_instead(
    bench: Bench, make: Callable[[], Any]
) -> None:
    def body(ctx: ActionContext) -> None:
        ctx.store["before"] = 1
        ctx.store["deep"] = {"list": [1, make()]}

    with pytest.raises(NotStorableError, match=r"\['list'\]\[1\]"):
        bench.submit(one_stage(note("a")), store={"k": {"list": [1, make()]}})
    assert_nothing_kept(bench)
    run = bench.submit(one_stage(action("body")(body).s()))
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "NotStorableError"
    assert run.store.keys() == []


def test_sockets_and_open_files_stay_on_the_worker(bench: Bench, tmp_path: Any) -> None:
    with socket.socket() as open_socket, (tmp_path / "f").open("w") as open_file:
        for value in (open_socket, open_file):
            with pytest.raises(NotStorableError, match="worker"):
                bench.submit(one_stage(note("a")), store={"k": value})


def test_a_returned_value_that_cannot_be_stored_fails_the_attempt(bench: Bench) -> None:
    @action(store_as="k")
    def body(ctx: ActionContext) -> Any:
        ctx.store["before"] = 1
        return object()

    result = bench.drain(bench.submit(one_stage(body.s())))
    assert str(result.error).startswith("s/body: NotStorableError: ")
    assert result.store.keys() == []


class Hostile:
    """An object none of whose methods works."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __bool__(self) -> bool:
        raise RuntimeError("no bool")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("reason", [Hostile(), object(), {1, 2}, b"x", float("nan"), "\ud800"])
def test_whatever_a_body_bails_with_its_attempt_ends(bench: Bench, reason: Any) -> None:
    @action
    def body(ctx: ActionContext) -> None:
        ctx.bail(reason)

    run = bench.submit(one_stage(body.s()))
    assert bench.drain(run).status in (RunStatus.BAILED, RunStatus.FAILED)


def test_workflows_without_stages_and_with_stages_twice_are_refused(bench: Bench) -> None:
    with pytest.raises(InvalidWorkflowError, match="has no stages"):
        bench.submit(Workflow("w"))
    with pytest.raises(InvalidWorkflowError, match="no stages"):
        bench.submit(cast("Any", {"id": "w", "stages": []}))
    with pytest.raises(DuplicateStageError, match="'s'"):
        bench.submit(cast("Any", {"id": "w", "stages": [{"id": "s"}, {"id": "s"}]}))
    for document in (5, None, b"{}", "", "null", "[1]", "{", '{"id": "w"}', "[" * 100_000):
        with pytest.raises(InvalidWorkflowError):
            bench.submit(cast("Any", document))
    assert_nothing_kept(bench)


def test_what_is_too_large_names_the_limit_and_the_setting(settings: Settings) -> None:
    bench = Bench(settings.model_copy(update={"max_value_bytes": 2048, "max_plan_bytes": 4096}))
    with pytest.raises(ValueTooLargeError, match=r"'k' is 3,002 bytes.*GOSTAGE_MAX_VALUE_BYTES"):
        bench.submit(one_stage(note("a")), store={"k": "x" * 3000})
    with pytest.raises(ValueTooLargeError, match=r"workflow 'w' is .*GOSTAGE_MAX_PLAN_BYTES"):
        bench.submit(one_stage(*[note("a")] * 100))
    assert_nothing_kept(bench)

    @action
    def grow(ctx: ActionContext) -> None:
        ctx.store["before"] = 1
        ctx.add_action(*[note("a")] * 100)

    run = bench.submit(one_stage(grow.s()))
    result = bench.drain(run)
    assert result.error is not None
    assert result.error.type == "ValueTooLargeError"
    assert "what 'grow' adds to the plan" in result.error.message
    assert [a.name for a in result.actions] == ["grow"]
    assert run.store.keys() == []
    bench.close()


@pytest.mark.parametrize(
    "run_id",
    [
        "",
        " ",
        "a b",
        "a/b",
        "a}{b",
        "{",
        "*",
        "a\n",
        "a\x00",
        "\ud800",
        "😀",
        "x" * 201,
        "é",
        5,
        None,
        b"a",
    ],
)
def test_a_run_id_that_none_can_have_is_refused_and_never_found(bench: Bench, run_id: Any) -> None:
    if run_id is not None:
        with pytest.raises(InvalidWorkflowError, match="is not 1 to 200 of"):
            bench.submit(one_stage(note("a")), run_id=run_id)
    with pytest.raises(RunNotFoundError):
        runner_of(bench).get(run_id)
    assert_nothing_kept(bench)


def test_long_names_are_refused_in_short_messages(bench: Bench) -> None:
    long = "x" * 10_000_000
    for options in ({"run_id": long}, {"key": long}, {"tags": [long]}, {"store": {long: 1}}):
        with pytest.raises((InvalidWorkflowError, InvalidKeyError)) as refused:
            bench.submit(one_stage(note("a")), **options)
        assert len(str(refused.value)) < 500
    for build in (lambda: Workflow(long), lambda: Stage(long), lambda: note(long)):
        with pytest.raises(GostageError) as bad:
            build()
        assert len(str(bad.value)) < 1000
    assert_nothing_kept(bench)


@pytest.mark.parametrize("name", ["", "\n", "a\x00b", "\ud83d", "__x", 5])
def test_keys_and_tags_that_are_no_names_are_refused(bench: Bench, name: Any) -> None:
    for options in ({"key": name}, {"tags": [name]}):
        with pytest.raises(InvalidKeyError):
            bench.submit(one_stage(note("a")), **options)
    with pytest.raises(TypeError, match="list of words"):
        bench.submit(one_stage(note("a")), tags="word")
    assert runner_of(bench).list(tag=name) == runner_of(bench).list(workflow=name) == []
    assert_nothing_kept(bench)


ODD = [
    "a}{b",
    "{",
    "😀",
    "a/b",
    '"',
    "\\",
    "<script>",
    "{{7*7}}",
    "%s",
    "${jndi}",
    "status",
    "d",
    " ",
    "é",
]


def test_odd_names_that_are_allowed_are_kept_and_found_again(bench: Bench) -> None:
    for name in ODD:
        run = bench.submit(one_stage(note("a", tags=[name])), key=name, tags=[name])
        again = bench.submit(one_stage(note("a")), key=name)
        assert again.run_id == run.run_id
        assert [one.run_id for one in runner_of(bench).list(tag=name)] == [run.run_id]
        assert bench.drain(run).actions[0].tags == (name,)
        expire(bench, run)
    left = {key.decode().partition("}:")[2] for key in keys_of(bench)}
    assert left <= {"marks", "alive", "beat", "numbers"}


INTERNAL = ["0", "1", "r1", "l1", "s1", "g", "d", "t", "status", "revision", "run", "a:b", "-", "."]


def test_stages_and_actions_may_be_called_like_what_is_internal(bench: Bench) -> None:
    workflow = Workflow("status")
    for name in INTERNAL:
        workflow.add_stage(Stage(name, [note(name), note("d")]))
    result = bench.drain(bench.submit(workflow, run_id="wake", store={"bytes": 1, "r1": 2, "k": 0}))
    assert result.status is RunStatus.COMPLETED
    assert result.store["order"] == [name for one in INTERNAL for name in (one, "d")]
    assert list(result.stages) == INTERNAL
    assert (result.store["bytes"], result.store["r1"]) == (1, 2)


@pytest.mark.parametrize("deadline", [-1, float("nan"), float("inf"), "soon", True, 10**12])
def test_a_deadline_that_is_no_duration_is_refused(bench: Bench, deadline: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        bench.submit(one_stage(note("a")), deadline=deadline)
    assert_nothing_kept(bench)


# -- What is sent ----------------------------------------------------------------------------------

FORGED_ENTRIES: list[Any] = [
    "0", "1", "2", "-1", "x", "", " ", "d", "3 t", "1e3", "9" * 18, "9" * 1000, "\n", "\ud800", "½",
    "1\n", None, 5, True, 1.5, [], {"a": 1}, b"3",
]  # fmt: skip


@pytest.mark.parametrize("entry", FORGED_ENTRIES)
def test_a_forged_entry_changes_nothing(bench: Bench, entry: Any) -> None:
    run = bench.submit(one_stage(note("a"), note("b")))
    messages = list(bench.post.messages)
    if entry == messages[0].entry:
        return
    before = dump(bench)
    assert word(bench.deliver(Message(run.run_id, entry))) in ("gone", "early")
    assert dump(bench) == before
    assert bench.drain(run).store["order"] == ["a", "b"]


@pytest.mark.parametrize(
    "run_id",
    ["never", "", "a b", "*", "}:run:x", "\ud800", "x" * 10_000_000, None, 5, [], {}, b"x"],
)
def test_a_forged_run_changes_nothing(bench: Bench, run_id: Any) -> None:
    run = bench.submit(one_stage(note("a")))
    before = dump(bench)
    assert word(bench.deliver(Message(run_id, "2"))) == "gone"
    assert dump(bench) == before
    assert bench.drain(run).status is RunStatus.COMPLETED


def test_a_message_of_another_namespace_changes_nothing(bench: Bench) -> None:
    other = Bench(bench.settings.model_copy(update={"namespace": bench.settings.namespace + "x"}))
    run = bench.submit(one_stage(note("a")))
    message = bench.post.messages[0]
    assert word(other.deliver(message)) == "gone"
    assert keys_of(other) == set()
    assert bench.drain(run).status is RunStatus.COMPLETED
    other.close()


def test_forged_tails_and_doubles_change_nothing(bench: Bench) -> None:
    run = bench.submit(one_stage(*(note(name) for name in "abcd")))
    entries = [bench.post.messages[0].entry, *bench.post.messages[0].tail]
    for entry in reversed(entries):
        bench.post.messages.append(Message(run.run_id, entry, ("0", "x", entry)))
    assert bench.drain(run).store["order"] == list("abcd")


# -- What is found in Redis ------------------------------------------------------------------------


def as_text(name: str) -> Callable[[Bench, str], None]:
    """Another type in place of one key of the run."""

    def damage(bench: Bench, run_id: str) -> None:
        parts = (run_id, "order") if name == "items" else (run_id,)
        key = bench.state.keys.of(name, *parts)
        bench.state.client.delete(key)
        bench.state.client.set(key, "of another type")

    return damage


def as_list(name: str) -> Callable[[Bench, str], None]:
    def damage(bench: Bench, run_id: str) -> None:
        parts = (run_id, "order") if name == "items" else (run_id,)
        key = bench.state.keys.of(name, *parts)
        bench.state.client.delete(key)
        bench.state.client.rpush(key, b"\xff", "of another type")

    return damage


def gone(name: str) -> Callable[[Bench, str], None]:
    def damage(bench: Bench, run_id: str) -> None:
        bench.state.client.delete(bench.state.keys.of(name, run_id))

    return damage


KEYS = ["run", "plan", "live", "store", "meta", "items", "journal"]
WHOLE: dict[str, Callable[[Bench, str], None]] = {
    **{f"{name} as text": as_text(name) for name in KEYS},
    **{f"{name} as a list": as_list(name) for name in KEYS},
    **{f"{name} gone": gone(name) for name in KEYS if name != "items"},
}


def before_the_first(bench: Bench, run: Run, damage: Callable[[Bench, str], None]) -> None:
    damage(bench, run.run_id)


def between_two(bench: Bench, run: Run, damage: Callable[[Bench, str], None]) -> None:
    bench.step()
    damage(bench, run.run_id)


def while_one_runs(bench: Bench, run: Run, damage: Callable[[Bench, str], None]) -> None:
    interrupt.append(lambda: damage(bench, run.run_id))


def after_a_death(bench: Bench, run: Run, damage: Callable[[Bench, str], None]) -> None:
    """While a dead worker still holds its action, past its timeout."""
    bench.die_at = Moment.CLAIMED
    bench.step(worker="victim")
    damage(bench, run.run_id)


def at_its_end(bench: Bench, run: Run, damage: Callable[[Bench, str], None]) -> None:
    bench.drain(run)
    damage(bench, run.run_id)


interrupt: list[Callable[[], None]] = []
MOMENTS = [before_the_first, between_two, while_one_runs, after_a_death, at_its_end]


class Interrupted(Action):
    """Lets the damage happen while it runs."""

    def execute(self, ctx: ActionContext) -> None:
        executions[ctx.run_id, "interrupted"] += 1
        ctx.store.append("order", "interrupted")
        while interrupt:
            interrupt.pop()()


def full_run(bench: Bench) -> Run:
    workflow = everything()
    workflow.stages["one"].add(note("last"))
    first = Workflow("full", name="Full", tags=["a", "b/c"])
    first.add_stage(Stage("zero", [note("early"), Interrupted().options(name="interrupted")]))
    for stage in workflow.stages.values():
        first.add_stage(stage)
    return bench.submit(first, store={"first": 1}, tags=["t"], deadline=3600)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.parametrize("kind", WHOLE)
def test_a_key_of_another_type_harms_its_own_run_alone(
    bench: Bench, kind: str, moment: Callable[..., None]
) -> None:
    harm(bench, WHOLE[kind], moment)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.parametrize("name", ["run", "plan"])
def test_a_field_that_is_garbled_or_gone_harms_its_own_run_alone(
    bench: Bench, name: str, moment: Callable[..., None]
) -> None:
    # Each field in one of ten ways, its neighbour in another, and all anew at the next moment.
    turn = MOMENTS.index(moment)
    for number, field in enumerate(fields_at(bench, name, moment)):
        harm(bench, garbling(name, field, GARBAGE[(number + turn) % len(GARBAGE)]), moment)


def fields_at(bench: Bench, name: str, moment: Callable[..., None]) -> list[bytes]:
    """The fields that a hash of the run has at this moment."""
    found: list[bytes] = []

    def look(bench: Bench, run_id: str) -> None:
        found.extend(
            cast("list[bytes]", bench.state.client.hkeys(bench.state.keys.of(name, run_id)))
        )

    run = full_run(bench)
    moment(bench, run, look)
    bench.bury()
    bench.drain(run)
    return found


def garbling(name: str, field: bytes, garbage: bytes | None) -> Callable[[Bench, str], None]:
    def damage(bench: Bench, run_id: str) -> None:
        key = bench.state.keys.of(name, run_id)
        if garbage is None:
            bench.state.client.hdel(key, cast("str", field))
        else:
            bench.state.client.hset(key, field, garbage)

    return damage


def test_a_run_of_a_later_schema_is_left_to_later_versions(bench: Bench) -> None:
    run = full_run(bench)
    garbling("run", b"schema", b"2")(bench, run.run_id)
    assert word(bench.step()) == "damaged"
    go_on(bench, rounds=5)
    for use in (
        lambda: run.status,
        run.result,
        run.cancel,
        lambda: runner_of(bench).get(run.run_id),
    ):
        with pytest.raises(
            CorruptRunError, match="schema 2, which this version of gostage"
        ) as told:
            use()
        assert told.value.run_id == run.run_id
    garbling("run", b"schema", b"1")(bench, run.run_id)
    while not run.status.is_terminal:
        go_on(bench, rounds=1)
    assert run.status is RunStatus.COMPLETED


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xff", b"null", b"[1]", b'[1,"k",0,1', b'["x","k",0,1,null]', b'[9e99,"k",0,1,{}]'],
)
def test_a_garbled_history_is_told_where_it_is_read_and_the_run_goes_on(
    bench: Bench, garbage: bytes
) -> None:
    run = full_run(bench)
    bench.state.client.lset(bench.state.keys.of("journal", run.run_id), 0, garbage)  # type: ignore[arg-type]
    assert bench.drain(run).status is RunStatus.COMPLETED
    with pytest.raises(CorruptRunError, match="journal"):
        run.journal()
    assert len(run.journal(after=1)) > 10


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff", b"Lx", b"L", b'{"$":"nope"}', b'{"a":', b"[1", b"1e400x"]
)
def test_a_garbled_value_is_told_where_it_is_read(bench: Bench, garbage: bytes) -> None:
    run = bench.submit(one_stage(note("a")), store={"good": 1})
    store = bench.state.keys.of("store", run.run_id)
    bench.state.client.hset(store, "bad", garbage)
    bench.state.client.hset(store, b"\xff\x00", b"x")
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED
    for reader in (run.store, result.store):
        assert reader["good"] == 1
        if garbage != b"L":
            with pytest.raises(CorruptValueError):
                reader["bad"]
        assert "good" in reader.keys(type=int)
        assert "bad" not in reader.keys(schema={"type": "string"})


def test_garbled_metadata_and_items_are_told_where_they_are_read(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a"), note("b")))
    bench.step()
    keys, client = bench.state.keys, bench.state.client
    client.hset(keys.of("meta", run.run_id), "labelled", "garbage")
    client.rpush(keys.of("items", run.run_id, "order"), "no place")
    assert run.store["labelled"] == 1
    with pytest.raises(CorruptValueError, match="metadata"):
        run.store.metadata("labelled")
    assert run.store.keys(tag="t") == []
    with pytest.raises(CorruptValueError, match="appended"):
        run.store["order"]
    assert bench.drain(run).status is RunStatus.COMPLETED
    assert run.store.metadata("labelled").tags == {"t"}


def harm(bench: Bench, damage: Callable[[Bench, str], None], moment: Callable[..., None]) -> None:
    """Damage a run at a moment: nothing raises, no other run is touched, errors are clear."""
    executions.clear()
    interrupt.clear()
    run = full_run(bench)
    moment(bench, run, damage)
    other = submit_full(bench)
    bench.bury()
    go_on(bench, rounds=60)
    while not other.status.is_terminal:
        go_on(bench, rounds=1)
    assert other.status is RunStatus.COMPLETED
    assert other.store["count"] == 8
    assert_each_ran_a_bounded_number_of_times()
    assert_clear(bench, run)
    assert other.run_id in [one.run_id for one in runner_of(bench).list(limit=1000)]
    assert [one.run_id for one in runner_of(bench).list(tag="b/c", workflow="full")].count(
        other.run_id
    ) == 1
    for one in (run, other):
        expire(bench, one)
    with pytest.raises(RunNotFoundError):
        runner_of(bench).get(other.run_id)
    clear(bench, run.run_id)


def go_on(bench: Bench, rounds: int) -> None:
    """Deliver what there is, and let every timer come due, so many times."""
    for _ in range(rounds):
        if bench.post.messages:
            bench.step()
        else:
            let_time_pass(bench)


def let_time_pass(bench: Bench) -> None:
    client = bench.state.client
    for index in map(bench.state.keys.of, ("wake", "sent")):
        for member in cast("list[bytes]", client.zrange(index, 0, -1)):
            if not member.endswith(b" d"):
                client.zadd(index, {member: 0}, xx=True)
    bench.state.renew(["w"])
    bench.rescuer.tick()


def assert_each_ran_a_bounded_number_of_times() -> None:
    """No more often than one action may lose its worker, and its retries."""
    assert [name for name, times in executions.items() if times > 5] == []


def assert_clear(bench: Bench, run: Run) -> None:
    """Each question to the run is answered, or with an error that names it."""
    store = run.store
    questions: list[Callable[[], object]] = [
        lambda: run.status, run.result, run.journal, lambda: run.plan, store.keys, store.export,
        lambda: store["order"], lambda: store.metadata("labelled"), lambda: "first" in store,
        lambda: runner_of(bench).get(run.run_id), lambda: run.cancel(reason="enough"),
    ]  # fmt: skip
    told = False
    for question in questions:
        try:
            question()
        except CorruptRunError as error:
            assert error.run_id == run.run_id
            assert run.run_id in str(error)
            assert "user_script" not in str(error)
            assert len(str(error)) < 1000
            told = True
        except (CorruptValueError, KeyNotFoundError, RunNotFoundError):
            pass
        except GostageError as error:
            assert "already" in str(error), repr(error)
    assert told or status_of(bench, run) in ENDED, "a run that never ends, and nobody is told"


ENDED = {"completed", "failed", "cancelled", "gone"}


def status_of(bench: Bench, run: Run) -> str:
    try:
        return run.status
    except RunNotFoundError:
        return "gone"


# -- What is found beside the runs -----------------------------------------------------------------

STRANGE = [
    b"\xff\xfe",
    b"",
    b" ",
    b"x",
    b"never-was 3",
    b"never-was 3 t",
    b"never-was d",
    b"a b c d",
    b"x\ny z",
]


@pytest.mark.parametrize("index", ["wake", "sent", "alive", "expiry"])
def test_what_names_no_run_is_taken_off_the_indexes(bench: Bench, index: str) -> None:
    key = bench.state.keys.of(index)
    bench.state.client.zadd(key, dict.fromkeys(cast("list[Any]", STRANGE), 0))
    run = submit_full(bench)
    bench.post.messages.clear()
    let_time_pass(bench)
    assert bench.drain(run).status is RunStatus.COMPLETED
    left = cast("list[bytes]", bench.state.client.zrange(key, 0, -1))
    assert set(left).isdisjoint(STRANGE)


def test_claims_that_name_nothing_are_taken_off_the_books_of_the_dead(bench: Bench) -> None:
    run = submit_full(bench)
    claims = dict(zip(map(str, range(len(STRANGE))), STRANGE, strict=True))
    claims["mine"] = f"{run.run_id} zz".encode()
    bench.state.client.hset(bench.state.keys.of("claims", "dead"), mapping=cast("Any", claims))
    bench.state.client.set(bench.state.keys.of("claims", "odd"), "of another type")
    bench.state.client.zadd(bench.state.keys.of("alive"), {"dead": 0, "odd": 0})
    bench.rescuer.tick()
    assert bench.state.claims_of("dead") == {}
    bench.state.client.zadd(bench.state.keys.of("alive"), {"dead": 0}, xx=True)
    bench.rescuer.tick()
    assert bench.state.client.zscore(bench.state.keys.of("alive"), "dead") is None
    assert bench.state.client.zscore(bench.state.keys.of("alive"), "odd") is None
    assert bench.drain(run).status is RunStatus.COMPLETED


def test_garbled_marks_of_a_queue_stop_nothing(bench: Bench) -> None:
    marks = bench.state.keys.of("marks")
    bench.state.client.hset(
        marks, mapping=cast("Any", {"queue": b"\xff", b"\xfe": b"1", "q": "1e3"})
    )
    run = submit_full(bench)
    bench.post.messages.clear()
    let_time_pass(bench)
    assert bench.drain(run).status is RunStatus.COMPLETED


def test_an_idempotency_key_that_leads_nowhere_is_used_anew(bench: Bench) -> None:
    for number, garbage in enumerate((b"\xff", b"", b"never-was", b"x y")):
        bench.state.client.hset(bench.state.keys.of("keys"), f"k{number}", garbage)
        run = bench.submit(one_stage(note("a")), key=f"k{number}")
        assert bench.submit(one_stage(note("a")), key=f"k{number}").run_id == run.run_id
        assert bench.drain(run).status is RunStatus.COMPLETED


def test_indexes_that_name_no_run_do_not_stop_a_list(bench: Bench) -> None:
    run = submit_full(bench)
    strange: dict[Any, float] = dict.fromkeys([b"\xff", b"", b"never-was", b"a b"], 9e15)
    bench.state.client.zadd(bench.state.keys.of("runs"), strange)
    assert [one.run_id for one in runner_of(bench).list()] == [run.run_id]


# -- The server ------------------------------------------------------------------------------------


def every_call(runner: Runner) -> list[Callable[[], object]]:
    return [
        runner.ping, runner.list, lambda: runner.get("run"),
        lambda: runner.submit(one_stage(note("a"))), lambda: runner.execute(one_stage(note("a"))),
    ]  # fmt: skip


@pytest.fixture
def guarded(server: RedisServer) -> Iterator[RedisServer]:
    """The server with a user who may do nothing, and one who has a password."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "ana", "on", ">sesame", "~*", "&*", "+@all")
        client.execute_command(
            "ACL", "SETUSER", "guest", "on", ">guest", "-@all", "+hello", "+client"
        )
        yield server
        client.execute_command("ACL", "DELUSER", "ana", "guest")


@pytest.mark.parametrize("user", ["ana:wrong", "nobody:sesame", "guest:guest"])
def test_a_wrong_user_or_password_says_which_setting_to_change(
    guarded: RedisServer, user: str
) -> None:
    runner = Runner(f"redis://{user}@127.0.0.1:{guarded.port}/0")
    for call in every_call(runner):
        with pytest.raises(AccessRefusedError, match="GOSTAGE_REDIS_URL") as refused:
            call()
        assert "wrong" not in str(refused.value)
        assert "sesame" not in str(refused.value)
    runner.close()


def test_the_right_password_works(guarded: RedisServer, namespace: str) -> None:
    runner = Runner(f"redis://ana:sesame@127.0.0.1:{guarded.port}/0", namespace=namespace)
    runner.ping()
    assert runner.list() == []
    runner.close()


def test_a_server_that_refuses_connections_is_an_error_and_not_a_wait(settings: Settings) -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    runner = Runner(settings=settings.model_copy(update={"redis_url": url}))
    for call in every_call(runner):
        with pytest.raises(StoreUnavailableError, match="does not answer") as unreachable:
            call()
        assert "secret" not in str(unreachable.value)
    runner.close()


def test_a_server_that_is_no_redis_is_an_error(settings: Settings) -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        url = f"redis://127.0.0.1:{port}/0"
        runner = Runner(settings=settings.model_copy(update={"redis_url": url}))
        with pytest.raises(StoreUnavailableError, match=f":{port}"):
            runner.ping()
        runner.close()


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that says the same to everybody."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1024)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://localhost",
        "redis://localhost:x",
        "redis://[",
    ],
)
def test_what_is_no_url_of_a_redis_is_refused_where_it_is_given(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not the URL of a Redis server"):
        Runner(url)


# Such servers are not at hand: only what they say of themselves is made up.
INFO: dict[str, Any] = {
    "redis_version": "7.2.0", "role": "master", "maxmemory_policy": "noeviction", "maxmemory": 0,
    "aof_enabled": 1,
}  # fmt: skip


@pytest.mark.parametrize("version", ["6.0.16", "5.0.14", "2.8", "6.1.999", "", "garbage"])
def test_a_server_below_6_2_is_refused(
    state: State, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.client, "info", lambda: {**INFO, "redis_version": version})
    with pytest.raises(ServerUnfitError, match=r"version: .* too old; 6\.2 or later"):
        check_server(state)


@pytest.mark.parametrize("version", ["6.2.0", "6.2.14", "7.0.15", "8.0.1", "10.0"])
def test_a_server_from_6_2_on_is_taken(
    state: State, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.client, "info", lambda: {**INFO, "redis_version": version})
    check_server(state)


def test_a_replica_is_refused_and_named_where_it_is_written_to(
    settings: Settings, server: RedisServer
) -> None:
    with RedisServer("--replicaof", "127.0.0.1", str(server.port)) as replica:
        state = State(settings.model_copy(update={"redis_url": replica.url}))
        with pytest.raises(ServerUnfitError, match="role: this is a replica"):
            check_server(state)
        runner = Runner(settings=state.settings)
        with pytest.raises(StoreUnavailableError, match="answers: "):
            runner.submit(one_stage(note("a")))
        runner.close()
        state.client.close()


def test_a_server_that_may_throw_runs_away_is_refused(settings: Settings) -> None:
    with RedisServer("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru") as evicting:
        state = State(settings.model_copy(update={"redis_url": evicting.url}))
        with pytest.raises(ServerUnfitError, match="maxmemory-policy: allkeys-lru"):
            check_server(state)
        state.client.config_set("maxmemory", "0")
        levels = {finding.setting: finding.level for finding in inspect_server(state)}
        assert levels["maxmemory-policy"] == "warning"
        state.client.close()


def test_a_server_without_a_log_is_a_warning_or_refused_as_asked(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer("--appendonly", "no") as forgetful:
        settings = settings.model_copy(update={"redis_url": forgetful.url})
        state = State(settings)
        with caplog.at_level(logging.WARNING):
            check_server(state)
        assert "appendonly" in caplog.text
        state.settings = settings.model_copy(update={"durability": "strict"})
        with pytest.raises(ServerUnfitError, match="appendonly"):
            check_server(state)
        state.settings = settings.model_copy(update={"durability": "none"})
        check_server(state)
        state.client.close()


def test_a_full_server_refuses_new_runs_and_lets_those_end_that_it_has(settings: Settings) -> None:
    with RedisServer() as full:
        bench = Bench(settings.model_copy(update={"redis_url": full.url}))
        run = bench.submit(one_stage(note("a")))
        bench.state.client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailableError, match="maxmemory"):
            bench.submit(one_stage(note("b")))
        assert bench.drain(run).status is RunStatus.COMPLETED
        assert bench.state.purge(run.run_id).word == "purged", "which makes room"
        bench.close()


# -- Helpers ---------------------------------------------------------------------------------------


def runner_of(bench: Bench) -> Runner:
    return bench._runner


def word(ended: Ended | None) -> str:
    assert ended is not None
    return ended.word


def keys_of(bench: Bench) -> set[bytes]:
    return set(cast("list[bytes]", bench.state.client.keys(bench.state.keys.prefix + "*")))


def dump(bench: Bench) -> dict[bytes, Any]:
    """All that the namespace has, to compare."""
    client = bench.state.client
    return {key: client.dump(cast("str", key)) for key in sorted(keys_of(bench))}


def assert_nothing_kept(bench: Bench) -> None:
    assert keys_of(bench) == set()
    assert not bench.post.messages


def expire(bench: Bench, run: Run) -> None:
    """Let the retention of a run end."""
    bench.state.client.zadd(bench.state.keys.of("expiry"), {run.run_id: 0})
    bench.rescuer.tick()


def clear(bench: Bench, run_id: str) -> None:
    """Take a damaged run away, so that the next one is alone."""
    client = bench.state.client
    bench.post.messages.clear()
    for key in keys_of(bench):
        if run_id.encode() in key:
            client.delete(cast("str", key))
    for name in ("wake", "expiry", "runs"):
        index = bench.state.keys.of(name)
        for member in cast("list[bytes]", client.zrange(index, 0, -1)):
            if member.startswith(run_id.encode()):
                client.zrem(index, member)
