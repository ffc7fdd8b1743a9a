"""Actions: what may be one, how it is bound, and what becomes of its parameters and options."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import subprocess
import sys
from collections.abc import Sequence  # noqa: TC003 - @action reads annotations at run time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    Secret,
    field_validator,
    model_validator,
)

from gostage_core.authoring.action import Action, ActionFunction, action, definition_of
from gostage_core.authoring.definition import ActionDefinition
from gostage_core.authoring.registry import registry
from gostage_core.authoring.retry import Retry
from gostage_core.errors import InvalidActionError
from gostage_core.values.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.context import ActionContext


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    with registry.isolated():
        yield


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 1


class Word(StrEnum):
    YES = "yes"


class Point(BaseModel):
    x: int = 0
    data: float = 0


class NamedPoint(Point):
    name: str = ""


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int = 0


class Wide(Open):
    y: int = 0


@dataclass
class Box:
    width: int


CONTEXT: Any = object()
"""Bodies are only handed it."""


def there_and_back(bound: Action) -> Action:
    """Return what a worker would build."""
    definition = ActionDefinition.model_validate_json(definition_of(bound).model_dump_json())
    return registry.build(definition.action, definition.params)


# Classes


class Greet(Action):
    """Greets the user,
    in a friendly way.

    Not part of the description.
    """

    greeting: str = "Hello"

    def execute(self, ctx: ActionContext) -> str:
        return f"{self.greeting}!"


@pytest.fixture
def greet() -> type[Action]:
    registry.register("greet", Greet)
    return Greet


def test_a_class_is_registered_under_its_module_and_name():
    class Pay(Action):
        def execute(self, ctx: ActionContext) -> None: ...

    name = "test_a_class_is_registered_under_its_module_and_name.<locals>.Pay"
    assert registry.get(f"{__name__}:{name}") is Pay
    assert definition_of(Pay()).action == f"{__name__}:{name}"
    assert definition_of(Pay()).name == "Pay"


def test_a_class_may_name_its_id():
    class Pay(Action, id="billing.pay"):
        def execute(self, ctx: ActionContext) -> None: ...

    assert registry.get("billing.pay") is Pay
    assert definition_of(Pay()).name == "pay"


@pytest.mark.parametrize("id", ["", "two words", "a\n", "ü", "x" * 201, 5])
def test_an_id_that_could_not_be_stored_is_refused(id):
    with pytest.raises(InvalidActionError, match="cannot be a registry id"):

        class Pay(Action, id=id):
            def execute(self, ctx: ActionContext) -> None: ...


def test_the_description_is_the_first_paragraph_of_the_docstring():
    assert definition_of(Greet()).description == "Greets the user, in a friendly way."


def test_a_class_without_execute_is_abstract_and_not_registered():
    class Mail(Action, tags=["mail"]):
        to: str

    assert not [id for id in registry.ids() if "Mail" in id]
    with pytest.raises(InvalidActionError, match="Mail: is abstract; a subclass must define exec"):
        Mail(to="ana")

    class Welcome(Mail):
        def execute(self, ctx: ActionContext) -> None: ...

    assert definition_of(Welcome(to="ana")).tags == ("mail",)


def test_an_abstract_class_has_no_id():
    with pytest.raises(InvalidActionError, match="has an id, but no execute"):

        class Mail(Action, id="mail"):
            to: str


def test_options_in_the_head_of_a_class_hold_for_its_subclasses_too_but_not_the_id():
    class Slow(Action, id="slow", tags=["io"], retry=Retry(3), timeout="2m", queue="slow"):
        def execute(self, ctx: ActionContext) -> None: ...

    class Slower(Slow, timeout=600):
        """Slower."""

    slow, slower = definition_of(Slow()), definition_of(Slower())
    assert (slow.tags, slow.retry, slow.timeout, slow.queue) == (("io",), Retry(3), 120, "slow")
    assert (slower.tags, slower.timeout, slower.queue) == (("io",), 600, "slow")
    assert slower.action.endswith("Slower")
    assert slower.description == "Slower."


def test_a_description_in_the_head_wins_over_the_docstring():
    class Pay(Action, description="Takes the money."):
        """Something else."""

        def execute(self, ctx: ActionContext) -> None: ...

    assert definition_of(Pay()).description == "Takes the money."


def test_an_option_in_the_head_that_does_not_fit_is_refused():
    with pytest.raises(InvalidActionError, match="Pay: option priority: input should be less"):

        class Pay(Action, priority=10):
            def execute(self, ctx: ActionContext) -> None: ...


def test_an_unknown_option_in_the_head_is_an_error_of_python():
    with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):

        class Pay(Action, retries=3):  # type: ignore[call-arg]
            def execute(self, ctx: ActionContext) -> None: ...


@pytest.mark.parametrize("name", ["execute", "options", "model_dump", "copy", "dict", "json"])
def test_a_parameter_may_not_be_called_like_what_every_action_has(name):
    with pytest.raises(InvalidActionError, match=rf"Pay\.{name}: no parameter may be called"):
        exec(f"class Pay(Action):\n    {name}: int", {"Action": Action})
    with pytest.raises(InvalidActionError, match=rf"pay\.{name}: no parameter may be called"):
        exec(f"@action\ndef pay(ctx, {name}: int): ...", {"action": action, "__name__": "shop"})


def test_a_base_may_not_bring_in_a_reserved_parameter():
    class Mixin(BaseModel):
        options: int = 0

    with pytest.raises(InvalidActionError, match=r"Pay\.options"):

        class Pay(Mixin, Action):
            def execute(self, ctx: ActionContext) -> None: ...


def test_parameters_may_be_called_like_options():
    class Pay(Action, name="pay!", timeout=5, tags=["a"]):
        name: str
        timeout: int
        tags: str
        queue: str = "q"
        retry: int = 1
        description: str = "d"
        model_name: str = "m"
        s: int = 1

        def execute(self, ctx: ActionContext) -> str:
            return self.name

    bound = Pay(name="ana", timeout=1, tags="t")
    definition = definition_of(bound.options(timeout=9))
    assert (definition.name, definition.timeout, definition.tags) == ("pay!", 9, ("a",))
    assert definition.params["name"] == "ana"
    assert definition.params["timeout"] == 1
    assert bound.execute(CONTEXT) == "ana"


def test_a_class_with_an_init_of_its_own_is_refused():
    with pytest.raises(InvalidActionError, match="Pay: an action has no __init__ of its own"):

        class Pay(Action):
            def __init__(self, amount: int) -> None: ...

            def execute(self, ctx: ActionContext) -> None: ...


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("def execute(self): ...", "take the context"),
        ("def execute(self, ctx, more): ...", "take the context"),
        ("execute: ClassVar[int] = 3", "no parameter may be called"),
        ("def execute(self, ctx): yield", "is a generator"),
        ("async def execute(self, ctx): yield", "is a generator"),
    ],
)
def test_a_class_whose_execute_could_not_be_called_is_refused(body, told):
    with pytest.raises(InvalidActionError, match=told):
        exec(f"class Pay(Action):\n    {body}", {"Action": Action, "ClassVar": ClassVar})


def test_a_class_may_have_methods_constants_and_private_state():
    class Pay(Action):
        RATE: ClassVar[int] = 2
        amount: int
        _seen: list[int] = PrivateAttr(default_factory=list)

        def total(self) -> int:
            return self.amount * self.RATE

        def execute(self, ctx: ActionContext) -> int:
            self._seen.append(1)
            return self.total()

    bound = Pay(amount=3)
    assert bound.execute(CONTEXT) == 6
    assert definition_of(bound).params == {"amount": 3}


def test_a_class_whose_parameter_names_a_later_class_works_once_it_is_there():
    space: dict[str, Any] = {"Action": Action, "BaseModel": BaseModel, "__name__": "shop"}
    exec(
        "from __future__ import annotations\n"
        "class Pay(Action):\n"
        "    item: Item\n"
        "    def execute(self, ctx): ...\n"
        "class Item(BaseModel):\n"
        "    x: int\n"
        "Pay.model_rebuild(_types_namespace=globals())\n",
        space,
    )
    bound = space["Pay"](item={"x": 1})
    assert there_and_back(bound) == bound


# Binding


def test_wrong_parameters_are_listed_a_line_each_with_what_was_meant():
    with pytest.raises(InvalidActionError) as caught:
        Greet(greting="x")
    assert str(caught.value) == "Greet.greting: unexpected parameter; did you mean 'greeting'?"


def test_the_error_points_into_a_parameter():
    class Draw(Action):
        points: list[Point]

        def execute(self, ctx: ActionContext) -> None: ...

    with pytest.raises(InvalidActionError, match=r"^Draw\.points\[1\]\.x: input should be a vali"):
        Draw(points=[{"x": 1}, {"x": "far"}])


def test_a_validator_that_raises_anything_ends_in_an_error_of_ours():
    def odd(value: int) -> int:
        return {}[value]

    class Pay(Action):
        amount: Annotated[int, AfterValidator(odd)]

        def execute(self, ctx: ActionContext) -> None: ...

    with pytest.raises(InvalidActionError, match="Pay: KeyError: 1"):
        Pay(amount=1)
    with pytest.raises(InvalidActionError, match="Pay: KeyError: 1"):
        registry.build(Pay.__action_id__, {"amount": 1})


def test_validators_of_the_class_are_heard():
    class Pay(Action):
        amount: int
        limit: int = 5

        @field_validator("amount")
        @classmethod
        def _positive(cls, amount: int) -> int:
            if amount <= 0:
                raise ValueError("must be positive")
            return amount

        @model_validator(mode="after")
        def _within(self) -> Pay:
            if self.amount > self.limit:
                raise ValueError("more than the limit")
            return self

        def execute(self, ctx: ActionContext) -> None: ...

    with pytest.raises(InvalidActionError, match=r"^Pay\.amount: must be positive$"):
        Pay(amount=0)
    with pytest.raises(InvalidActionError, match=r"^Pay: more than the limit$"):
        Pay(amount=6)


def test_a_default_that_does_not_fit_is_told_where_the_action_is_bound():
    class Pay(Action):
        amount: int = "much"  # type: ignore[assignment]

        def execute(self, ctx: ActionContext) -> None: ...

    with pytest.raises(InvalidActionError, match=r"^Pay\.amount: input should be a valid integer"):
        Pay()


def test_bound_actions_are_frozen_comparable_and_hashable():
    assert Greet(greeting="a") == Greet(greeting="a")
    assert Greet(greeting="a") != Greet(greeting="b")
    assert len({Greet(greeting="a"), Greet(greeting="a")}) == 1
    assert Greet().options(priority=1) != Greet()
    with pytest.raises(ValueError, match="frozen"):
        Greet().greeting = "b"  # type: ignore[misc]


# Options


def test_options_return_another_bound_action():
    plain = Greet()
    named = plain.options(name="greet-user", tags=["intro", "intro"], on_error="continue")
    assert definition_of(plain).name == "Greet"
    definition = definition_of(named)
    assert (definition.name, definition.tags) == ("greet-user", ("intro",))
    assert definition.on_error == "continue"
    assert isinstance(named, Greet)


def test_options_add_up_and_the_last_one_wins():
    bound = Greet().options(priority=1, queue="a").options(priority=2)
    definition = definition_of(bound)
    assert (definition.priority, definition.queue) == (2, "a")


def test_options_win_over_the_class_even_where_they_take_something_back():
    class Slow(Action, retry=Retry(3), timeout=5, tags=["io"], store_as="x", name="slow"):
        def execute(self, ctx: ActionContext) -> None: ...

    back = Slow().options(retry=None, timeout=None, tags=[], store_as=None, name="")
    definition = definition_of(back)
    assert definition.retry is None
    assert definition.timeout is None
    assert definition.tags == ()
    assert definition.store_as is None
    assert definition.name == "Slow"
    written = definition.model_dump(mode="json")
    assert written["retry"] is None
    assert written["tags"] == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("priority", -1),
        ("priority", 10),
        ("timeout", 0),
        ("timeout", 0.0001),
        ("timeout", -5),
        ("timeout", math.nan),
        ("timeout", "soon"),
        ("queue", "a b"),
        ("queue", "a\x06\x163"),
        ("queue", ""),
        ("tags", "prod"),
        ("tags", [""]),
        ("tags", [5]),
        ("tags", ["a\nb"]),
        ("tags", ["a\u202eb"]),
        ("tags", None),
        ("name", "x" * 201),
        ("name", "a\x00"),
        ("name", "\ud800"),
        ("description", "x" * 10_001),
        ("on_error", "ignore"),
        ("store_as", ""),
        ("store_as", "__run"),
        ("retry", 3),
        ("retry", {"max_atempts": 3}),
    ],
)
def test_an_option_that_does_not_fit_is_refused_by_name(option, value):
    with pytest.raises(InvalidActionError, match=rf"^Greet\.options\(\): option {option}"):
        Greet().options(**{option: value})


def test_an_unknown_option_is_an_error_of_python():
    with pytest.raises(TypeError, match="'priorty'; did you mean 'priority'"):
        Greet().options(priorty=1)  # type: ignore[call-arg]


def test_tags_of_a_set_are_in_the_same_order_in_every_process():
    assert definition_of(Greet().options(tags={"c", "a", "b"})).tags == ("a", "b", "c")


# Parameters on their way


def test_every_kind_of_parameter_comes_back_as_it_went():
    class Everything(Action):
        amount: Decimal = Decimal("9.990")
        big: int = 10**400
        data: bytes = b"\xff\x00"
        infinite: float = -math.inf
        nothing: float = math.nan
        day: date = date(2026, 1, 2)
        at: datetime = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
        span: timedelta = timedelta(days=1, microseconds=1)
        id: UUID = UUID(int=7)
        colour: Colour = Colour.RED
        point: Point = Point(x=1)
        box: Box = Field(default_factory=lambda: Box(3))
        words: set[str] = Field(default_factory=lambda: {"a", "b"})
        pair: tuple[int, str] = (1, "a")
        counts: dict[int, list[Decimal]] = Field(default_factory=lambda: {1: [Decimal(1)]})
        maybe: int | None = None

        def execute(self, ctx: ActionContext) -> None: ...

    bound = Everything()
    again = there_and_back(bound)
    given, read = vars(bound), vars(again)
    assert math.isnan(read.pop("nothing"))
    del given["nothing"]
    assert read == given
    assert str(read["amount"]) == "9.990"


def test_fields_of_a_subclass_survive_where_the_base_allows_them():
    class Draw(Action):
        shapes: list[Open]

        def execute(self, ctx: ActionContext) -> None: ...

    bound = Draw(shapes=[Wide(x=1, y=2)])
    assert definition_of(bound).params == {"shapes": [{"x": 1, "y": 2}]}
    assert vars(there_and_back(bound))["shapes"][0].y == 2


def test_fields_of_a_subclass_that_would_be_lost_are_refused():
    class Draw(Action):
        points: list[Point]

        def execute(self, ctx: ActionContext) -> None: ...

    with pytest.raises(InvalidActionError, match=r"Draw\.points: would reach the worker changed"):
        definition_of(Draw(points=[NamedPoint(name="a")]))


def test_a_union_keeps_each_class():
    class Draw(Action):
        points: list[Point | NamedPoint | Box]

        def execute(self, ctx: ActionContext) -> None: ...

    bound = Draw(points=[NamedPoint(name="a"), Box(1), Point(x=1)])
    assert there_and_back(bound) == bound


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, Decimal(1)),
        (list[Any], [date(2026, 1, 1)]),
        (object, b"x"),
        (str | date, date(2026, 1, 1)),
        (Secret[str], Secret("hush")),
        (Annotated[int, AfterValidator(lambda value: value * 2)], 1),
        (Any, Level.HIGH),
        (list[Any], [Box(1)]),
    ],
)
def test_what_would_arrive_as_something_else_is_refused(annotation, value):
    class Pay(Action):
        it: annotation

        def execute(self, ctx: ActionContext) -> None: ...

    with pytest.raises(InvalidActionError, match=r"^Pay\.it: would reach the worker changed"):
        definition_of(Pay(it=value))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(Any, lambda: 1), (Any, object()), (str, "\ud800"), (Any, "\ud800")],
)
def test_what_cannot_be_written_is_refused(annotation, value):
    class Pay(Action):
        it: annotation

        def execute(self, ctx: ActionContext) -> None: ...

    def use() -> None:
        definition_of(Pay(it=value))

    with pytest.raises(InvalidActionError, match="Pay"):
        use()


def test_a_parameter_that_contains_itself_is_refused():
    class Pay(Action):
        it: Any

        def execute(self, ctx: ActionContext) -> None: ...

    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidActionError, match="Pay"):
        definition_of(Pay(it=loop))
    deep: list[Any] = []
    for _ in range(70):
        deep = [deep]
    with pytest.raises(InvalidActionError, match="more than 64 deep"):
        definition_of(Pay(it=deep))


def test_serializers_and_aliases_of_the_class_are_heard():
    class Pay(Action):
        at: Annotated[
            datetime,
            PlainSerializer(lambda value: value.timestamp(), when_used="json"),
        ]
        amount: int = Field(alias="theAmount")
        computed: int = Field(default=1, serialization_alias="other")

        def execute(self, ctx: ActionContext) -> None: ...

    bound = Pay(at=datetime(2026, 1, 1, tzinfo=UTC), theAmount=3)
    assert definition_of(bound).params == {"at": 1767225600.0, "amount": 3, "computed": 1}
    assert there_and_back(bound) == bound


def test_a_text_of_a_str_enum_is_a_text():
    assert definition_of(Greet(greeting=Word.YES)).params == {"greeting": "yes"}


def test_sets_are_written_in_the_same_order_in_every_process():
    program = (
        "from gostage_core.authoring.action import Action, definition_of\n"
        "class Pay(Action):\n"
        "    words: set[str]\n"
        "    more: dict[str, list[frozenset[str]]] = {}\n"
        "    def execute(self, ctx): ...\n"
        "words = [f'w{n}' for n in range(20)]\n"
        "bound = Pay(words=words, more={'k': [frozenset(words)]})\n"
        "print(definition_of(bound).model_dump_json())\n"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path}\n{program}"],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(texts) == 1


def test_a_later_change_of_a_value_does_not_reach_the_definition():
    class Pay(Action):
        parts: list[int]

        def execute(self, ctx: ActionContext) -> None: ...

    bound = Pay(parts=[1])
    definition = definition_of(bound)
    vars(bound)["parts"].append(2)
    assert definition.params == {"parts": [1]}


# Functions


def test_a_decorated_function_is_still_that_function():
    @action
    def charge(ctx: ActionContext, amount: Decimal, currency: str = "EUR") -> str:
        """Charges a card."""
        return f"{amount} {currency}"

    assert isinstance(charge, ActionFunction)
    assert charge(CONTEXT, Decimal("9.99")) == "9.99 EUR"
    assert charge.__name__ == "charge"
    assert charge.__doc__ == "Charges a card."
    assert list(inspect.signature(charge).parameters) == ["ctx", "amount", "currency"]
    assert charge.__wrapped__(CONTEXT, Decimal(1), "USD") == "1 USD"


def test_a_bound_function_executes_with_its_parameters():
    @action
    def charge(ctx: ActionContext, amount: Decimal, currency: str = "EUR") -> object:
        return ctx, amount, currency

    bound = charge.s("9.99", currency="USD")
    assert there_and_back(bound).execute(CONTEXT) == (CONTEXT, Decimal("9.99"), "USD")
    assert definition_of(bound).description == ""
    assert definition_of(bound).name == "charge"
    assert charge.s(Decimal("9.99")) == charge.s(amount=Decimal("9.99"))


def test_an_async_function_gives_its_coroutine():
    @action("mail.send")
    async def send_mail(ctx: ActionContext, to: str) -> str:
        return to

    assert asyncio.run(send_mail(CONTEXT, "ana")) == "ana"
    running = there_and_back(send_mail.s("ana")).execute(CONTEXT)
    assert inspect.iscoroutine(running)
    assert asyncio.run(running) == "ana"
    assert definition_of(send_mail.s("ana")).name == "send"


def test_a_function_takes_its_id_and_its_options_from_the_decorator():
    @action("pay", tags=["billing"], retry=Retry(5), timeout=30, store_as="charge.id", name="Pay!")
    def charge(ctx: ActionContext) -> None:
        """Charges.

        A lot.
        """

    definition = definition_of(charge.s())
    assert (definition.action, definition.name) == ("pay", "Pay!")
    assert (definition.tags, definition.retry) == (("billing",), Retry(5))
    assert (definition.timeout, definition.store_as) == (30, "charge.id")
    assert definition.description == "Charges."


def test_the_id_of_a_function_may_be_given_by_name():
    @action(id="pay")
    def charge(ctx: ActionContext) -> None: ...

    assert "pay" in registry


def test_positional_and_keyword_only_parameters_are_bound_as_python_binds_them():
    @action
    def mix(ctx: ActionContext, a: int, /, b: int = 2, *, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    assert there_and_back(mix.s(1, c=5)).execute(CONTEXT) == (1, 2, 5)
    with pytest.raises(InvalidActionError, match=r"mix\.a: can only be given by position"):
        mix.s(a=1)  # type: ignore[call-arg]
    with pytest.raises(InvalidActionError, match="takes at most 2 arguments by position"):
        mix.s(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(InvalidActionError, match=r"mix\.b: given by position and by name"):
        mix.s(1, 2, b=3)  # type: ignore[misc]
    with pytest.raises(InvalidActionError, match=r"mix\.a: field required"):
        mix.s()  # type: ignore[call-arg]


def test_wrong_arguments_of_a_function_are_listed_a_line_each():
    @action
    def charge(ctx: ActionContext, amount: Decimal, currency: str) -> None: ...

    with pytest.raises(InvalidActionError) as caught:
        charge.s(curency="EUR")  # type: ignore[call-arg]
    assert str(caught.value).splitlines() == [
        "charge.amount: field required",
        "charge.currency: field required",
        "charge.curency: unexpected parameter; did you mean 'currency'?",
    ]


@pytest.mark.parametrize("value", [Decimal(1), (1, (2,)), b"x", {1: {2}}, Box(1), None, [1], "x"])
def test_parameters_without_annotation_keep_their_type(value):
    @action
    def anything(ctx, it, other: Any = (1,)): ...

    again = vars(there_and_back(anything.s(value)))
    assert again["it"] == value
    assert type(again["it"]) is type(value)
    assert again["other"] == (1,)


def test_a_default_of_none_may_be_given_whatever_the_annotation_says():
    @action
    def send(ctx: ActionContext, to: str = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    assert there_and_back(send.s()) == send.s(None) == send.s(to=None)


def test_constraints_in_annotations_and_defaults_hold():
    @action
    def pay(
        ctx: ActionContext, amount: Annotated[int, Field(gt=0)], parts: int = Field(default=1, le=3)
    ) -> int:
        return parts

    assert there_and_back(pay.s(1)).execute(CONTEXT) == 1
    with pytest.raises(InvalidActionError, match=r"pay\.amount: input should be greater than 0"):
        pay.s(0)
    with pytest.raises(InvalidActionError, match=r"pay\.parts: input should be less than"):
        pay.s(1, 4)


def test_annotations_may_name_what_is_local_to_a_function():
    class Local(BaseModel):
        x: int

    @action
    def draw(ctx: ActionContext, point: Local, more: list[Local] = []) -> Local:  # noqa: B006
        return point

    assert there_and_back(draw.s({"x": 1}, [Local(x=2)])).execute(CONTEXT) == Local(x=1)


def test_annotations_of_the_context_need_not_resolve():
    space: dict[str, Any] = {"action": action, "__name__": "shop"}
    exec("@action\ndef pay(ctx: 'NoSuchThing', n: 'int') -> 'str': ...", space)
    assert definition_of(space["pay"].s("3")).params == {"n": 3}


@pytest.mark.parametrize("what", ["item: 'Missing'", "item: 'list[Missing]'", "item: '1 +'"])
def test_an_annotation_that_cannot_be_resolved_is_named(what):
    with pytest.raises(
        InvalidActionError, match=r"pay\.item: the annotation .* cannot be resolved"
    ):
        exec(f"@action\ndef pay(ctx, {what}): ...", {"action": action, "__name__": "shop"})


def test_a_result_that_cannot_be_resolved_is_named():
    with pytest.raises(InvalidActionError, match=r"pay\.return: the annotation .*Missing"):
        exec("@action\ndef pay(ctx) -> 'Missing': ...", {"action": action, "__name__": "shop"})


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def pay(): ...", "the first parameter must be the context"),
        ("def pay(*, ctx): ...", "the first parameter must be the context"),
        ("def pay(*args): ...", "the first parameter must be the context"),
        ("def pay(ctx, *args): ...", "pay.args: catches any argument"),
        ("def pay(ctx, **more): ...", "pay.more: catches any argument"),
        ("def pay(ctx, _hidden=1): ...", "pay._hidden: the name of a parameter"),
        ("def pay(ctx): yield 1", "is a generator"),
        ("async def pay(ctx): yield 1", "is a generator"),
        ("class pay: ...", "not of"),
        ("def pay(ctx, lock: Lock): ...", "Unable to generate"),
    ],
)
def test_a_function_that_cannot_be_an_action_is_refused(source, told):
    class Lock: ...

    with pytest.raises(InvalidActionError) as caught:
        exec(f"@action()\n{source}", {"action": action, "Lock": Lock, "__name__": "shop"})
    assert told in str(caught.value)


def test_what_is_no_function_is_refused():
    for wrong in (5, Greet, functools.partial(lambda ctx: None)):
        with pytest.raises(InvalidActionError):
            action(wrong)  # type: ignore[call-overload]

    @action
    def once(ctx: ActionContext) -> None: ...

    with pytest.raises(InvalidActionError, match="makes an action of a function"):
        action(once)


def test_an_unknown_option_of_the_decorator_is_an_error_of_python():
    with pytest.raises(TypeError, match="retries"):

        @action(retries=3)  # type: ignore[call-overload]
        def pay(ctx: ActionContext) -> None: ...


def test_a_function_under_another_decorator_is_bound_by_its_own_signature():
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return "logged", function(*args, **kwargs)

        return wrapper

    @action
    @logged
    def pay(ctx: ActionContext, amount: Decimal) -> Decimal:
        return amount

    assert there_and_back(pay.s("1")).execute(CONTEXT) == ("logged", Decimal(1))


def test_a_function_may_name_one_that_comes_later():
    def outer() -> Action:
        @action
        def first(ctx: ActionContext) -> object:
            return second

        @action
        def second(ctx: ActionContext) -> None: ...

        return first.s()

    assert isinstance(outer().execute(CONTEXT), ActionFunction)


def test_what_an_action_takes_and_returns_can_be_stored():
    class Receipt(BaseModel):
        x: int

    @action
    def pay(ctx: ActionContext, receipt: Receipt) -> list[Receipt]: ...  # type: ignore[empty-body]

    assert decode(encode(Receipt(x=1))) == Receipt(x=1)


def test_what_a_class_returns_can_be_read_back_where_only_the_class_is_known():
    program = (
        "from pydantic import BaseModel\n"
        "from gostage_core.authoring.action import Action\n"
        "from gostage_core.values.codec import decode\n"
        "class Receipt(BaseModel):\n"
        "    x: int\n"
        "class Pay(Action):\n"
        "    def execute(self, ctx: 'Missing') -> 'list[Receipt]': ...\n"
        """assert decode(b'{"$":"model","t":"__main__:Receipt","v":{"x":1}}') == Receipt(x=1)\n"""
    )
    paths = f"import sys; sys.path[:] = {sys.path}"
    done = subprocess.run(
        [sys.executable, "-c", f"{paths}\n{program}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_generic_action_is_registered_for_each_of_its_types():
    T = TypeVar("T")

    class Box(Action, Generic[T]):
        it: T

        def execute(self, ctx: ActionContext) -> None: ...

    bound = Box[Decimal](it=Decimal(1))
    assert there_and_back(bound) == bound


def test_sequences_may_be_lists_or_tuples():
    @action
    def pay(ctx: ActionContext, parts: Sequence[int]) -> None: ...

    assert definition_of(pay.s((1, 2))).params == {"parts": [1, 2]}
