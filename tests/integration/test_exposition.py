"""The numbers as Prometheus reads them, and queues on a real broker."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gostage_core import Runner, Stage, Workflow, action
from gostage_core.broker.app import producer_app
from gostage_core.numbers import exposition, read_numbers
from gostage_core.plan import NewRun
from gostage_core.settings import Settings
from gostage_core.state import scripts
from gostage_core.state.operations import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery

    from gostage_core import ActionContext
    from gostage_core.numbers import QueueNumbers

Sample = tuple[str, frozenset[tuple[str, str]]]


@action
def step(ctx: ActionContext) -> None:
    """Do nothing."""


def workflow() -> Workflow:
    made = Workflow("w")
    made.add_stage(Stage("s", [step.s(), step.s().options(name="urgent", priority=9)]))
    made.add_stage(Stage("t", [step.s().options(name="other", queue="second")]))
    return made


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    with producer_app(settings) as app:
        yield app


def samples(state: State, app: Celery) -> dict[Sample, float]:
    """What a scrape has, as the parser of Prometheus' own client reads it."""
    text = exposition(partial(read_numbers, state, app)).decode()
    families = text_string_to_metric_families(text)
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in families
        for one in family.samples
    }


def create(state: State, first: int, count: int) -> None:
    """Create so many runs, as a producer does."""
    definition = workflow().definition()
    pipeline = state.client.pipeline(transaction=False)
    for number in range(first, first + count):
        new = NewRun(f"r{number}", "n", definition, '{"actor":"x"}', state.settings.bounds)
        key = state.keys.of("run", new.run_id)
        head = (state.keys.prefix, new.run_id, 4, 0)
        scripts.run(pipeline, "submit", key, (*head, *new.arguments()))
    assert {reply[0] for reply in pipeline.execute()} == {b"created"}


def test_ten_thousand_runs_add_no_label_and_no_field(
    state: State, app: Celery, fresh_registry: None
) -> None:
    state.client.script_load(scripts.source("submit"))
    create(state, 0, 10)
    before, fields = samples(state, app), state.client.hlen(state.keys.of("numbers"))
    for thousand in range(10):
        create(state, 10 + 1_000 * thousand, 1_000)
    after = samples(state, app)
    assert set(after) == set(before)
    assert state.client.hlen(state.keys.of("numbers")) == fields
    assert after["gostage_runs", frozenset({("status", "pending")})] == 10_010
    assert after["gostage_planned_actions", frozenset({("queue", "second")})] == 10_010
    assert not [name for name, labels in after if "r7" in dict(labels).values()]


def test_every_metric_that_is_documented_is_there_and_has_a_help_text(
    settings: Settings, state: State, app: Celery, fresh_registry: None
) -> None:
    Runner(settings=settings).submit(workflow())
    text = exposition(partial(read_numbers, state, app)).decode()
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert all(one.documentation.endswith(".") for one in families.values())
    documented = {
        "gostage_up", "gostage_info", "gostage_runs", "gostage_actions", "gostage_entries",
        "gostage_action_duration_seconds", "gostage_queue_depth", "gostage_workers",
        "gostage_queue_oldest_wait_seconds", "gostage_planned_actions", "gostage_schedules",
        "gostage_planned_seconds", "gostage_lease_losses", "gostage_recoveries", "gostage_resends",
        "gostage_timers", "gostage_timers_due", "gostage_timers_overdue", "gostage_throttles",
        "gostage_worker_processes", "gostage_slots_used",
    }  # fmt: skip
    assert set(families) == documented
    labels = {frozenset(sample.labels) for sample in families["gostage_actions"].samples}
    assert labels == {frozenset({"workflow", "action", "outcome"})}


def queue(state: State, app: Celery, name: str) -> QueueNumbers:
    return next(one for one in read_numbers(state, app).queues if one.name == name)


def test_queues_tell_how_many_messages_wait_and_how_long_the_next_one_has(
    settings: Settings, state: State, app: Celery, fresh_registry: None
) -> None:
    runner = Runner(settings=settings)
    assert queue(state, app, settings.namespace).oldest_wait == 0
    runs = [runner.submit(workflow()) for _ in range(3)]
    urgent = Workflow("urgent")
    urgent.add_stage(Stage("s", [step.s().options(priority=9)]))
    runner.submit(urgent)
    usual = queue(state, app, settings.namespace)
    assert usual.depth == 4, "those with a priority too"
    assert usual.oldest_wait is not None
    record = state.keys.of("plan", runs[0].run_id)
    fields = state.client.hgetall(record)
    [name] = [name for name, text in fields.items() if name[:1] == b"r" and text[:2] == b"r|"]
    parts = fields[name].split(b"|")
    parts[5] = b"%d" % (int(parts[5]) - 60_000)
    state.client.hset(record, name, b"|".join(parts))
    oldest = queue(state, app, settings.namespace).oldest_wait
    assert oldest is not None
    assert oldest >= 60
    assert queue(state, app, "second") == queue(state, app, "second")
    assert queue(state, app, "second").depth == 0
    assert queue(state, app, "second").planned_actions == 3


def test_queues_are_found_behind_a_prefix_of_a_project_s_own(
    settings: Settings, state: State, fresh_registry: None
) -> None:
    with producer_app(settings) as app:
        prefixed = {**app.conf.broker_transport_options, "global_keyprefix": "mine:"}
        app.conf.broker_transport_options = prefixed
        Runner(settings=settings, app=app).submit(workflow())
        found = queue(state, app, settings.namespace)
        assert (found.depth, found.oldest_wait is None) == (1, False)


def test_a_broker_that_does_not_answer_says_nothing_of_its_queues(
    settings: Settings, state: State, fresh_registry: None
) -> None:
    Runner(settings=settings).submit(workflow())
    away = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with producer_app(away) as app:
        found = queue(state, app, settings.namespace)
    assert (found.depth, found.oldest_wait, found.planned_actions) == (None, None, 2)


def test_a_server_that_does_not_answer_is_told_as_down(settings: Settings) -> None:
    away = State(Settings(redis_url="redis://127.0.0.1:1/0", namespace=settings.namespace))
    with producer_app(away.settings) as app:
        assert samples(away, app) == {("gostage_up", frozenset()): 0}
