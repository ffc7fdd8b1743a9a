"""Middleware around one attempt: hooks in hooks around a body, async or not."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import ActionContext, ActionTimeoutError, HookError, Middleware
from gostage_core.authoring.middleware import middlewares
from gostage_core.authoring.waits import Delivery
from gostage_core.onion import limited, wrapped
from gostage_core.testing import BailSignal, context
from gostage_core.timeout import OvertimeSignal, interrupting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

trail: list[str] = []
VISITOR: contextvars.ContextVar[str] = contextvars.ContextVar("visitor", default="nobody")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    trail.clear()
    with middlewares.isolated():
        yield


class Plain(Middleware):
    name: str

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        trail.append(f"{self.name} in")
        try:
            return f"{self.name}({call_next()})"
        finally:
            trail.append(f"{self.name} out")


class Async(Middleware):
    name: str

    async def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        trail.append(f"{self.name} in")
        await asyncio.sleep(0)
        try:
            return f"{self.name}({await call_next()})"
        finally:
            await asyncio.sleep(0)
            trail.append(f"{self.name} out")


class Calling(Middleware):
    """Has a hook that a test hands it."""

    async def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        return await HOOK[0](call_next)


class PlainCalling(Middleware):
    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        return HOOK[0](call_next)


HOOK: list[Any] = []


def calling(hook: Any, *, plain: bool = False) -> Middleware:
    HOOK[:] = [hook]
    return PlainCalling() if plain else Calling()


def plain_body() -> str:
    trail.append("body")
    return "value"


async def async_body() -> str:
    await asyncio.sleep(0)
    trail.append("body")
    return "value"


def run(around: list[Middleware], body: Callable[[], Any] = plain_body) -> Any:
    return wrapped(around, context(), body)


@pytest.mark.parametrize("body", [plain_body, async_body])
@pytest.mark.parametrize("innermost", [Plain, Async])
@pytest.mark.parametrize("inner", [Plain, Async])
@pytest.mark.parametrize("outer", [Plain, Async])
def test_hooks_and_bodies_mix_whichever_of_them_is_async(
    outer: Any, inner: Any, innermost: Any, body: Any
) -> None:
    assert run([outer(name="a"), inner(name="b"), innermost(name="c")], body) == "a(b(c(value)))"
    assert trail == ["a in", "b in", "c in", "body", "c out", "b out", "a out"]


def test_without_hooks_the_value_is_the_bodys() -> None:
    assert run([]) == "value"
    assert run([], async_body) == "value"


@pytest.mark.parametrize("kind", [Plain, Async])
@pytest.mark.parametrize("body_is_async", [False, True])
def test_an_exception_goes_out_through_every_hook(kind: Any, body_is_async: bool) -> None:
    def fail() -> None:
        raise ValueError("no")

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        run([kind(name="a"), kind(name="b")], fail_later if body_is_async else fail)
    assert trail == ["a in", "b in", "b out", "a out"]


def test_a_hook_may_swallow_an_exception_and_give_a_value_of_its_own() -> None:
    async def swallow(call_next: Any) -> object:
        try:
            return await call_next()
        except KeyError as error:
            return f"instead of {error!r}"

    def fail() -> None:
        raise KeyError("k")

    assert run([calling(swallow)], fail) == "instead of KeyError('k')"


def test_a_hook_that_does_not_go_on_leaves_the_body_out() -> None:
    assert run([Plain(name="a"), calling(lambda _next: "cached", plain=True)]) == "a(cached)"

    async def cached(_next: Any) -> str:
        return "cached"

    assert run([calling(cached), Plain(name="a")]) == "cached"
    assert "body" not in trail


def test_going_on_twice_is_refused_in_plain_hooks() -> None:
    def twice(call_next: Any) -> object:
        return [call_next(), call_next()]

    with pytest.raises(HookError, match=r"^PlainCalling called call_next\(\) twice; a body runs"):
        run([calling(twice, plain=True)])
    assert trail == ["body"]


def test_going_on_twice_is_refused_in_async_hooks() -> None:
    async def twice(call_next: Any) -> object:
        return [await call_next(), await call_next()]

    with pytest.raises(HookError, match=r"^Calling called call_next\(\) twice"):
        run([calling(twice)], async_body)
    assert trail == ["body"]


def test_everything_async_runs_on_one_loop() -> None:
    loops = []

    async def note(call_next: Any) -> object:
        loops.append(asyncio.get_running_loop())
        return await call_next()

    async def body() -> None:
        loops.append(asyncio.get_running_loop())

    run([calling(note), Plain(name="a"), Async(name="b")], body)
    assert loops[0] is loops[1]


def test_what_a_hook_sets_for_its_context_holds_inside_of_it() -> None:
    async def enter(call_next: Any) -> object:
        VISITOR.set("ana")
        return await call_next()

    async def visitor_later() -> str:
        return VISITOR.get()

    assert run([calling(enter), Plain(name="a")], VISITOR.get) == "a(ana)"
    assert run([calling(enter), Plain(name="a"), Async(name="b")], visitor_later) == "a(b(ana))"
    assert VISITOR.get() == "nobody"


@pytest.mark.parametrize("between", [[], [Plain], [Async], [Async, Plain, Async]])
def test_a_timeout_of_an_async_hook_ends_an_async_body(between: list[Any]) -> None:
    async def limit(call_next: Any) -> object:
        try:
            async with asyncio.timeout(0.05):
                return await call_next()
        except TimeoutError:
            trail.append("timeout")
            return "too late"

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            trail.append("cleaned up")

    around = [calling(limit), *(kind(name=str(i)) for i, kind in enumerate(between))]
    assert run(around, forever) == "too late"
    assert trail[-1] == "timeout"
    assert "cleaned up" in trail


def test_a_timeout_that_has_passed_already_ends_the_body_before_it_begins() -> None:
    async def limit(call_next: Any) -> object:
        async with asyncio.timeout(0):
            return await call_next()

    with pytest.raises(TimeoutError):
        run([calling(limit), Plain(name="a")], async_body)
    assert trail == []


def test_a_bail_goes_past_handlers_of_exceptions() -> None:
    async def handle(call_next: Any) -> object:
        try:
            return await call_next()
        except Exception:
            return "swallowed"

    def bail() -> None:
        context().bail("enough")

    with pytest.raises(BailSignal, match=r"^enough$"):
        run([calling(handle), Plain(name="a")], bail)


def test_what_a_body_waits_for_goes_past_the_hooks() -> None:
    wait = Delivery("answer")
    assert run([Plain(name="a"), Async(name="b")], lambda: wait) is wait
    assert trail == ["a in", "b in", "b out", "a out"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("kind", [Plain, Async])
def test_an_exit_goes_out_through_every_hook(
    kind: Any, error: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def leave() -> None:
        raise error

    with caplog.at_level(logging.DEBUG), pytest.raises(error):
        run([kind(name="a"), kind(name="b")], leave)
    assert trail == ["a in", "b in", "b out", "a out"]
    assert run([Async(name="a")], async_body) == "a(value)"


def test_a_stray_stop_iteration_is_no_value() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        run([Async(name="a")], lambda: next(iter(())))


class Limit(Middleware):
    seconds: float | None

    def attempt_limit(self, ctx: ActionContext) -> float | None:
        return self.seconds


@pytest.mark.parametrize(
    ("limits", "timeout", "expected"),
    [([], None, None), ([None], 3.0, 3.0), ([5.0, 2.0], None, 2.0), ([5.0], 3.0, 3.0)],
)
def test_the_shortest_limit_counts(
    limits: list[float | None], timeout: float | None, expected: float | None
) -> None:
    around = [Limit(seconds=seconds) for seconds in limits]
    assert limited(around, context(), timeout) == expected


def test_without_time_left_an_attempt_does_not_begin() -> None:
    with pytest.raises(ActionTimeoutError, match=r"^not begun: .*Limit leaves no time for it$"):
        limited([Limit(seconds=0.0)], context(), 5.0)


def spin() -> None:
    while True:
        pass


async def sleep_on() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        trail.append("cleaned up")


@pytest.mark.parametrize("body", [spin, sleep_on])
@pytest.mark.parametrize("kinds", [[Plain, Async], [Async, Plain], [Async, Async]])
def test_the_end_of_its_time_goes_out_from_the_body_through_every_hook(
    kinds: list[Any], body: Any
) -> None:
    outer, inner = kinds
    with pytest.raises(OvertimeSignal), interrupting(0.1, lambda: None):
        run([outer(name="a"), inner(name="b")], body)
    assert [line for line in trail if line != "cleaned up"] == ["a in", "b in", "b out", "a out"]
    assert ("cleaned up" in trail) is (body is sleep_on)
    assert run([Async(name="a")], async_body) == "a(value)"


def test_a_hook_that_takes_too_long_itself_is_ended_too() -> None:
    async def dally(call_next: Any) -> object:
        await sleep_on()
        return await call_next()

    with pytest.raises(OvertimeSignal), interrupting(0.1, lambda: None):
        run([Plain(name="a"), calling(dally)])
    assert trail == ["a in", "cleaned up", "a out"]
