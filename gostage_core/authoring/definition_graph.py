"""Definitions as trees to draw: what an action is made of stands inside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import ValidationError

from gostage_core.authoring.definition import (
    ActionDefinition,
    WorkflowDefinition,
    default_name,
)
from gostage_core.graph.node import Kind, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gostage_core.authoring.definition import StageDefinition

Params = dict[str, Any]


class _Inside(NamedTuple):
    """What is to be said of an action that is made of others, and these."""

    details: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()
    parallel: bool = False


def definition_graph(definition: WorkflowDefinition) -> Node:
    """Return a workflow as a tree to draw."""
    return Node(
        id=definition.id,
        label=definition.name or definition.id,
        kind=Kind.WORKFLOW,
        children=_stages(definition, ""),
    )


def _stages(definition: WorkflowDefinition, place: str) -> tuple[Node, ...]:
    return tuple(
        _stage(stage, f"{place}stages[{index}]") for index, stage in enumerate(definition.stages)
    )


def _stage(stage: StageDefinition, place: str) -> Node:
    return Node(
        id=place,
        label=stage.name or stage.id,
        kind=Kind.STAGE,
        details=_how(stage.parallel, stage.max_parallel, stage.join),
        parallel=stage.parallel,
        children=_actions(stage.actions, f"{place}.actions"),
    )


def _how(parallel: bool, limit: int | None, join: int | None) -> tuple[str, ...]:
    if not parallel:
        return ()
    most = f", at most {limit:,} at a time" if limit else ""
    enough = f", {join:,} must complete" if join else ""
    return (f"side by side{most}{enough}",)


def _actions(actions: Iterable[ActionDefinition], place: str) -> tuple[Node, ...]:
    return tuple(_action(action, f"{place}[{index}]") for index, action in enumerate(actions))


def _action(action: ActionDefinition, place: str) -> Node:
    inside = _inside(action, f"{place}.params")
    named = () if action.name == default_name(action.action) else (action.action,)
    return Node(
        id=place,
        label=action.name,
        kind=Kind.ACTION,
        details=(*named, *inside.details),
        parallel=inside.parallel,
        children=inside.children,
    )


def _inside(action: ActionDefinition, place: str) -> _Inside:
    draw = _MADE_OF_OTHERS.get(action.action)
    try:
        return draw(action.params, place) if draw else _Inside()
    except (ValidationError, LookupError, TypeError, AttributeError):
        # A later version may write other parameters; the action itself can be drawn all the same.
        return _Inside()


def _for_each(params: Params, place: str) -> _Inside:
    limit = params.get("max_parallel")
    (how,) = _how(True, limit, params.get("join"))
    return _Inside((f"for each of {params['key']}, {how}",), _sequence(params, "actions", place))


def _branch(params: Params, place: str) -> _Inside:
    cases = [
        Node(
            id=f"{place}.cases[{index}]",
            label=f"when {_condition(case['when'], case.get('params'))}",
            kind=Kind.GROUP,
            children=_sequence(case, "then", f"{place}.cases[{index}]"),
        )
        for index, case in enumerate(params.get("cases", ()))
    ]
    otherwise = _sequence(params, "otherwise", place)
    if otherwise:
        cases.append(Node(f"{place}.otherwise", "otherwise", Kind.GROUP, children=otherwise))
    return _Inside(("one of",), tuple(cases), parallel=True)


def _repeat(params: Params, place: str) -> _Inside:
    until, most = params.get("until"), params.get("max_times", 100)
    how = f"{most:,} times"
    if until is not None:
        how = f"until {_condition(until, params.get('until_params'))}, at most {how}"
    return _Inside((how,), _sequence(params, "actions", place))


def _run_workflow(params: Params, place: str) -> _Inside:
    definition = WorkflowDefinition.model_validate(params["workflow"])
    details = (f"workflow {definition.name or definition.id}",)
    return _Inside(details, _stages(definition, f"{place}.workflow."))


def _canvas_group(params: Params, place: str) -> _Inside:
    members = [
        Node(
            id=f"{place}.members[{index}]",
            label=f"[{index}]",
            kind=Kind.GROUP,
            children=_parsed(member, f"{place}.members[{index}]"),
        )
        for index, member in enumerate(params["members"])
    ]
    return _Inside(_how(True, None, None), tuple(members), parallel=True)


def _sequence(params: Params, name: str, place: str) -> tuple[Node, ...]:
    return _parsed(params.get(name, ()), f"{place}.{name}")


def _parsed(actions: Iterable[Any], place: str) -> tuple[Node, ...]:
    return _actions(map(ActionDefinition.model_validate, actions), place)


def _condition(id: str, params: Params | None) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in (params or {}).items())
    return f"{default_name(id)}({given})" if given else default_name(id)


_MADE_OF_OTHERS: Final[Mapping[str, Callable[[Params, str], _Inside]]] = {
    "gostage.ForEach": _for_each,
    "gostage.Branch": _branch,
    "gostage.Repeat": _repeat,
    "gostage.RunWorkflow": _run_workflow,
    "gostage.CanvasGroup": _canvas_group,
}
"""The actions whose parameters hold other ones, by id."""
