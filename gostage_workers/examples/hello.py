"""The smallest workflow: one action in one stage greets somebody."""

from gostage_core import Action, ActionContext, Workflow
from gostage_workers import LocalCluster


class Greet(Action):
    greeting: str = "Hello"

    def execute(self, ctx: ActionContext) -> None:
        ctx.store["greeting"] = f"{self.greeting}, {ctx.store.get('user', str, default='World')}!"


workflow = Workflow("hello")
workflow.add_stage("greet").add(Greet())

if __name__ == "__main__":
    with LocalCluster() as cluster:
        print(cluster.runner.execute(workflow, store={"user": "Alice"}).store["greeting"])
