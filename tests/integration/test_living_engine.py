"""Whatever happens to a run, in whatever order: it ends, and is sound after each operation."""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support.invariants import check_bytes
from tests.support.living import World

if TYPE_CHECKING:
    from tests.support.bench import Bench

FIRST = int(os.environ.get("LIVING_FIRST", "0"))
COUNT = int(os.environ.get("LIVING_COUNT", "60"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_run_ends_and_is_sound_all_the_way(bench: Bench, seed: int) -> None:
    for run in World(bench, Random(seed)).live():
        check_bytes(bench.state, run.run_id)
        for n in run.actions:
            key = run.plan[f"s{n}"]
            assert key
