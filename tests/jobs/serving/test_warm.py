"""What stays warm, and what has to go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mho.jobs.serving.warm import WarmRuns


def run(size: int, kept: Any = None) -> Any:
    return SimpleNamespace(kept=kept or SimpleNamespace(sessions=SimpleNamespace(size=size)))


def test_the_run_that_was_not_used_for_longest_goes() -> None:
    warm = WarmRuns(most=2, memory=1000)
    made: list[str] = []

    def get(name: str) -> None:
        warm.get(name, name, lambda: made.append(name) or run(1))  # type: ignore[func-returns-value]

    for name in ("a", "b", "a", "c", "a", "b"):
        get(name)
    assert made == ["a", "b", "c", "b"]


def test_sessions_go_beyond_the_budget_but_never_those_in_use() -> None:
    warm = WarmRuns(most=10, memory=100)
    for name, size in (("a", 20), ("b", 20), ("c", 20)):
        warm.get(name, name, lambda size=size: run(size))
    assert warm.model("a") is None
    assert warm.model("b") is not None
    warm.get("large", "large", lambda: run(500))
    assert warm.model("large") is not None
    assert warm.model("c") is None


def test_a_model_is_counted_once_however_many_methods_run_on_it() -> None:
    warm = WarmRuns(most=10, memory=100)
    first = warm.get("a/1", "a", lambda: run(40))
    warm.get("a/2", "a", lambda: run(0, first.kept))
    assert warm.get("a/1", "a", lambda: run(0)) is first
