"""Runs of several tenants share the slots, and whoever comes back from a pause goes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from jobs.server import until
from mho.jobs.serving.turns import Turns


class Held:
    """Writes down when it is held and let go."""

    def __init__(self) -> None:
        self.said: list[bool] = []

    def __call__(self, held: bool) -> None:
        self.said.append(held)

    @property
    def now(self) -> bool:
        return bool(self.said) and self.said[-1]


@pytest.fixture
def turns() -> Iterator[Callable[[int], Turns]]:
    with ExitStack() as made:

        def make(slots: int) -> Turns:
            one = Turns(slots)
            made.callback(one.close)
            return one

        yield make


def test_alone_nothing_is_held(turns: Callable[[int], Turns]) -> None:
    one, first = turns(1), Held()
    with one.turn("a", first):
        pass
    assert first.said == []


def test_as_many_run_as_there_are_slots(turns: Callable[[int], Turns]) -> None:
    one, held = turns(2), [Held(), Held()]
    with one.turn("a", held[0]), one.turn("b", held[1]):
        pass
    assert [entry.said for entry in held] == [[], []]


def test_a_newcomer_goes_before_one_that_has_computed_and_lets_it_go_on(
    turns: Callable[[int], Turns],
) -> None:
    one, first, second = turns(1), Held(), Held()
    with one.turn("flood", first):
        one._had["flood"] += 1.0  # as if it had computed for a second
        with one.turn("quiet", second):
            assert (first.now, second.now) == (True, False)
        assert not first.now
    assert second.said == []


def test_two_that_compute_without_pause_take_turns(turns: Callable[[int], Turns]) -> None:
    one, first, second = turns(1), Held(), Held()
    with one.turn("a", first), one.turn("b", second):
        until(lambda: first.said.count(True) >= 3 and second.said.count(True) >= 3, "turns")
    assert not first.now
    assert not second.now


def test_a_tenant_gets_its_share_however_many_others_there_are(
    turns: Callable[[int], Turns],
) -> None:
    one = turns(1)
    held = [Held() for _ in range(5)]
    with ExitStack() as running:
        for number, each in enumerate(held):
            running.enter_context(one.turn(str(number), each))
        until(lambda: all(each.said.count(False) >= 2 for each in held), "a turn for everybody")
    assert not any(each.now for each in held)


def test_what_is_known_of_tenants_that_are_gone_is_forgotten(
    turns: Callable[[int], Turns],
) -> None:
    one = turns(1)
    with one.turn("first", Held()):
        one._had["first"] += 100
    for number in range(20):
        with one.turn(f"tenant {number}", Held()):
            one._had[f"tenant {number}"] += 100
    assert len(one._had) < 5


def test_closing_lets_everything_go_on() -> None:
    one, first, second = Turns(1), Held(), Held()
    with one.turn("a", first), one.turn("b", second):
        one.close()
        assert not first.now
        assert not second.now
