"""The examples that ship, run as their readers run them, and their workflows looked into."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from gostage_core import ActionStatus, RunStatus
from gostage_workers import LocalCluster
from tests.support.command import ROOT, SECONDS, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from gostage_core import RunResult

    Ended = subprocess.CompletedProcess[str]

EXAMPLES: Final = ROOT / "gostage_workers" / "examples"
PACKAGE: Final = "gostage_workers.examples"
HELLO: Final = EXAMPLES / "hello.py"
MOST_LINES: Final = 80

PRINTED: Final = {
    "approval": """\
approved by the rule, 80 paid out (decide > pay)
assessed, approved by the team, 800 paid out (decide > pay)
assessed, approved by a second pair of eyes, approved by the team, audited, 3 entries, \
8000 paid out (decide > audit > pay)
""",
    "branch_and_repeat": """\
950 kg go by train, 300 kg stay here
180 kg go by truck, 0 kg stay here
20 kg go by bicycle, 0 kg stay here
""",
    "core_concepts": """\
Weather report: completed
  Collect: ReadLog completed
  Report: average completed, report completed
Zermatt: 5.0 °C on average
""",
    "dynamic_actions": """\
access.log.gz, app.log.gz, error.log.gz: more than 80 kB saved
  discover
  compress access.log, added by compress/discover
  compress app.log, added by compress/discover
  compress error.log, added by compress/discover
  report
""",
    "dynamic_stages": """\
Prepare
Deploy to eu-west (added by prepare/plan_rollout)
Compare the figures (added by eu-west/check)
Deploy to us-east (added by prepare/plan_rollout)
Deploy to asia (added by prepare/plan_rollout)
Announce
eu-west is fine, 2 regions may follow
Version 2 is live in eu-west, us-east, asia.
""",
    "enable_disable": """\
development: build, test, deploy, tell the team (5 skipped, 0 removed)
staging: build, test, deploy, load test, warm up, tell the team (3 skipped, 0 removed)
production: build, test, ask for approval, back up, deploy, warm up, tell customers, \
tell the team (1 skipped, 0 removed)
staging: build, test, deploy, load test, warm up (2 skipped, 2 removed)
""",
    "etl": "completed: 6 rows, 6 book, 2 lamp, 7 pen\n",
    "for_each": """\
read/chapters: completed
read/chapters[0]/count_words: completed
read/chapters[0]/find_longest: completed
read/chapters[1]/count_words: completed
read/chapters[1]/find_longest: completed
read/chapters[2]/count_words: completed
read/chapters[2]/find_longest: completed
The Fox and the Grapes: bunches is the longest of 14 words
The North Wind and the Sun: traveller is the longest of 11 words
The Hare and the Tortoise: tortoise is the longest of 10 words
""",
    "messages": """\
completed: 8 messages are kept, in order
letters copied, says copy
letters: 1 of 2
letters: 2 of 2
photos copied, says copy
photos: 1 of 4
photos: 2 of 4
photos: 3 of 4
photos: 4 of 4
""",
    "middleware": """\
rates: completed in … s
adverts: completed in … s
accounts: skipped in … s
completed: asked 1 time; 3 orders, but adverts/advertise: \
ConnectionError: the agency does not answer
""",
    "migrated_canvas": """\
1-order          order      completed
2-group          price      completed
2-group          price      completed
2-group          price      completed
3-total-invoice  total      completed
3-total-invoice  invoice    completed
Ana owes 8 EUR
""",
    "operator_edit": """\
revision 1 is what the producer submitted
revision 2, ana: nobody has a fax any more
- disable tell/fax #6
revision 3, ben: the truck had an accident
+ receive/inspect #7  behind unpack
~ receive/unpack #3  boxes: 3 → 2
completed: 2 boxes unpacked, inspected, told by mail
""",
    "order_processing": """\
order 1 completed: paid 41.10 at try 2, reserve lamp and pen, pack lamp and pen, \
announce lamp and pen
order 2 failed: validate/validate: ValueError: nobody buys for 0
bookings at the bank: 41.10
""",
    "outbox_django": "1 run of 2: a parcel for Ana\n",
    "outbox_sqlalchemy": "1 run of 2: a parcel for Ana\n",
    "parallel": """\
digest completed: 6 of 6 actions completed
copy completed: 2 of 3 actions completed
check failed: 3 of 4 actions completed
digests: 0:2aff 1:41d0 2:d110 3:7e3f 4:1cbd 5:3af9
copies: Porto Graz
checked: size owner age
failed: check/signature: ValueError: the signature is not ours
""",
    "repair": """\
submitted: failed, divide/divide failed with ZeroDivisionError: integer division or modulo \
by zero (add 10, add 20, add 30)
retried: completed, it is 15 (add 10, add 20, add 30, divide, report)
forked at 'add 30': completed, it is 20 (add 10, add 20, add 30, divide, report)
forked at 'add 20', without 'add 30': completed, it is 10 (add 10, add 20, divide, report)
""",
    "resources": "completed: 149.90 taken\n",
    "saga": """\
failed: book/museum: LookupError: the museum is sold out
  book/train completed, attempt 1
  book/hotel completed, attempt 1
  book/museum failed, attempt 1
  gostage.compensation/cancel hotel completed, attempt 2, undoes book/hotel
  gostage.compensation/cancel train completed, attempt 2, undoes book/train
book train-2, book hotel-3, cancel hotel-3, cancel train-2
nothing is left
""",
    "schedules": """\
report: 0 7 * * MON-FRI Asia/Tokyo, that is 22:00 UTC
heart: 3 runs, one for each time
paused by ana: enough
""",
    "signals": """\
decide/approval waits for signal 'approval' (gostage_workers.examples.signals:Approval)
'perhaps' is no answer
completed: published in the morning, approved by ana; reminded the press office, which did not \
answer
""",
    "store": """\
Ana of Lisbon spent 35.09 in 3 visits
purchases, in plan order: 9.99 0.10 25
personal: customer token - texts: summary token
the token expires: True
""",
    "sub_workflow": """\
3 items: 55.60 + 12.79 = 68.39
the child's store: amount gross rate tax - its run: completed
""",
    "tested": """\
charge: paid once, whatever happens
charge_carelessly: paid twice in scenario 52: freezes after the claim of \
pay/charge_carelessly (attempt 1)
""",
    "throttles": """\
44 calls, 2 at a time
the small one waited for the large one's calls: False
""",
}
"""What each prints; the lines sorted where their order is not said, and seconds left out."""

NO_ORDER: Final = frozenset({"messages"})
"""Two actions of it tell at the same time."""
OTHER_WORKERS: Final = frozenset({"migrated_canvas"})
"""It starts a worker of Celery's own, which tells on the same terminal."""
NO_LUPA: Final = (
    "a server in memory runs Lua with the package lupa, which is not installed: "
    "pip install 'gostage[testing]'\n"
)
FACES: Final = {"tested": {"gostage_core", "gostage_core.testing"}}
"""Where it is not the usual ones: tests need no worker."""
SHARED: Final = (
    "approval",
    "branch_and_repeat",
    "core_concepts",
    "enable_disable",
    "for_each",
    "store",
    "sub_workflow",
)
"""Those whose workflows need nothing but a store; they are run once more, on one cluster."""


@pytest.fixture(scope="module")
def programs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Ended]]]:
    """Run those that are asked for, two at a time: most of what they take is the start."""
    asked = {item.name for item in request.session.items}
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {
            name: pool.submit(run_module, name, tmp_path_factory.mktemp(name))
            for name in PRINTED
            if any(f"[{name}]" in test for test in asked)
        }
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Begin one cluster for all that look into a workflow."""
    with LocalCluster(modules=[f"{PACKAGE}.{name}" for name in SHARED]) as cluster:
        yield cluster


def run_module(name: str, directory: Path) -> Ended:
    return run(["-m", f"{PACKAGE}.{name}"], directory)


def run(words: list[str], directory: Path) -> Ended:
    return subprocess.run(
        [sys.executable, *words],
        cwd=directory,
        env=Shell(directory, PYTHONIOENCODING="utf-8").environment,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


def executed(cluster: LocalCluster, name: str, **store: Any) -> RunResult:
    """Execute the workflow that an example has, as other programs would: by importing it."""
    workflow = importlib.import_module(f"{PACKAGE}.{name}").workflow
    return cluster.runner.execute(workflow, store=store, timeout=SECONDS)


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_it_shows(name: str, programs: dict[str, Future[Ended]]) -> None:
    ended = programs[name].result(2 * SECONDS)
    assert ended.returncode == 0, ended.stderr
    if name in OTHER_WORKERS:
        assert ended.stdout.endswith(PRINTED[name])
        return
    assert ended.stderr == ""
    printed = re.sub(r"\d+\.\d\d s\b", "… s", ended.stdout)
    if name in NO_ORDER:
        printed = "".join(sorted(printed.splitlines(keepends=True)))
    assert printed == PRINTED[name]


def test_every_example_is_run() -> None:
    """The survey is what ``gostage demo`` runs, and is tested there."""
    assert {file.stem for file in EXAMPLES.glob("[!_]*.py")} == {*PRINTED, "hello", "survey"}


@pytest.mark.parametrize("name", ["hello", *PRINTED])
def test_an_example_is_short_and_uses_the_public_face_alone(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    imported = re.findall(r"^(?:from|import) (gostage\S*)", text, re.MULTILINE)
    assert set(imported) == FACES.get(name, {"gostage_core", "gostage_workers"})
    assert not re.search(r"\.\s*_[a-z]", text)


@pytest.mark.parametrize(
    ("name", "library", "told"),
    [
        ("outbox_django", "django", "this example needs Django: pip install 'django>=5.2'\n"),
        (
            "outbox_sqlalchemy",
            "sqlalchemy",
            "this example needs SQLAlchemy: pip install 'sqlalchemy>=2.0.40'\n",
        ),
        ("tested", "lupa.lua51", NO_LUPA),
    ],
)
def test_an_example_tells_which_library_is_missing(
    name: str, library: str, told: str, tmp_path: Path
) -> None:
    program = (
        f"import runpy, sys; sys.modules[{library!r}] = None; "
        f"runpy.run_module({f'{PACKAGE}.{name}'!r}, run_name='__main__')"
    )
    ended = run(["-c", program], tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", told, 1)


def test_the_smallest_example_is_a_script_that_greets(tmp_path: Path) -> None:
    ended = run([str(HELLO)], tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("Hello, Alice!\n", "", 0)
    assert list(tmp_path.iterdir()) == []


def test_the_smallest_example_is_what_the_readme_shows() -> None:
    assert f"```python\n{_program(HELLO.read_text())}```" in (ROOT / "README.md").read_text()


def test_the_second_stage_reads_what_the_first_one_stored(cluster: LocalCluster) -> None:
    result = executed(cluster, "core_concepts")
    assert result.store["temperatures"] == [4.0, 4.5, 6.5]
    collected, reported = result.stages.values()
    assert collected.ended_at is not None
    assert reported.began_at is not None
    assert collected.ended_at <= reported.began_at


def test_what_is_stored_comes_back_as_the_type_that_went_in(cluster: LocalCluster) -> None:
    store = executed(cluster, "store").store
    customer = store["customer"]
    assert (type(customer).__name__, customer.home.city) == ("Customer", "Lisbon")
    assert customer.since == date(2024, 5, 17)
    assert store["purchases"] == [Decimal("9.99"), Decimal("0.10"), Decimal(25)]
    assert store.metadata("customer").tags == {"personal"}
    assert store.metadata("customer").properties == {"source": "web"}
    assert store.keys(all_tags=["personal", "secret"]) == ["token"]


def test_what_is_switched_off_is_skipped_and_nothing_else(cluster: LocalCluster) -> None:
    result = executed(cluster, "enable_disable", environment="staging", quiet=True)
    by_name = {one.name: one.status for one in result.actions}
    assert by_name["load test"] is ActionStatus.COMPLETED
    assert by_name["back up"] is ActionStatus.SKIPPED
    assert by_name["tell customers"] is ActionStatus.REMOVED
    assert result.stages["approve"].status is ActionStatus.SKIPPED
    assert result.status is RunStatus.COMPLETED


def test_a_child_run_has_a_store_of_its_own(cluster: LocalCluster) -> None:
    result = executed(cluster, "sub_workflow", items={"pen": Decimal(100)})
    assert result.store["to pay"] == Decimal("123.00")
    assert "gross" not in result.store
    child = cluster.runner.get(result.stages["invoice"].actions[0].child_run_id)
    assert child.store.export().keys() == {"amount", "gross", "rate", "tax"}


def test_results_are_in_the_order_of_the_items(cluster: LocalCluster) -> None:
    fables = dict.fromkeys("zyxwv", "a word and another")
    result = executed(cluster, "for_each", chapters=fables)
    assert [text[0] for text in result.store["longest"]] == list("zyxwv")


def test_a_repetition_has_a_pass_for_each_crate_that_fits(cluster: LocalCluster) -> None:
    result = executed(cluster, "branch_and_repeat", waiting=[300] * 5)
    assert result.store["loaded"] == [300] * 3
    assert [one.name for one in result.stages["load"].actions].count("load_crate") == 3
    (sent,) = (one for one in result.stages["send"].actions if one.depth)
    assert sent.path == "send/Branch[is-heavy]/send"


def test_an_audit_is_inserted_where_it_is_risky_alone(cluster: LocalCluster) -> None:
    risky, harmless = (executed(cluster, "approval", amount=amount) for amount in (5000, 4999))
    assert list(risky.stages) == ["decide", "audit", "pay"]
    assert risky.stages["audit"].added_by == "decide/way[otherwise]/assess"
    assert list(harmless.stages) == ["decide", "pay"]


def _program(text: str) -> str:
    """Leave out the docstring, with which a file begins and an excerpt does not."""
    return text[text.index("from gostage_core") :]
