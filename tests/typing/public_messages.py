"""What type checkers know of messages and their handlers; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_type

from gostage_core import ActionContext, Message, Run, Runner


def in_an_action(ctx: ActionContext) -> None:
    """Sending returns nothing."""
    ctx.send("progress", {"done": 1})
    ctx.send("done")


def in_a_producer(runner: Runner, run: Run) -> None:
    """A handler stays what it was, and a message says where it comes from."""

    @runner.on("progress", workflow="order")
    def show(message: Message) -> int:
        assert_type(message.type, str)
        assert_type(message.context.run_id, str)
        return message.context.sequence

    assert_type(runner.drain(), bool)
    assert_type(run.messages(follow=True), Iterator[Message])
    handler: Callable[[Message], int] = show

    @runner.on()
    async def later(message: Message) -> None:
        handler(message)

    runner.on("progress")(print)
    runner.on("progress")(len)  # type: ignore[type-var]
