"""Another key for what runs have kept: all of what goes on is written anew, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from gostage_core import ConfigurationError, RunStatus, Settings
from gostage_core.rotation import Rotation
from gostage_core.sealed_texts import SealedTexts
from gostage_core.state.operations import State
from gostage_workers.cli import cli
from tests.support.bench import Bench
from tests.support.confidential import MARKER, Card, SecretStr, confidential
from tests.support.sealed import BOTH, FIRST, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.run import Run


def with_keys(settings: Settings, keys: str | None) -> Settings:
    made = settings.model_dump(mode="json") | {"encryption_keys": keys}
    return Settings.model_validate(made)


@pytest.fixture
def old(settings: Settings) -> Iterator[Bench]:
    bench = Bench(with_keys(settings, FIRST))
    yield bench
    bench.close()


@pytest.fixture
def rotated(settings: Settings) -> Iterator[State]:
    state = State(with_keys(settings, BOTH))
    yield state
    state.client.close()


def half_done(bench: Bench) -> Run:
    """Return a run with everything that a run may keep, which waits."""
    run = bench.submit(confidential(), store={"first": MARKER})
    run.signal("early", MARKER)
    run.signal("nobody", MARKER)
    for _ in range(200):
        if not bench.post.messages and run.status is RunStatus.WAITING:
            return run
        if bench.post.messages:
            bench.step()
        else:
            bench.pass_time()
    raise AssertionError(f"it does not wait: {run.why()}")


def rotate(state: State, *, is_trial: bool = False) -> Rotation:
    rotation = Rotation(state, is_trial=is_trial)
    steps = list(rotation.go())
    assert steps[-1][0] == steps[-1][1]
    return rotation


def counted(state: State) -> SealedTexts:
    found = SealedTexts(state)
    list(found.count())
    return found


def test_all_that_a_live_run_keeps_is_written_anew_and_the_run_goes_on_with_the_new_key_alone(
    old: Bench, rotated: State, settings: Settings
) -> None:
    run = half_done(old)
    old.runner.schedules.add("nightly", confidential(), every="1d", store={"first": MARKER})
    before = counted(rotated)
    trial = rotate(rotated, is_trial=True)
    assert counted(rotated).live == before.live
    done = rotate(rotated)
    assert done.left == {}
    assert done.written == trial.written > 0
    after = counted(rotated)
    assert after.live == {"second": before.live["first"]}
    assert after.schedules == {"second": before.schedules["first"]}
    assert rotate(rotated).written == 0
    new = Bench(with_keys(settings, SECOND))
    new.post.messages.extend(old.post.messages)
    again = new.runner.get(run.run_id)
    assert again.store["written"] == again.store["log"][0] == MARKER
    assert again.store.metadata("tagged").properties == {"from": MARKER}
    assert [one.payload for one in again.messages()] == [{"what": MARKER}, MARKER]
    assert MARKER in str([entry.change for entry in again.journal()])
    again.signal("approval", Card(number=MARKER, code=SecretStr(MARKER)))
    assert new.drain(again).status is RunStatus.COMPLETED
    fork = again.fork(at="tell")
    assert fork.store["written"] == MARKER
    new.close()


def test_the_size_of_a_store_stays_what_it_is(old: Bench, rotated: State) -> None:
    run = half_done(old)
    rotate(rotated)
    client, keys = old.state.client, old.state.keys
    store = client.hgetall(keys.of("store", run.run_id))
    size = sum(len(key) + len(value) for key, value in store.items())  # type: ignore[union-attr]
    for name, value in store.items():  # type: ignore[union-attr]
        if value.startswith(b"L"):
            items = client.lrange(keys.of("items", run.run_id, name.decode()), 0, -1)
            size += sum(map(len, items))  # type: ignore[arg-type]
    assert int(client.hget(keys.of("run", run.run_id), "bytes") or 0) == size  # type: ignore[arg-type]


def test_what_has_ended_is_left_to_its_retention(old: Bench, rotated: State) -> None:
    run = half_done(old)
    run.signal("approval", Card(number=MARKER, code=SecretStr(MARKER)))
    old.drain(run)
    assert [*Rotation(rotated).go()] == []
    assert counted(rotated).ended["first"] > 0


def test_a_text_that_does_not_open_is_named_and_stops_nothing_else(
    old: Bench, rotated: State
) -> None:
    run = half_done(old)
    key = old.state.keys.of("store", run.run_id)
    moved = old.state.client.hget(key, "written")
    old.state.client.hset(key, "first", moved)  # type: ignore[arg-type]
    done = rotate(rotated)
    assert list(done.left) == [key]
    assert run.run_id in done.left[key]
    assert done.written > 0
    assert counted(rotated).live["second"] > 0


def test_without_keys_there_is_nothing_to_write_with(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="GOSTAGE_ENCRYPTION_KEYS"):
        Rotation(State(settings))


def test_the_command_rotates_and_says_how_much(old: Bench, settings: Settings) -> None:
    half_done(old)
    environ = {
        "GOSTAGE_REDIS_URL": settings.redis_url,
        "GOSTAGE_NAMESPACE": settings.namespace,
        "GOSTAGE_ENCRYPTION_KEYS": BOTH,
    }
    trial = CliRunner().invoke(cli, ["keys", "rotate", "--dry-run"], env=environ)
    assert "texts would be encrypted anew" in trial.output
    told = CliRunner().invoke(cli, ["keys", "rotate", "--json"], env=environ)
    assert told.exit_code == 0
    assert json.loads(told.stdout)["written"] > 10
    listed = CliRunner().invoke(cli, ["keys", "list", "--json"], env=environ)
    rows = {row["id"]: row for row in json.loads(listed.stdout)}
    assert rows["second"]["does"] == "encrypts"
    assert (rows["first"]["does"], rows["first"]["live"]) == ("decrypts", 0)
