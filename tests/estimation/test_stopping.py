"""When an estimation is over: seconds, standard errors, a top that is settled."""

from __future__ import annotations

import numpy as np
import pytest

from mho.estimation.stopping import Looked, Stopping, looked, settled_players
from mho.estimator import Estimate


def rule(
    *, seconds: float = 0.0, std_error: float = 0.0, top: int = 0, confidence: float = 0.95
) -> Stopping:
    return Stopping(seconds, std_error, top, confidence)


def estimate(
    values: list[float], error: float | list[float] = 0.1, draws: int | list[int] = 30,
    approximate: tuple[int, ...] = (),
) -> Estimate:  # fmt: skip
    players = len(values)
    biased = np.isin(np.arange(players), approximate)
    return Estimate(
        values=np.array(values), std_error=np.broadcast_to(error, players).astype(float),
        draws=np.broadcast_to(draws, players).astype(np.int64), v_full=1.0, v_empty=0.0,
        evaluations=100.0, approximate=biased,
    )  # fmt: skip


FAR, NEAR = [9.0, 5.0, 1.0, 0.0], [5.01, 5.0, 4.99, 4.98]


def test_nothing_asked_for_never_ends() -> None:
    assert looked(rule(), Looked(), estimate(FAR, 0.0), 1e9) == Looked()


def test_seconds() -> None:
    assert looked(rule(seconds=2), Looked(), estimate(FAR), 1.99).end == ""
    assert looked(rule(seconds=2), Looked(3, 120), estimate(FAR), 2.0) == Looked(3, 120, "seconds")


def test_standard_errors() -> None:
    asked = rule(std_error=0.1)
    assert looked(asked, Looked(), estimate(FAR, [0.1, 0.05, 0.1, 0.0]), 0).end == "std_error"
    assert looked(asked, Looked(), estimate(FAR, [0.1, 0.05, 0.101, 0.0]), 0).end == ""


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_standard_errors_of_a_few_draws_are_not_trusted(draws: int) -> None:
    assert looked(rule(std_error=1.0), Looked(), estimate(FAR, 0.01, draws), 0).end == ""


def test_standard_errors_of_predictions_are_not_waited_for() -> None:
    found = estimate(FAR, [0.1, 0.1, 0.1, np.inf], approximate=(3,))
    assert looked(rule(std_error=0.1), Looked(), found, 0).end == "std_error"


def test_a_settled_top() -> None:
    assert looked(rule(top=2), Looked(), estimate(FAR), 0) == Looked(1, 120, "top settled")
    assert looked(rule(top=2), Looked(), estimate(NEAR), 0) == Looked(1, 120, "")


def test_players_are_told_apart_again_when_there_are_a_fifth_more_draws() -> None:
    """So that looks, which cost confidence, stay few."""
    before = looked(rule(top=2), Looked(), estimate(NEAR, draws=30), 0)
    assert looked(rule(top=2), before, estimate(FAR, draws=35), 0) == before
    assert looked(rule(top=2), before, estimate(FAR, draws=36), 0) == Looked(2, 144, "top settled")


def test_nobody_looks_before_anything_is_known() -> None:
    for error, draws in ((np.inf, 0), (np.inf, 1), (0.1, 3)):
        assert looked(rule(top=2), Looked(), estimate(FAR, error, draws), 0) == Looked()


def test_the_same_is_less_sure_after_more_looks() -> None:
    values = [1.0, 0.0, 0.0, 0.0]
    found = [
        settled_players(rule(top=1), estimate(values, 0.13), looks)[0] for looks in (0, 1, 100)
    ]
    assert found == [True, True, False]


def test_only_values_that_are_not_approximate_are_told_apart() -> None:
    found = estimate([9.0, 5.0, 1.0, 99.0], approximate=(3,))
    assert settled_players(rule(top=2), found, 1).tolist() == [True, True, False, False]
    assert not settled_players(rule(top=3), found, 1).any()  # three candidates for three places


def test_seldom_wrong_however_often_it_is_looked() -> None:
    """Six players alike but for the best: of 300 runs at 90 %, in at most 10 % is a wrong one
    called settled in the end, and most end before the draws do."""
    generator = np.random.default_rng(1)
    truth = np.array([0.9, 0.3, 0.3, 0.3, 0.0, 0.0])
    wrong = ended = 0
    for _ in range(300):
        draws = truth + generator.normal(size=(400, 6))
        state = Looked()
        for count in range(2, 401):
            seen = draws[:count]
            if count * 6 < 1.2 * state.draws:
                continue
            error = seen.std(axis=0, ddof=1) / np.sqrt(count)
            found = estimate(list(seen.mean(axis=0)), list(error), count)
            state = looked(rule(top=1, confidence=0.9), state, found, 0)
            if state.end:
                ended += 1
                wrong += not settled_players(rule(top=1, confidence=0.9), found, state.looks)[0]
                break
    assert wrong <= 30
    assert ended > 200
