"""A plain model of what a run does: lists in memory, no server, no messages, no crashes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """One action of a random workflow, and what it does."""

    name: str
    adds: tuple[Step, ...] = ()
    adds_stages: tuple[Phase, ...] = ()
    fails: int = 0
    """How many attempts raise before one does not."""
    tries: int = 1
    goes_on: bool = False
    """``on_error="continue"``."""
    bails: bool = False

    @property
    def succeeds(self) -> bool:
        return self.fails < self.tries


@dataclass(frozen=True)
class Phase:
    """One stage of a random workflow."""

    id: str
    steps: tuple[Step, ...]
    parallel: bool = False


@dataclass
class Outcome:
    """How the run ends."""

    status: str = "completed"
    committed: list[str] = field(default_factory=list)
    plan: list[tuple[str, list[str]]] = field(default_factory=list)


def expected(phases: list[Phase]) -> Outcome:
    """Execute the workflow in plan order."""
    outcome = Outcome()
    queue = list(phases)
    while queue:
        phase = queue.pop(0)
        steps, added = list(phase.steps), []
        names: list[str] = []
        outcome.plan.append((phase.id, names))
        while steps:
            step = steps.pop(0)
            names.append(step.name)
            if outcome.status != "completed":
                continue
            if step.succeeds:
                outcome.committed.append(step.name)
                steps[:0] = step.adds
                added += step.adds_stages
                if step.bails:
                    outcome.status = "bailed"
            elif not step.goes_on:
                outcome.status = "failed"
        queue[:0] = added
        if outcome.status != "completed":
            outcome.plan += [(later.id, [step.name for step in later.steps]) for later in queue]
            break
    return outcome
