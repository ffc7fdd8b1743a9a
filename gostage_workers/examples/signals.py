"""A run waits for people: a signal with a typed payload, one that came early, one that never comes.

Waiting holds no worker, whether for a second or for weeks, and outlasts every restart.
"""

# ruff: noqa: T201

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from gostage_core import ActionContext, Key, Sleep, StoreTypeError, WaitForSignal, Workflow, action
from gostage_workers import LocalCluster

if TYPE_CHECKING:
    from gostage_core import Run


class Approval(BaseModel):
    """What somebody decides, and who it is."""

    ok: bool
    by: str


APPROVAL = Key("approval", Approval)


@action
def publish(ctx: ActionContext) -> None:
    """Publish what was approved; the same body waits for the time of day, and goes on then."""
    moment = ctx.wait_for("moment", str, timeout="1d")
    ctx.store.append("log", f"published in the {moment}, approved by {ctx.store[APPROVAL].by}")


@action
def remind(ctx: ActionContext) -> None:
    """Remind somebody who does not answer."""
    ctx.store.append("log", "reminded the press office, which did not answer")


workflow = Workflow("press-release")
workflow.add_stage("decide").add(WaitForSignal("approval", Approval, store_as="approval"))
workflow.add_stage("publish").add(
    publish.s(), Sleep(seconds=0.5), WaitForSignal("echo", timeout=0.5, on_timeout=remind.s())
)


def decide(run: Run) -> None:
    """Send the run what it waits for."""
    run.signal("moment", "morning")  # nobody waits for it yet: it is kept
    for _ in run.changes():
        if run.status == "waiting":
            break
    print(run.why().text)
    try:
        run.signal("approval", {"ok": "perhaps", "by": "ana"})
    except StoreTypeError:
        print("'perhaps' is no answer")
    run.signal("approval", Approval(ok=True, by="ana"))


if __name__ == "__main__":
    with LocalCluster() as cluster:
        release = cluster.runner.submit(workflow)
        decide(release)
        result = release.wait()
        print(f"{result.status}: {'; '.join(result.store['log'])}")
