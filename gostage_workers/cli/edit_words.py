"""Changes of a plan as options of ``gostage runs edit`` say them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.registry import registry
from gostage_core.errors import ActionNotFoundError, PlanConflictError
from gostage_workers.cli.options import option
from gostage_workers.cli.statuses import InputError

if TYPE_CHECKING:
    from gostage_core.planning.action_selection import ActionSelection
    from gostage_core.planning.plan_edit import PlanEdit
    from gostage_core.planning.stage_selection import StageSelection

_SETTING: Final = re.compile(r"(?P<entry>[^=]+)\.(?P<name>\w+)=(?P<value>.*)", re.DOTALL)
_ADDITION: Final = re.compile(
    r"(?P<stage>[^:=/]+)(/(?P<after>[^=]+))?=(?P<action>[^\s{]+)\s*(?P<params>\{.*\})?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Words:
    """What the command line asks to change."""

    disable: tuple[str, ...] = option(
        multiple=True, metavar="ENTRY", help="Skip what has not begun; may be enabled again."
    )
    enable: tuple[str, ...] = option(
        multiple=True, metavar="ENTRY", help="Take back that it is to be skipped."
    )
    remove: tuple[str, ...] = option(
        multiple=True, metavar="ENTRY", help="Take it out of the plan for good."
    )
    settings: tuple[str, ...] = option(
        "--set", multiple=True, metavar="ENTRY.PARAM=VALUE",
        help="Give an action another parameter; VALUE is JSON, or text.",
    )  # fmt: skip
    additions: tuple[str, ...] = option(
        "--add", multiple=True, metavar="STAGE[/AFTER]=ID [JSON]",
        help="Add the action that is registered as ID, with its parameters as a JSON object, "
        "behind the action AFTER or at the end of STAGE.",
    )  # fmt: skip

    def __bool__(self) -> bool:
        return bool(self.disable or self.enable or self.remove or self.settings or self.additions)

    def change(self, plan: PlanEdit) -> None:
        """Change *plan* as the words say; what they ask for has to be possible.

        Raises:
            PlanConflictError: something of it has begun or ended.
            PlanError: it is not in the plan, or a guard rail forbids it.
            InvalidActionError: parameters that do not fit.
            InputError: words that mean nothing.
        """
        for word in self.disable:
            _took_effect(plan, word, _chosen(plan, word).disable())
        for word in self.enable:
            _took_effect(plan, word, _chosen(plan, word).enable())
        for word in self.remove:
            _took_effect(plan, word, _chosen(plan, word).remove())
        for word in self.settings:
            _set(plan, word)
        for word in self.additions:
            _add(plan, word)


def _chosen(plan: PlanEdit, word: str) -> ActionSelection | StageSelection:
    """Return what ``NAME``, ``STAGE/NAME``, ``STAGE/`` or ``#NUMBER`` stands for."""
    if word.startswith("#"):
        actions = plan.actions.filter(where=lambda one: one.entry == word[1:])
        stages = plan.stages.filter(where=lambda one: one.entry == word[1:])
        if actions or stages:
            return actions or stages
        raise ActionNotFoundError(word)
    stage, slash, name = word.partition("/")
    if slash:
        return plan.stages[stage].actions[name] if name else plan.stages[stage]
    if word in plan.actions and word in plan.stages:
        raise InputError(
            f"{word!r} is an action and a stage; write {word}/ for the stage, or #NUMBER as "
            f"`gostage runs plan` shows it"
        )
    return plan.stages[word] if word in plan.stages else plan.actions[word]


def _set(plan: PlanEdit, word: str) -> None:
    match = _SETTING.fullmatch(word)
    if match is None:
        raise InputError(f"--set {word!r} is not of the form ENTRY.PARAM=VALUE")
    chosen = _chosen(plan, match["entry"])
    if not hasattr(chosen, "set"):
        raise InputError(f"--set {word!r}: a stage has no parameters; name an action")
    _took_effect(plan, match["entry"], chosen.set(**{match["name"]: _value(match["value"])}))


def _add(plan: PlanEdit, word: str) -> None:
    match = _ADDITION.fullmatch(word)
    if match is None:
        raise InputError(f"--add {word!r} is not of the form STAGE[/AFTER]=ID [JSON]")
    try:
        params = json.loads(match["params"] or "{}")
    except ValueError as error:
        raise InputError(f"--add {word!r}: the parameters are not JSON: {error}") from None
    action = registry.build(match["action"], params)
    plan.stages[match["stage"]].add(action, after=match["after"])


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _took_effect(plan: PlanEdit, word: str, changed: int) -> None:
    if not changed:
        raise PlanConflictError(plan.run_id, f"{word!r} has begun or ended, or is so already")
