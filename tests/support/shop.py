"""A shop: workflows in a module and in a file, and a directory to run the command in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.command import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from gostage_core.settings import Settings

MODULE = """
import time
from gostage_core import ActionContext, NoRetry, Stage, Workflow, action

@action
def quick(ctx: ActionContext, n: int = 0) -> None:
    ctx.store.increment("count")

@action(on_error="continue")
def odd(ctx: ActionContext) -> None:
    raise RuntimeError("odd")

@action
def broken(ctx: ActionContext) -> None:
    raise NoRetry("card declined") from ValueError("code 51")

@action
def bails(ctx: ActionContext) -> None:
    ctx.bail("nothing to do")

@action
def until_told(ctx: ActionContext) -> None:
    ctx.progress(0.25, "waiting to be told")
    while not ctx.cancelled:
        time.sleep(0.05)

@action
def nap(ctx: ActionContext) -> None:
    time.sleep(1.5)

good = Workflow("good", name="Order processing with a name that is longer than a table has room")
good.add_stage("pay", name="Payment").add(quick.s(), quick.s())
good.add_stage(Stage("tell", [quick.s().options(name="ana"), quick.s()], parallel=True))
bad = Workflow("bad")
bad.add_stage("pay").add(quick.s(), broken.s(), quick.s())
bail = Workflow("bail")
bail.add_stage("pay").add(bails.s(), quick.s())
endless = Workflow("endless")
endless.add_stage("pay").add(until_told.s())
slow = Workflow("slow")
slow.add_stage("pay").add(nap.s(), quick.s())
large = Workflow("large")
large.add_stage(Stage("all", [quick.s(n=n) for n in range(60)] + [odd.s()]))

def made() -> Workflow:
    return good
"""

YAML = """
id: from-a-file
stages:
  - id: only
    actions:
      - action: shop:quick
        params: {n: 3}
"""


def open_shop(directory: Path, settings: Settings) -> Shell:
    """Write the shop into *directory*, and return a shell in it that knows the server."""
    (directory / "shop.py").write_text(MODULE)
    (directory / "order.yaml").write_text(YAML)
    return Shell(
        directory, GOSTAGE_REDIS_URL=settings.redis_url, GOSTAGE_NAMESPACE=settings.namespace
    )
