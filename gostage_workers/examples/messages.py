"""An action tells how far it is, and who submitted it hears so while it runs."""

from __future__ import annotations

import time

from gostage_core import ActionContext, Message, Stage, Workflow, action
from gostage_workers import LocalCluster


@action
def copy(ctx: ActionContext, name: str, parts: int) -> None:
    """Copy something large, part by part."""
    for part in range(1, parts + 1):
        time.sleep(0.1)
        ctx.send("progress", {"file": name, "done": part, "of": parts})
    ctx.send("copied", name)


workflow = Workflow("backup")
workflow.add_stage(
    Stage("copy", [copy.s(name="photos", parts=4), copy.s(name="letters", parts=2)], parallel=True)
)


def main() -> None:
    """Show the messages as they come, and the whole stream again at the end."""
    with LocalCluster() as cluster:
        runner = cluster.runner

        @runner.on("progress")
        def show(message: Message) -> None:
            print("{file}: {done} of {of}".format(**message.payload), flush=True)  # noqa: T201

        @runner.on("copied", workflow="backup")
        def cheer(message: Message) -> None:
            print(f"{message.payload} copied, says {message.context.action}", flush=True)  # noqa: T201

        result = runner.execute(workflow)
        kept = list(runner.get(result.run_id).messages())
        print(f"{result.status}: {len(kept)} messages are kept, in order")  # noqa: T201


if __name__ == "__main__":
    main()
