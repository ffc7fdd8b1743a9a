"""Conditions: functions that a plan asks by their id."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from gostage_core import (
    Branch,
    ConditionTypeError,
    DuplicateActionError,
    InvalidActionError,
    UnknownActionError,
    UnknownConditionError,
    condition,
    when,
)
from gostage_core.authoring.conditions import conditions
from gostage_core.testing import context

pytestmark = pytest.mark.usefixtures("fresh_registry")


def holds(id: str, **store: object) -> bool:
    return conditions.get(id).holds(context(store), {})


def test_a_condition_is_a_function_still():
    @condition("over")
    def over(ctx, limit: int = 3) -> bool:
        """Whether there are more."""
        return ctx.store["n"] > limit

    assert over(context({"n": 4}))
    assert not over(context({"n": 4}), limit=5)
    assert over.__name__ == "over"
    assert over.__doc__ == "Whether there are more."
    assert repr(over) == "<condition over>"


def test_its_id_is_module_and_qualname_unless_it_is_given_one():
    @condition
    def one(ctx) -> bool:
        return True

    @condition()
    def two(ctx) -> bool:
        return True

    assert one.id == f"{__name__}:{one.__qualname__}"
    assert conditions.get(one.id) is one
    assert conditions.get(two.id) is two


def test_an_async_condition_is_waited_for():
    @condition("later")
    async def later(ctx) -> bool:
        return bool(ctx.store["n"])

    assert holds("later", n=1)
    assert not holds("later", n=0)


@pytest.mark.parametrize(("value", "found"), [(None, "NoneType"), (1, "int"), ("yes", "str")])
def test_what_is_neither_true_nor_false_is_an_error(value, found):
    @condition("odd")
    def odd(ctx):
        return value

    with pytest.raises(ConditionTypeError) as caught:
        holds("odd")
    assert str(caught.value) == (
        f"condition 'odd' returned a value of type {found}; a condition returns True or False"
    )
    assert isinstance(caught.value, TypeError)


def test_parameters_are_checked_where_the_plan_is_built():
    @condition("over")
    def over(ctx, limit: Decimal, of: str = "n") -> bool:
        return True

    with pytest.raises(InvalidActionError) as caught:
        when("over", limt=2)
    assert str(caught.value).splitlines() == [
        "over.limit: field required",
        "over.limt: unexpected parameter; did you mean 'limit'?",
    ]
    with pytest.raises(InvalidActionError, match=r"^over\.limit: input should be a valid decimal"):
        when(over, limit="much")


def test_parameters_reach_the_function_as_what_it_declares():
    seen = []

    @condition("over")
    def over(ctx, limit: Decimal, *, parts: tuple[int, ...] = (1,)) -> bool:
        seen.append((limit, parts))
        return True

    asked = when("over", limit=Decimal("9.99"))
    assert asked.params == {"limit": "9.99", "parts": [1]}
    assert over.holds(context(), asked.params)
    assert seen == [(Decimal("9.99"), (1,))]


def test_an_unknown_condition_is_refused_where_the_plan_is_built():
    @condition("is_priority")
    def is_priority(ctx) -> bool:
        return True

    with pytest.raises(UnknownConditionError) as caught:
        when("is_prioriti")
    assert str(caught.value) == (
        "no condition is registered under 'is_prioriti' in this process; did you mean "
        "'is_priority'? If not, import the module that defines it first"
    )
    assert isinstance(caught.value, UnknownActionError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_another_condition_under_a_taken_id_is_refused():
    @condition("ready")
    def ready(ctx) -> bool:
        return True

    with pytest.raises(DuplicateActionError, match="condition id 'ready' is registered"):

        @condition("ready")
        def steady(ctx) -> bool:
            return True


def test_the_same_function_again_takes_its_place():
    for _ in range(2):

        @condition("ready")
        def ready(ctx) -> bool:
            return True

    assert conditions.get("ready") is ready


def test_an_action_may_have_the_id_of_a_condition():
    @condition("gostage.Branch")
    def ready(ctx) -> bool:
        return True

    assert Branch(when("gostage.Branch").then()).cases[0].when == "gostage.Branch"


def test_what_cannot_be_a_condition_is_refused():
    def no_context() -> bool:
        return True

    def catches_all(ctx, *args: int) -> bool:
        return True

    def generator(ctx):
        yield True

    def reserved(ctx, copy: int) -> bool:
        return True

    for function, told in [
        (no_context, "the first parameter must be the context"),
        (catches_all, "declare each parameter by name"),
        (generator, "is a generator"),
        (reserved, "no parameter may be called 'copy'"),
    ]:
        with pytest.raises(InvalidActionError, match=told):
            condition(function)
    with pytest.raises(InvalidActionError, match="not of <class"):
        condition("cls")(int)
    with pytest.raises(InvalidActionError, match="takes a function or an id, not 3"):
        condition(3)  # type: ignore[call-overload]
    with pytest.raises(InvalidActionError, match="cannot be a registry id"):
        condition("with space")(lambda ctx: True)


def test_a_function_that_is_no_condition_is_told_what_to_do():
    def plain(ctx) -> bool:
        return True

    with pytest.raises(InvalidActionError, match="decorate the function with @condition"):
        when(plain)  # type: ignore[arg-type]
