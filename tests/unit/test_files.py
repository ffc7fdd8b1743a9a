"""Workflows in files: each problem is told with the line of the very field."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import field_validator

from gostage_core.authoring.action import Action, action
from gostage_core.authoring.json_document import json_spots, repeats_a_name
from gostage_core.authoring.middleware import Middleware
from gostage_core.authoring.problems import step
from gostage_core.authoring.registry import registry
from gostage_core.authoring.workflow import Workflow
from gostage_core.authoring.yaml_document import parse_yaml
from gostage_core.errors import (
    DefinitionError,
    DuplicateStageError,
    InvalidActionError,
    InvalidWorkflowError,
    UnknownActionError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core.authoring.positions import Spot
    from gostage_core.context import ActionContext


class Greet(Action, id="file.greet"):
    greeting: str = "Hello"

    def execute(self, ctx: ActionContext) -> None: ...


@action("file.charge")
def charge(ctx: ActionContext, amount: int, hosts: list[str] | None = None) -> None: ...


class Audit(Middleware, id="file.audit"):
    file: str


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    with registry.isolated():
        yield


class Problem(NamedTuple):
    line: int
    place: str
    told: str


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path) -> list[Problem]:
    """Return what is told of *file*."""
    with pytest.raises(DefinitionError) as caught:
        Workflow.from_file(file)
    found = []
    for line in str(caught.value).splitlines():
        match = re.fullmatch(rf"{re.escape(str(file))}:(\d+): (.+?): (.+)", line)
        assert match, line
        found.append(Problem(int(match[1]), match[2], match[3]))
    return found


def line_of(text: str, word: str) -> int:
    """Return the line of the only place where *word* stands."""
    assert text.count(word) == 1, word
    return 1 + text[: text.index(word)].count("\n")


GOOD = """\
# yaml-language-server: $schema=workflow.schema.json
id: order
stages:
  - id: pay
    initial: {api.timeout: 30}
    actions:
      - action: file.charge
        params: {amount: 3}
      - action: file.greet
"""


def test_a_workflow_is_read_by_what_its_file_is_called(tmp_path: Path) -> None:
    text = json.dumps(yaml.safe_load(GOOD))
    read = {
        name: Workflow.from_file(written(tmp_path, name, content))
        for name, content in [
            ("a.yaml", GOOD),
            ("a.yml", GOOD),
            ("a.YAML", GOOD),
            ("a.json", text),
            ("b.json", f"\ufeff{text}"),
        ]
    }
    assert len({workflow.digest for workflow in read.values()}) == 1
    assert Workflow.from_file(str(tmp_path / "a.json")) == read["a.yaml"]
    assert Workflow.from_yaml(tmp_path / "a.json") == read["a.yaml"]


@pytest.mark.parametrize("name", ["order.toml", "order", "order.yaml.bak", ".yaml"])
def test_a_file_of_an_unknown_form_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=r"ends in \.yaml, \.yml, \.json"):
        Workflow.from_file(written(tmp_path, name, GOOD))


@pytest.mark.parametrize("name", ["order.yaml", "order.json"])
def test_a_file_that_cannot_be_read_is_told_as_python_does(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        Workflow.from_file(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError):
        Workflow.from_file(tmp_path / name)


WRONG: dict[str, Any] = {
    "id": "or der",
    "nme": "x",
    "tags": "prod",
    "stages": [
        {"id": "pay", "max_parallel": 3, "actions": [{"action": "file.greet"}]},
        {
            "id": "tell",
            "initial": {"api": 1, "api.timeout": {"$": "no-such-type"}, "__mine": 2},
            "actions": [
                {"action": "file.greet", "params": {"greeting": [7]}},
                {"action": "file.charge", "params": {"amuont": 3, "hosts": ["a", 9.25]}},
                {"action": "gone"},
                {"params": {"of": "nothing"}},
                {
                    "action": "file.greet",
                    "timeout": "soon",
                    "retry": {"max_attempts": 0, "dely": 1},
                },
                5.5,
            ],
        },
        {"id": "pay", "parallel": "perhaps"},
        {"name": "without an id"},
    ],
}
"""One document with every kind of problem."""

EXPECTED = [
    ("or der", "id", "'or der' is not 1 to 200 of"),
    ("nme", "nme", "unexpected field; did you mean 'name'?"),
    ("prod", "tags", "a list of words is wanted"),
    ("max_parallel", "stages[0]", "max_parallel needs parallel=True"),
    ("api.timeout", "stages[1].initial.api.timeout", "not a stored value"),
    ("__mine", "stages[1].initial.__mine", "not a name for a key"),
    ("greeting", "stages[1].actions[0].params.greeting", "input should be a valid string"),
    ("amuont", "stages[1].actions[1].params.amuont", "unexpected parameter; did you mean 'amou"),
    ("9.25", "stages[1].actions[1].params.hosts[1]", "input should be a valid string"),
    ("gone", "stages[1].actions[2].action", "no action is registered under 'gone'"),
    ("soon", "stages[1].actions[4].timeout", "not a duration: 'soon'"),
    ("max_attempts", "stages[1].actions[4].retry.max_attempts", "input should be greater"),
    ("dely", "stages[1].actions[4].retry.dely", "unexpected field; did you mean 'delay'?"),
    ("5.5", "stages[1].actions[5]", "input should be a valid dictionary"),
    ("perhaps", "stages[2].parallel", "input should be a valid boolean"),
]


def styles(document: object) -> list[tuple[str, str]]:
    """Return files that hold *document*, in the forms that people and programs write."""
    return [
        ("block.yaml", yaml.safe_dump(document, sort_keys=False)),
        ("flow.yaml", yaml.safe_dump(document, sort_keys=False, default_flow_style=True, width=9)),
        ("spaces.json", json.dumps(document, indent=2)),
        ("tabs.json", json.dumps(document, indent="\t", separators=(",", ":"))),
        ("windows.json", json.dumps(document, indent=2).replace("\n", "\r\n")),
    ]


@pytest.mark.parametrize(("name", "text"), styles(WRONG), ids=[name for name, _ in styles(WRONG)])
def test_every_problem_is_told_with_the_line_of_its_field(
    tmp_path: Path, name: str, text: str
) -> None:
    found = problems(written(tmp_path, name, text))
    for word, place, told in EXPECTED:
        lines = [one.line for one in found if one.place == place and told in one.told]
        assert lines == [line_of(text, word)], (place, text)


@pytest.mark.parametrize(("name", "text"), styles(WRONG), ids=[name for name, _ in styles(WRONG)])
def test_what_is_missing_is_told_with_the_line_of_what_it_is_missing_in(
    tmp_path: Path, name: str, text: str
) -> None:
    found = {one.place: one.line for one in problems(written(tmp_path, name, text))}
    if name == "flow.yaml":
        return
    inside = {
        "stages[1].actions[1].params.amount": line_of(text, "amuont") - 1,
        "stages[1].actions[3].action": line_of(text, "nothing") - (1 if "yaml" in name else 2),
        "stages[3].id": line_of(text, "without an id") - (0 if "yaml" in name else 1),
    }
    assert {place: found[place] for place in inside} == inside


def test_problems_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(written(tmp_path, "order.json", json.dumps(WRONG, indent=2)))
    assert [one.line for one in found] == sorted(one.line for one in found)


@pytest.mark.parametrize(
    ("stages", "expected", "line"),
    [
        (["a", "b", "a"], DuplicateStageError, 11),
        (["a"], UnknownActionError, 5),
        (["a"], InvalidActionError, 6),
    ],
)
def test_an_error_of_a_file_is_of_the_class_that_a_text_would_raise(
    tmp_path: Path, stages: list[str], expected: type[DefinitionError], line: int
) -> None:
    entry = {
        DuplicateStageError: "- action: file.greet\n    params: {}",
        UnknownActionError: "- action: gone\n    params: {}",
        InvalidActionError: "- action: file.charge\n    params: {}",
    }[expected]
    stage = "- id: {}\n  actions:\n  {}\n"
    text = "id: x\nstages:\n" + "".join(stage.format(id, entry) for id in stages)
    file = written(tmp_path, "order.yaml", text)
    with pytest.raises(expected) as caught:
        Workflow.from_file(file)
    assert type(caught.value) is expected
    assert str(caught.value).startswith(f"{file}:{line}: stages[")
    if isinstance(caught.value, UnknownActionError):
        assert caught.value.action_id == "gone"


def test_many_unknown_actions_are_all_told_with_their_lines(tmp_path: Path) -> None:
    text = "id: x\nstages:\n- id: a\n  actions:\n" + "".join(
        f"  - action: gone{number}\n" for number in range(150)
    )
    with pytest.raises(UnknownActionError) as caught:
        Workflow.from_file(written(tmp_path, "order.yaml", text))
    first, *_, more, last = str(caught.value).splitlines()
    assert ":5: stages[0].actions[0].action: no action is registered under 'gone0'" in first
    assert more == "... and 49 more problems"
    assert ":154: stages[0].actions[149].action: no action is registered under 'gone149'" in last


def test_parameters_that_would_change_on_their_way_are_told_with_the_line(tmp_path: Path) -> None:
    class Growing(Action, id="file.growing"):
        size: int

        @field_validator("size")
        @classmethod
        def _grow(cls, size: int) -> int:
            return size + 1

        def execute(self, ctx: ActionContext) -> None: ...

    text = "id: x\nstages:\n- id: a\n  actions:\n  - action: file.growing\n    params: {size: 1}\n"
    (found,) = problems(written(tmp_path, "order.yaml", text))
    assert found[:2] == (6, "stages[0].actions[0].params")
    assert "Growing.size: would reach the worker changed" in found.told


def test_options_that_do_not_go_together_are_told_with_the_line(tmp_path: Path) -> None:
    text = (
        "id: x\nstages:\n- id: a\n  actions:\n  - action: file.greet\n"
        "  - action: file.greet\n    params: {}\n    memory_mb: 64\n"
    )
    (found,) = problems(written(tmp_path, "order.yaml", text))
    assert found[:2] == (8, "stages[0].actions[1].memory_mb")
    assert 'add isolation="process"' in found.told


def test_problems_inside_of_actions_and_of_middleware_have_their_lines(tmp_path: Path) -> None:
    text = """\
id: x
middleware:
- use: gone.middleware
stages:
- id: a
  middleware:
  - use: file.audit
    params:
      fiel: log
  actions:
  - action: gostage.ForEach
    params:
      key: items
      actions:
      - action: file.greet
      - action: gostage.Repeat
        params:
          max_times: 0
          actions:
          - action: file.greet
      - action: file.charge
        params:
          amount: much
  - action: gostage.Branch
    params:
      cases:
      - when: gone.condition
        then:
        - action: gone.action
  - action: gostage.RunWorkflow
    params:
      workflow:
        id: child
        stages:
        - id: b
          actions:
          - action: file.charge
            params: {}
        - id: c
          nme: x
"""
    found = {(one.line, one.place) for one in problems(written(tmp_path, "order.yaml", text))}
    inside = "stages[0].actions[0].params.actions"
    case = "stages[0].actions[1].params.cases[0]"
    assert found >= {
        (3, "middleware[0].use"),
        (8, "stages[0].middleware[0].params.file"),
        (9, "stages[0].middleware[0].params.fiel"),
        (18, f"{inside}[1].params.max_times"),
        (23, f"{inside}[2].params.amount"),
        (27, f"{case}.when"),
        (29, f"{case}.then[0].action"),
        (40, "stages[0].actions[2].params.workflow.stages[1].nme"),
    }


def test_everything_unknown_in_a_workflow_inside_of_another_is_told_once(tmp_path: Path) -> None:
    text = """\
id: x
stages:
- id: a
  actions:
  - action: gostage.RunWorkflow
    params:
      workflow:
        id: child
        stages:
        - id: b
          actions:
          - action: gone
          - action: gostage.Repeat
            params: {until: gone.condition,
              actions: [{action: gone.too}]}
"""
    found = problems(written(tmp_path, "order.yaml", text))
    inside = "stages[0].actions[0].params.workflow.stages[0]"
    assert [one[:2] for one in found] == [
        (12, f"{inside}.actions[0].action"),
        (14, f"{inside}.actions[1].params.until"),
        (15, f"{inside}.actions[1].params.actions[0].action"),
    ]


def test_an_alias_is_told_where_it_stands_and_its_content_where_it_is_written(
    tmp_path: Path,
) -> None:
    text = """\
id: x
stages:
- id: a
  actions:
  - &hi {action: file.greet, nme: x}
  - action: file.charge
    params: &three
      amuont: 3
  - *hi
  - action: file.charge
    params: *three
"""
    found = {(one.line, one.place) for one in problems(written(tmp_path, "order.yaml", text))}
    assert found == {
        (5, "stages[0].actions[0].nme"),
        (7, "stages[0].actions[1].params.amount"),
        (8, "stages[0].actions[1].params.amuont"),
        (5, "stages[0].actions[2].nme"),
        (11, "stages[0].actions[3].params.amount"),
        (8, "stages[0].actions[3].params.amuont"),
    }


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 1, "not JSON: EOF while parsing a value"),
        ('{\n"id": "x",\n}', 3, "not JSON: trailing comma (column 1)"),
        ("{\n'id': 'x'}", 2, "not JSON: key must be a string"),
        ("id: x\n", 1, "not JSON: expected value"),
        ('{"id": "x"} # a comment', 1, "not JSON: trailing characters"),
        ('{"id": NaN}', 1, "not JSON: expected value"),
        ('{\n\n"id": 01}', 3, "not JSON: invalid number"),
        ('{"id":\n"a\tb"}', 2, "not JSON: control character"),
        ("[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_a_json_file_is_strict_json(tmp_path: Path, text: str, line: int, told: str) -> None:
    file = written(tmp_path, "order.json", text)
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_file(file)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["order.yaml", "order.json"])
def test_bytes_that_are_not_text_are_told_with_their_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b'{\n"id":\n"\xff"}')
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_file(file)
    assert str(caught.value).startswith(f"{file}:3: not {file.suffix[1:].upper()}: ")


@pytest.mark.parametrize("name", ["order.yaml", "order.json"])
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, name: str) -> None:
    text = """\
{
  "id": "x",
  "stages": [
    {"id": "a"},
    {
      "id": "b",
      "initial": {"k": 1, "deep": {"k": 1}},
      "id": "c",
      "initial": {"deep": {"api.timeout": 1,
          "api.timeout": 2}}
    }
  ]
}
"""
    assert [one[:2] for one in problems(written(tmp_path, name, text))] == [
        (8, "stages[1].id"),
        (9, "stages[1].initial"),
        (10, "stages[1].initial.deep.api.timeout"),
    ]


def test_names_of_any_kind_are_found(tmp_path: Path) -> None:
    names = ["a b", "a: b", 'q"', "[0]", "ü", "x" * 300, "a\nb", "\u2028"]
    document = {
        "id": "x",
        "stages": [{"id": "a", "initial": {name: {"$": "gone"} for name in names}}],
    }
    text = json.dumps(document, indent=1)
    found = written(tmp_path, "order.json", text)
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_file(found)
    lines = str(caught.value).splitlines()
    first = line_of(text, '"a b"')
    # Each value takes three lines.
    assert {int(line.removeprefix(f"{found}:").split(":")[0]) for line in lines} == {
        first + 3 * index for index in range(len(names))
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab.[0]: \"é", min_size=1, max_size=4), inner, max_size=4)
    ),
    max_leaves=25,
)  # fmt: skip


def leaves(value: object, place: str = "") -> Iterator[str]:
    """Yield the place of everything in *value*, in the order of the text."""
    parts: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    for name, part in parts:
        yield place + step(name)
        yield from leaves(part, place + step(name))


def lines_in(spot: Spot) -> Iterator[int]:
    for part in [*spot.members.values(), *spot.items]:
        yield part.line
        yield from lines_in(part)


@given(value=VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_part_of_any_document_has_its_line_in_json_and_in_yaml(value: object) -> None:
    text = json.dumps(value, indent=1)
    spots = json_spots(text)
    # With an indent each part begins a line of its own, so the lines of parts only grow.
    lines = list(lines_in(spots.root))
    assert lines == sorted(set(lines))
    assert len(lines) == len(list(leaves(value)))
    assert spots.repeats == []
    assert not repeats_a_name(text)
    read, same = parse_yaml(json.dumps(value, indent=1, ensure_ascii=False), "x.yaml")
    assert read == value
    assert list(lines_in(same.root)) == lines


def test_a_large_file_is_read_in_good_time(tmp_path: Path) -> None:
    entries = [{"action": "file.charge", "params": {"amount": number}} for number in range(20_000)]
    document = {"id": "x", "stages": [{"id": "a", "actions": entries}]}
    entries[-1] = {"action": "file.charge", "params": {"amount": "much"}}
    (found,) = problems(written(tmp_path, "order.json", json.dumps(document, indent=1)))
    assert found[:2] == (7 + 19_999 * 6 + 3, "stages[0].actions[19999].params.amount")
