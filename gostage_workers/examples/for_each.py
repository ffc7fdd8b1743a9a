"""The same actions for each item of a collection in the store, so many at a time.

The actions of one item come one after another; the results are in the order of the items.
"""

# ruff: noqa: T201

from __future__ import annotations

from collections import Counter

from gostage_core import ActionContext, ForEach, Key, Stage, Workflow, action
from gostage_workers import LocalCluster

CHAPTERS = Key("chapters", dict[str, str])
LONGEST = Key("longest", list[str])

FABLES = {
    "The Fox and the Grapes": "a hungry fox saw some fine bunches of grapes and said they are sour",
    "The North Wind and the Sun": "the wind blew and the sun shone until the traveller undressed",
    "The Hare and the Tortoise": "the hare slept and slept while the tortoise went on",
}


@action
def count_words(ctx: ActionContext) -> None:
    """Count the words of one chapter; the item of a dict is a key with its value."""
    title, text = ctx.item
    ctx.store[f"words.{ctx.index}"] = Counter(text.split()).total()
    ctx.log.info("%s is counted", title)


@action
def find_longest(ctx: ActionContext) -> str:
    """Return the longest word of the same chapter, and how many words it has."""
    title, text = ctx.item
    words = ctx.store.get(f"words.{ctx.index}", int)
    return f"{title}: {max(text.split(), key=len)} is the longest of {words} words"


each = ForEach(CHAPTERS, count_words.s(), find_longest.s(), max_parallel=2, store_as=LONGEST.name)
workflow = Workflow("fables")
workflow.add_stage(Stage("read", [each.options(name="chapters")]))

if __name__ == "__main__":
    with LocalCluster() as cluster:
        result = cluster.runner.execute(workflow, store={CHAPTERS: FABLES})
    for one in result.actions:
        print(f"{one.path}: {one.status}")
    print(*result.store[LONGEST], sep="\n")
