"""Threads of ours keep to what a thread is to Python."""

from __future__ import annotations

from threading import Thread

from gostage_workers import steps


def subclasses(kind: type) -> set[type]:
    return {one for below in kind.__subclasses__() for one in (below, *subclasses(below))}


def test_nothing_of_pythons_own_thread_is_replaced_but_what_it_does() -> None:
    """What stands in place of a private method is called by a child process when it has forked."""
    ours = {one for one in subclasses(Thread) if one.__module__.startswith("gostage")}
    assert steps.Keeper in ours
    for one in ours:
        replaced = {name for name in vars(one) if hasattr(Thread, name) and name[:2] != "__"}
        assert replaced <= {"run"}, one
