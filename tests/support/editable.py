"""A workflow for tests of the command that changes runs."""

from gostage_core import ActionContext, Stage, Workflow, action


@action("say")
def say(ctx: ActionContext, word: str) -> None:
    """Append a word."""
    ctx.store.append("said", word)


workflow = Workflow("editable", tags=["edits"])
workflow.add_stage(Stage("now", [say.s(word=w).options(name=w) for w in ("a", "b", "c")]))
workflow.add_stage(Stage("later", [say.s(word="d").options(name="d")]))
