"""Weighted fair queueing on its own: jobs that take a known time, on a number of workers."""

from __future__ import annotations

from collections import Counter

import pytest

from mho.jobs.shares import Shares


def played(
    weights: dict[str, float], workers: int, rounds: int, *, joins: dict[str, int] | None = None
) -> list[list[str]]:
    """Who has the workers in each round; every job takes one, and all tenants have more jobs."""
    shares = Shares(weights.__getitem__, 1.0)
    history = []
    for number in range(rounds):
        waiting = {t: 0.0 for t in weights if number >= (joins or {}).get(t, 0)}
        shares.want(waiting)
        running: Counter[str] = Counter()
        for _ in range(workers):
            running[shares.order(waiting, running)[0]] += 1
        for tenant, count in running.items():
            shares.spend(tenant, float(count))
        history.append(sorted(running.elements()))
    return history


def parts(history: list[list[str]]) -> Counter[str]:
    return Counter(tenant for row in history for tenant in row)


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_time_is_shared_by_weight(workers: int) -> None:
    had = parts(played({"a": 1, "b": 2, "c": 5}, workers, 400))
    total = 400 * workers
    for tenant, weight in {"a": 1, "b": 2, "c": 5}.items():
        assert had[tenant] == pytest.approx(total * weight / 8, abs=workers + 2)


def test_a_free_worker_goes_to_whoever_has_none() -> None:
    shares = Shares(lambda _: 1.0, 60.0)
    shares.want({"flood", "quiet"})
    running = Counter({"flood": 3})
    assert shares.order({"flood": 0.0, "quiet": 9.0}, running) == ["quiet", "flood"]


def test_nothing_is_saved_up_while_idle() -> None:
    history = played({"busy": 1, "late": 1}, 1, 40, joins={"late": 20})
    assert parts(history[20:]) == {"busy": 10, "late": 10}


def test_leaving_for_a_moment_forgives_nothing() -> None:
    shares = Shares(lambda _: 1.0, 1.0)
    shares.want({"a", "b"})
    shares.spend("a", 100.0)
    shares.want({"b"})
    shares.want({"a", "b"})
    assert shares.order({"a": 0.0, "b": 1.0}, {}) == ["b", "a"]
    shares.spend("b", 1000.0)
    shares.want({"b"})  # what is remembered of a is less than a newcomer would get
    assert list(shares._times) == ["b"]


def test_newcomers_without_end_starve_nobody() -> None:
    shares = Shares(lambda _: 1.0, 1.0)
    waiting = {"patient": 0.5}
    served: list[str] = []
    for number in range(50):
        waiting[f"new-{number}"] = 1.0 + number
        shares.want(waiting)
        served.append(shares.order(waiting, {})[0])
        shares.spend(served[-1], 1.0)
        if served[-1] == "patient":
            break
        del waiting[served[-1]]
    assert served == ["patient"]


def test_equals_come_in_the_order_of_their_jobs() -> None:
    shares = Shares(lambda _: 1.0, 1.0)
    assert shares.order({"a": 2.0, "b": 1.0}, {}) == ["b", "a"]


def test_only_a_tenant_beyond_its_share_gives_way() -> None:
    shares = Shares({"flood": 1.0, "two": 2.0, "quiet": 1.0}.__getitem__, 60.0)
    shares.want({"flood", "two", "quiet"})
    assert shares.in_excess({"quiet"}, Counter({"flood": 3, "two": 3})) == ["flood", "two"]
    assert shares.in_excess({"quiet"}, Counter({"flood": 1})) == []
    assert shares.in_excess(set(), Counter({"flood": 3})) == []
    # With one worker, whoever has had more gives way, and then not back at once.
    shares.spend("flood", 61.0)
    assert shares.in_excess({"quiet"}, Counter({"flood": 1})) == ["flood"]
    assert shares.in_excess({"flood"}, Counter({"quiet": 1})) == []
