"""Truncated permutations against a slow version, and what they say of their bias."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.paper import Slow
from estimators.playing import played, states
from games import SampledGame, TableGame, random_game
from mho.estimator import Asked
from mho.estimators.permutation import Permutation
from mho.estimators.truncated import Truncated


def dead_below(count: int, alive: int, inputs: int = 5) -> SampledGame:
    """Worth nothing, but for a little noise, where fewer than ``alive`` players are left."""
    generator = np.random.default_rng(count)
    weight, noise = generator.uniform(0.5, 1.5, count), generator.normal(size=(inputs, count))
    level = generator.normal(size=inputs)

    def worth(kept: np.ndarray) -> np.ndarray:
        share = max(0.0, kept.sum() - alive) / (count - alive)
        return np.asarray(level + share * (kept @ weight) + 0.01 * np.sin(noise @ kept))

    return SampledGame(count=count, inputs=inputs, worth_of=worth)


@pytest.mark.parametrize("size", [0, 3])
@pytest.mark.parametrize("alive", [0, 8, 12])
def test_equals_the_paper_evaluated_one_by_one(size: int, alive: int) -> None:
    game = dead_below(16, alive)
    found = played(Truncated, game, seed=4, minibatch=size, evaluations=120)
    slow = Slow(game, seed=4, size=size)
    for _ in range(int(found.report["permutations"])):  # type: ignore[arg-type]
        slow.walk()
    np.testing.assert_allclose(found.values, [np.mean(s) for s in slow.samples], atol=1e-12)
    error = [np.std(s, ddof=1) / np.sqrt(slow.walks) for s in slow.samples]
    np.testing.assert_allclose(found.std_error, error, atol=1e-12)
    assert found.evaluations == pytest.approx(2 + slow.evaluated * (size or 5) / 5)
    assert found.report["permutations_cut"] == len(slow.mass)
    assert found.report["truncated_mass"] == pytest.approx(sum(slow.mass) / slow.walks)
    assert found.report["truncated_marginals"] == pytest.approx(slow.missed / slow.walks / 16)


def test_what_is_saved_goes_into_more_permutations() -> None:
    found = played(Truncated, dead_below(20, 16), evaluations=2 + 10 * 19)
    assert found.report["permutations"] > 10  # type: ignore[operator]
    assert found.evaluations <= 192


def test_says_who_is_biased_and_by_how_much_in_all() -> None:
    game = dead_below(20, 14)
    found = played(Truncated, game, evaluations=400)
    assert found.approximate.any()
    (note,) = found.notes
    assert "counted 0: the values are biased" in note
    gap = abs(found.values.sum() - (found.v_full - found.v_empty))
    assert gap <= found.report["truncated_mass"] + 1e-12  # type: ignore[operator]
    assert found.report["truncated_mass"] <= 0.1 * abs(found.v_full - found.v_empty)  # type: ignore[operator]


def test_without_a_cut_it_is_permutation_sampling_of_other_orders() -> None:
    """A V that comes back is not dead, nor one that lies far below V of no players."""
    game = TableGame(lambda c: float(c.sum() % 2) + (-50.0 if 0 < c.sum() < 15 else 0.0), 15)
    found = played(Truncated, game)
    assert found.report["permutations"] == 24
    assert not found.approximate.any()
    assert found.notes == []
    assert found.values.sum() == pytest.approx(found.v_full - found.v_empty)


def test_the_last_departure_is_never_cut_because_it_costs_nothing() -> None:
    """Of seven players six have left when a walk may be cut; of eight, two are still there."""
    for players, cut in ((7, False), (8, True)):
        report = played(Truncated, TableGame(lambda c: float(c.all()), players)).report
        assert report["permutations_cut"] == (report["permutations"] if cut else 0)


def test_a_falling_value_is_cut_as_well_as_a_rising_one() -> None:
    rising, falling = (TableGame(lambda c, s=s: s * float(c.sum() > 9), 12) for s in (1, -1))
    one, other = (played(Truncated, game, seed=1) for game in (rising, falling))
    np.testing.assert_allclose(one.values, -other.values, atol=1e-15)
    assert one.report["permutations_cut"] == other.report["permutations_cut"] > 0  # type: ignore[operator]


def test_nothing_is_evaluated_that_is_not_used() -> None:
    """Whatever the chunk: a walk is looked ahead no further than it is sure to go."""
    spent = []
    for chunk in (1, 4, 100):
        game = dead_below(16, 12)
        game.chunk = chunk
        spent.append(played(Truncated, game, evaluations=200).evaluations)
        assert spent[-1] == pytest.approx(game.evaluations)
    assert spent[0] == pytest.approx(spent[1])
    assert spent[0] == pytest.approx(spent[2])


def test_a_walk_in_hand_does_not_count_yet() -> None:
    game = random_game(9, 0)
    game.chunk = 3
    estimator = Truncated(Asked())
    for state, _ in zip(states(estimator, game), range(3), strict=False):
        assert np.isnan(estimator.estimate(state).values).all()


def test_nearly_as_good_as_permutation_sampling_for_fewer_evaluations() -> None:
    """Where the network is dead below three quarters of its players."""
    game = dead_below(24, 18)
    truth = played(Permutation, game, evaluations=20_000).values
    few = played(Truncated, game, evaluations=600)
    whole = played(Permutation, game, evaluations=600)
    assert few.report["permutations"] > 1.5 * whole.draws[0]  # type: ignore[operator]
    scale = np.abs(truth).mean()
    assert np.abs(few.values - truth).mean() < 0.2 * scale
