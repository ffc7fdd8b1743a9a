"""A short storm of every fault there is: each run ends, and each action is committed once."""

from __future__ import annotations

import pytest

from tests.chaos.storm import storm

pytestmark = pytest.mark.chaos


def test_every_promise_is_kept_under_faults_of_all_kinds() -> None:
    figures = storm(runs=200, kills=9, seed=7, workers=2)
    assert figures.sound, "\n".join(figures.lines())
    assert figures.runs == 200
    assert figures.struck
