"""Draws of coalitions: strata, mirrored pairs, inputs met in turn, and what they depend on."""

from __future__ import annotations

import numpy as np
import pytest

from mho.sampling.coalitions import Draw, Strata, drawn, inputs_of, predicted
from sums_of_games import SumOfGames, random_sum

PLAYERS = 12
WHOLE, UPPER = Strata(0.0, 1.0, 4), Strata(0.9, 1.0, 8)


def game(inputs: int = 1) -> SumOfGames:
    return random_sum(PLAYERS // 3, inputs)


def one(
    index: int, *, strata: Strata = WHOLE, inputs: int = 1, size: int = 0, seed: int = 0,
    kind: int = 0, mirrored: bool = True,
) -> Draw:  # fmt: skip
    return drawn(strata, index, game(inputs), size, seed, kind, mirrored=mirrored)


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("strata", [WHOLE, UPPER, Strata(0.2, 0.2, 4)])
def test_the_rate_of_every_draw_lies_in_its_stratum(strata: Strata, mirrored: bool) -> None:
    width = (strata.high - strata.low) / strata.count
    for index in range(3 * strata.count):
        low = strata.low + width * (index % strata.count)
        rate = one(index, strata=strata, mirrored=mirrored).rate
        assert low - 1e-12 <= rate <= low + width + 1e-12


@pytest.mark.parametrize("strata", [WHOLE, UPPER])
def test_opposite_strata_mirror_each_other(strata: Strata) -> None:
    """Rates lie alike far from the ends; who is kept at a rate of less than one half is kept in
    the mirror image only by players who are gone here, and all together each is gone as often as
    kept."""
    for replicate in range(5):
        for stratum in range(strata.count):
            first = one(replicate * strata.count + stratum, strata=strata)
            other = one((replicate + 1) * strata.count - 1 - stratum, strata=strata)
            assert first.rate - strata.low == pytest.approx(strata.high - other.rate)
    for replicate in range(5):
        first, other = one(4 * replicate), one(4 * replicate + 3)
        # u < t and 1 - u < 1 - t exclude each other, and one of them holds
        np.testing.assert_array_equal(first.kept, ~other.kept)


def test_draws_that_are_not_mirrored_have_nothing_to_do_with_each_other() -> None:
    kept = np.array([one(index, mirrored=False).kept for index in range(4000)])
    first, other = kept[0::4].ravel(), kept[3::4].ravel()
    assert abs(np.corrcoef(first, other)[0, 1]) < 4 / np.sqrt(len(first))


@pytest.mark.parametrize("mirrored", [True, False])
def test_every_draw_by_itself_is_as_random_as_any(mirrored: bool) -> None:
    """In each stratum the rate is uniform, and given the rate each player is kept with that chance,
    whoever else is: in the mirror images as well."""
    draws = [one(index, mirrored=mirrored) for index in range(8000)]
    for stratum in range(4):
        own = draws[stratum::4]
        rates, kept = np.array([d.rate for d in own]), np.array([d.kept for d in own])
        place = 4 * rates - stratum
        # mean and mean square of a uniform number; their standard errors are .29 and .30 / sqrt(n)
        assert place.mean() == pytest.approx(1 / 2, abs=4 * 0.29 / np.sqrt(2000))
        assert (place**2).mean() == pytest.approx(1 / 3, abs=4 * 0.3 / np.sqrt(2000))
        off = (kept - rates[:, None]) / np.sqrt(rates * (1 - rates) + 1e-12)[:, None]
        assert np.abs(off.mean(axis=0)).max() < 4.5 / np.sqrt(2000)
        together = off.T @ off / 2000
        assert np.abs(together - np.diag(np.diag(together))).max() < 5.5 / np.sqrt(2000)


@pytest.mark.parametrize(("inputs", "size"), [(16, 4), (10, 4), (7, 5), (100, 16)])
def test_the_draws_of_a_replicate_meet_every_input_as_often_as_another_to_one(
    inputs: int, size: int
) -> None:
    for replicate in range(4):
        met = np.zeros(inputs, dtype=int)
        for stratum in range(4):
            chosen = one(4 * replicate + stratum, inputs=inputs, size=size).inputs
            assert chosen is not None
            assert len(set(chosen.tolist())) == size
            met[chosen] += 1
        assert met.max() - met.min() <= 1


def test_every_input_is_as_likely_as_any_in_each_stratum() -> None:
    met = np.zeros((4, 6))
    for index in range(4 * 1500):
        chosen = one(index, inputs=6, size=2).inputs
        met[index % 4, chosen] += 1
    expected, error = 1500 * 2 / 6, np.sqrt(1500 * 2 / 9)
    assert np.abs(met - expected).max() < 4.5 * error


def test_all_inputs_where_a_draw_takes_so_many() -> None:
    for size in (0, 6, 7):
        assert one(0, inputs=6, size=size).inputs is None


def test_a_draw_depends_on_seed_kind_and_index_alone() -> None:
    def same(a: Draw, b: Draw) -> bool:
        assert a.inputs is not None
        assert b.inputs is not None
        return bool(a.rate == b.rate and (a.kept == b.kept).all() and (a.inputs == b.inputs).all())

    base = one(5, inputs=40, size=9, seed=3, kind=1)
    for _ in range(2):
        assert same(one(5, inputs=40, size=9, seed=3, kind=1), base)
    assert not same(one(5, inputs=40, size=9, seed=4, kind=1), base)
    assert not same(one(5, inputs=40, size=9, seed=3, kind=0), base)
    assert not same(one(9, inputs=40, size=9, seed=3, kind=1), base)


def test_coalitions_are_the_same_whatever_inputs_they_meet() -> None:
    few, all_ = one(6, inputs=40, size=9), one(6)
    np.testing.assert_array_equal(few.kept, all_.kept)
    assert few.rate == all_.rate


def test_the_mask_is_the_coalition_a_tenth_nearer_to_its_mean() -> None:
    draw = one(2)
    expected = [0.9 + 0.1 * draw.rate if kept else 0.1 * draw.rate for kept in draw.kept]
    np.testing.assert_allclose(draw.mask, expected)


@pytest.mark.parametrize("size", [0, 3])
def test_predictions_are_those_of_the_game_at_masks_and_inputs(size: int) -> None:
    played = game(8)
    draws = [drawn(WHOLE, index, played, size, 0, 0, mirrored=True) for index in range(5)]
    chosen = inputs_of(draws)
    assert (chosen is None) == (size == 0)
    for row, draw in enumerate(draws):
        inputs = None if draw.inputs is None else draw.inputs[None]
        np.testing.assert_allclose(
            predicted(played, draws)[row], played.linearised(draw.mask[None], inputs)[0]
        )
