"""Isolation by its parts: what is refused, what limits a body, what is heard, why one died."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gostage_core import ActionContext, ProcessDiedError, Stage, Workflow, action
from gostage_core.attempt import Ended
from gostage_core.entry import Entry
from gostage_core.errors import ActionTimeoutError, InvalidActionError, InvalidWorkflowError
from gostage_core.plan import START_SECONDS, entry_texts
from gostage_core.settings import Settings
from gostage_core.state.answers import Claim, Next, Ready
from gostage_workers.assignment import Assignment, Report, Source
from gostage_workers.isolated_process import Channel, Death, IsolatedProcess
from gostage_workers.observer import Observer, cause_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC = b'{"action": "a", "name": "a", "stage": "s", "order": "1", "isolation": "process"%s}'
CLAIM = Claim("run", "2", "token", 1, 0, SPEC % b"", {"key": b"\xff1"}, shared=False, phase=3)
PLAIN = Death(0)


def entry_with(options: bytes = b"") -> Entry:
    return Entry.from_spec(SPEC % options)


@pytest.fixture(autouse=True)
def fresh(fresh_registry: None) -> None:
    """Every test registers actions of its own."""


# What is refused where the plan is built


@pytest.mark.parametrize("option", ["memory_mb", "cpu_seconds"])
def test_a_limit_without_a_process_of_its_own_is_refused(option: str) -> None:
    @action("work")
    def work(ctx: ActionContext) -> None: ...

    bound = work.s().options(**{option: 64})  # type: ignore[misc]
    with pytest.raises(InvalidActionError, match=f"^work: option {option} limits a process"):
        Stage("s", [bound])


def test_the_options_of_a_class_and_of_an_entry_count_together() -> None:
    @action("apart", isolation="process")
    def apart(ctx: ActionContext) -> None: ...

    @action("bounded", memory_mb=64)
    def bounded(ctx: ActionContext) -> None: ...

    Stage("s", [apart.s().options(memory_mb=64), bounded.s().options(isolation="process")])
    for wrong in (bounded.s(), apart.s().options(isolation=None, cpu_seconds=1)):
        with pytest.raises(InvalidActionError, match='add isolation="process"'):
            Stage("s", [wrong])


def test_documents_are_held_to_the_same() -> None:
    @action("apart", isolation="process")
    def apart(ctx: ActionContext) -> None: ...

    @action("work")
    def work(ctx: ActionContext) -> None: ...

    def read(**entry: object) -> Workflow:
        return Workflow.from_dict({"id": "w", "stages": [{"id": "s", "actions": [entry]}]})

    read(action="apart", memory_mb=64)
    with pytest.raises(InvalidActionError, match=r"^stages\[0\].actions\[0\].*memory_mb"):
        read(action="work", memory_mb=64)
    with pytest.raises(InvalidWorkflowError, match=r"actions\[0\].isolation: .*'process'"):
        read(action="work", isolation="thread")


def test_an_isolation_that_there_is_not_is_refused() -> None:
    @action("work")
    def work(ctx: ActionContext) -> None: ...

    with pytest.raises(InvalidActionError, match=r"option isolation: .*'process'"):
        work.s().options(isolation="thread")  # type: ignore[arg-type]


def test_the_start_of_a_process_does_not_count_towards_its_timeout() -> None:
    @action("apart", isolation="process", timeout=2)
    def apart(ctx: ActionContext) -> None: ...

    definition = Stage("s", [apart.s()]).definition().actions[0]
    spec, _, milliseconds, _ = entry_texts(definition, {"stage": "s", "order": "1"})
    assert float(milliseconds) == (2 + START_SECONDS) * 1000
    assert Entry.from_spec(spec.encode()).timeout == 2


# What limits a body

LIMITED = """
import resource
from gostage_workers.process_limits import limited
def soft(): return [resource.getrlimit(l)[0] for l in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)]
before = soft()
"""


def limited_program(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIMITED + program], capture_output=True, text=True, timeout=60
    )


linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel enforces it on Linux alone")


@linux
def test_beyond_its_memory_a_body_gets_an_error_that_names_the_limit() -> None:
    ran = limited_program("with limited(128, None): bytearray(200 * 1024 * 1024)")
    assert "MemoryError: out of memory (memory_mb=128)" in ran.stderr


@linux
def test_a_body_may_use_what_memory_it_is_given() -> None:
    assert limited_program("with limited(512, None): bytearray(200 * 1024 * 1024)").returncode == 0


@linux
def test_less_memory_than_the_process_has_already_is_told() -> None:
    ran = limited_program("bytearray(1)\nkept = b'x' * 2**25\nwith limited(16, None): pass")
    assert "MemoryError: memory_mb=16 is less than the " in ran.stderr


def test_limits_are_lifted_when_the_body_has_ended() -> None:
    ran = limited_program(
        "with limited(512, 9): memory, cpu = soft()\n"
        "assert memory == 512 * 2**20 and 9 <= cpu < 60\n"
        "assert soft() == before"
    )
    assert ran.returncode == 0, ran.stderr


def test_without_limits_nothing_is_limited() -> None:
    ran = limited_program("with limited(None, None): assert soft() == before")
    assert ran.returncode == 0, ran.stderr


def test_a_body_that_uses_up_its_processor_time_is_ended_by_the_kernel() -> None:
    ran = limited_program("with limited(None, 1):\n  while True: pass")
    assert ran.returncode == -signal.SIGXCPU


# What travels between the two


def test_an_assignment_arrives_as_it_was_made() -> None:
    assignment = Assignment(
        parent=1,
        report_fd=2,
        sources=(Source("shop", "/shop.py"), Source("zipped", None)),
        known=True,
        log_level=20,
        settings=Settings(namespace="other", encryption_keys="id:secret", signing_keys="id:other"),
        process="w1@host.1",
        claim=CLAIM,
        have="7",
    )
    path, text, end = assignment.lines(["/here"]).split(b"\n")
    assert (path, end) == (b'["/here"]', b"")
    assert Assignment.model_validate_json(text) == assignment


def test_what_a_run_goes_on_with_arrives_as_it_was_answered() -> None:
    report = Report(ended=Ended("committed", Next("chain", (Ready("3", b"\xff["),))))
    assert Report.model_validate_json(report.model_dump_json(exclude_none=True)) == report


# What is heard


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)


def test_output_is_heard_line_by_line_and_its_end_too(pipe: tuple[int, int]) -> None:
    read, write = pipe
    heard: list[tuple[str, bytes]] = []
    channel = Channel("stdout", read, lambda *line: heard.append(line))
    os.write(write, b"one\ntw")
    assert channel.take()
    assert heard == [("stdout", b"one")]
    os.write(write, b"o\n\nthree")
    os.close(write)
    channel.drain()
    assert [line for _, line in heard] == [b"one", b"two", b"", b"three"]
    assert not channel.take()


def test_what_others_hold_open_is_not_waited_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    heard: list[bytes] = []
    channel = Channel("stderr", read, lambda _, line: heard.append(line))
    os.write(write, b"last")
    channel.drain()
    assert heard == [b"last"]
    os.close(write)


def test_output_without_an_end_of_line_is_heard_in_pieces(pipe: tuple[int, int]) -> None:
    read, write = pipe
    heard: list[bytes] = []
    channel = Channel("stdout", read, lambda _, line: heard.append(line))
    os.write(write, b"x" * 65_536)
    while not heard:
        channel.take()
    assert heard == [b"x" * 65_536]
    os.close(write)


def test_a_process_is_heard_to_its_end_and_how_it_ended_is_known() -> None:
    heard: list[tuple[str, bytes]] = []
    with IsolatedProcess(lambda _fd: b"no JSON\n", lambda *line: heard.append(line)) as process:
        while not process.has_ended:
            process.attend(None)
    assert process.death.exit_code == 1
    assert ("stderr", b"json.decoder.JSONDecodeError") in [
        (channel, line.partition(b":")[0]) for channel, line in heard
    ]


def test_a_process_ends_with_its_block_at_whatever_it_is() -> None:
    heard: list[bytes] = []
    never = IsolatedProcess(lambda _fd: b"", lambda _, line: heard.append(line))
    with pytest.raises(KeyError), never:
        raise KeyError
    assert never.death.exit_code == -signal.SIGKILL
    assert not never.has_ended


def test_an_order_larger_than_a_pipe_is_told_piece_by_piece() -> None:
    heard: list[bytes] = []
    order = b'["%s"]\n' % (b"x" * 300_000)
    with IsolatedProcess(lambda _fd: order, lambda _, line: heard.append(line)) as process:
        while not process.has_ended:
            process.attend(None)
    assert heard[-1].startswith(b"ModuleNotFoundError"), "it has read its sys.path, which is none"


# What is made of it


def report(**said: object) -> bytes:
    return Report.model_validate(said).model_dump_json(exclude_none=True).encode()


def test_an_attempt_that_has_ended_is_over_however_its_process_ends() -> None:
    observer = Observer(CLAIM, entry_with())
    ended = Ended("committed", Next("keep"))
    observer.hear("report", report(ended=ended))
    assert observer.conclude(Death(-9), late=True) == ended


def test_a_report_that_was_cut_off_is_none() -> None:
    observer = Observer(CLAIM, entry_with())
    observer.hear("report", report(ended=Ended("committed"))[:-3])
    with pytest.raises(ProcessDiedError, match="exit status 1"):
        observer.conclude(Death(1), late=False)


def test_a_process_that_cannot_begin_says_why() -> None:
    observer = Observer(CLAIM, entry_with())
    observer.hear("report", report(refused="its process cannot begin: no module"))
    with pytest.raises(ProcessDiedError, match=r"^its process cannot begin: no module$"):
        observer.conclude(PLAIN, late=False)


def test_the_last_words_of_a_process_are_the_cause_of_its_failure() -> None:
    observer = Observer(CLAIM, entry_with())
    for word in range(100):
        observer.hear("stderr", b"word %d" % word)
    with pytest.raises(ProcessDiedError) as caught:
        observer.conclude(Death(-11), late=False)
    lines = str(caught.value.__cause__).splitlines()
    assert (len(lines), lines[-1]) == (30, "word 99")
    assert str(caught.value) == "its process was killed by SIGSEGV"


def test_the_timeout_of_a_body_counts_from_its_beginning() -> None:
    observer = Observer(CLAIM, entry_with(b', "timeout": 5'))
    left = observer.seconds_left()
    assert left is not None
    assert left > 30
    observer.hear("report", report(limit=2.0))
    left = observer.seconds_left()
    assert left is not None
    assert left <= 3
    with pytest.raises(ActionTimeoutError, match="timeout of 2 s"):
        observer.conclude(Death(-9), late=True)


def test_without_a_timeout_a_body_is_waited_for_without_end() -> None:
    observer = Observer(CLAIM, entry_with())
    assert observer.seconds_left() is None
    assert not observer.is_late()


def test_log_records_arrive_with_their_level_their_extras_and_the_runs_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    observer = Observer(CLAIM, entry_with())
    record = logging.makeLogRecord({"name": "shop", "levelno": 30, "msg": "low", "customer": 7})
    with caplog.at_level(logging.WARNING, logger="shop"):
        observer.hear("report", report(record={**record.__dict__, "args": None}))
        observer.hear("report", report(record={**record.__dict__, "levelno": 20, "args": None}))
    (heard,) = caplog.records
    assert heard.getMessage() == "low"
    assert vars(heard).items() >= {"customer": 7, "run": "run", "stage": "s", "attempt": 1}.items()


@pytest.mark.parametrize(
    ("death", "options", "words"),
    [
        (Death(3), b"", "ended with exit status 3"),
        (Death(-11), b"", "was killed by SIGSEGV"),
        (Death(-200), b"", "was killed by signal 200"),
        (Death(-24), b', "cpu_seconds": 4', "used up its cpu_seconds=4"),
        (Death(-24), b"", "was killed by SIGXCPU"),
        (Death(-9), b"", "was killed by SIGKILL, as the kernel does where a machine runs out of"),
        (Death(-6, 60 * 1024), b', "memory_mb": 64', "ran out of memory (memory_mb=64) and was"),
        (Death(1, 60 * 1024), b', "memory_mb": 64', "ran out of memory (memory_mb=64) and ended"),
        (Death(-6, 20), b', "memory_mb": 64', "by SIGABRT, perhaps out of memory (memory_mb=64)"),
        (Death(1, 20), b', "memory_mb": 64', "ended with exit status 1"),
    ],
)  # fmt: skip
def test_why_a_process_died_is_told_as_far_as_it_is_known(
    death: Death, options: bytes, words: str
) -> None:
    cause = cause_of(death, entry_with(options))
    assert cause.startswith("its process ")
    assert words in cause
