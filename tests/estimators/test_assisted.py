"""Shapley values from flips that slopes correct: bias, intervals, budgets, candidates, the top."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from estimators.playing import played, states
from mho.errors import InvalidOption
from mho.estimator import GRADIENT_COST, Asked, Estimate
from mho.estimators.assisted import Assisted
from mho.sampling.intervals import student_factor
from mho.state import pack
from mho.types import FloatArray, IntArray
from sums_of_games import SumOfGames, random_sum, semivalue

SLOPES, NOTHING = 1 + 12 + 9, 1 + 12
"""Evaluations of a round with twelve players, by what is predicted; 2 and those of the screen come
first."""
FEW = 2 + 3 * 16 + 16 * SLOPES
"""Evaluations of 16 rounds and a bit, which are four replicates."""


@dataclass
class Foreseen(SumOfGames):
    """Whose predictions are the marginals themselves, at the coalition that a mask is near."""

    def linearised(self, masks: FloatArray, samples: IntArray | None = None) -> FloatArray:
        return super().linearised(np.round(masks), samples)


def game(kind: str, inputs: int = 1, *, null: tuple[int, ...] = ()) -> SumOfGames:
    """Of twelve players. kind: what is predicted."""
    made = random_sum(4, inputs, seed=1, null=null)
    if kind == "marginals":
        return Foreseen(made.tables)
    if kind == "noise":
        made.predicted_by = random_sum(4, inputs, seed=2).tables
    elif kind == "scaled":
        made.predicted_by = 5 * made.tables + random_sum(4, inputs, seed=2).tables
    elif kind == "nothing":
        made.smooth = False
    else:
        assert kind == "slopes"
    return made


def spread_of(runs: list[Estimate]) -> float:
    return float(np.array([run.values for run in runs]).std(axis=0, ddof=1).mean())


@pytest.mark.parametrize(
    ("kind", "inputs", "minibatch"),
    [
        ("slopes", 1, 0),
        ("slopes", 6, 2),
        ("noise", 1, 0),
        ("scaled", 6, 2),
        ("nothing", 6, 2),
    ],
)
def test_right_on_average_with_intervals_that_cover(kind: str, inputs: int, minibatch: int) -> None:
    """Whatever predictions are like, over 50 seeds."""
    made = game(kind, inputs)
    exact = semivalue(made)
    runs = [played(Assisted, made, seed=seed, minibatch=minibatch) for seed in range(50)]
    values = np.array([run.values for run in runs])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.all(np.abs(values.mean(axis=0) - exact) <= 3.5 * error)
    width = np.array([student_factor(int(run.draws[0])) * run.std_error for run in runs])
    covered = (np.abs(values - exact) <= width).mean()
    assert 0.90 <= covered <= 0.995


def test_the_better_the_prediction_the_smaller_the_error() -> None:
    """In as many rounds. What remains with the marginals themselves is how little is known of their
    mean; useless predictions cost little, and another scale does not matter for long."""
    errors = {
        kind: spread_of(
            [
                played(
                    Assisted,
                    game(kind),
                    seed=seed,
                    evaluations=2 + 32 * NOTHING if kind == "nothing" else 0,
                )
                for seed in range(20)
            ]
        )
        for kind in ("marginals", "slopes", "scaled", "noise", "nothing")
    }
    assert errors["marginals"] < errors["slopes"] * 1.05
    assert errors["slopes"] < 0.8 * errors["nothing"]
    assert errors["scaled"] < 0.9 * errors["noise"]
    assert errors["noise"] < 1.25 * errors["nothing"]


@pytest.mark.parametrize("kind", ["slopes", "noise"])
@pytest.mark.parametrize("layers", [(12,), (1,) * 12])
def test_coefficients_of_few_players_do_not_run_wild(kind: str, layers: tuple[int, ...]) -> None:
    made = replace(game(kind), layer_sizes=layers)
    exact = semivalue(made)
    for seed in range(30):
        found = played(Assisted, made, seed=seed, evaluations=FEW)
        assert np.abs(found.values - exact).max() < 2
        assert found.std_error.max() < 2


def test_pairs_of_players_cancel_within_mirrored_pairs() -> None:
    """Where no more than two players act together, a replicate gives exact values."""
    generator = np.random.default_rng(0)
    single, pair = generator.normal(size=(4, 3)), generator.normal(size=(4, 3))
    members = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])
    both = members * np.roll(members, 1, axis=1)
    tables = single @ members.T + pair @ both.T
    made = SumOfGames(tables[:, :, None], smooth=False)
    found = played(Assisted, made)
    np.testing.assert_allclose(found.values, semivalue(made), atol=1e-12)
    assert found.std_error.max() < 1e-12


def test_null_players_get_exactly_nothing() -> None:
    made = game("marginals", 6, null=(0, 7))
    found = played(Assisted, made, minibatch=2)
    for player in (0, 7):
        assert found.values[player] == 0.0
        assert found.std_error[player] == 0.0


def test_a_value_without_slopes_is_played_as_well_and_says_so() -> None:
    made = game("nothing")
    found = played(Assisted, made)
    assert found.gradients == made.gradients == 0
    assert any("marginals were not corrected" in note for note in found.notes)
    assert "predicted_from" not in found.report
    assert found.exact.all()


def test_what_predictions_are_of() -> None:
    assert played(Assisted, game("slopes")).report["predicted_from"] == "the value itself"
    assert played(Assisted, game("noise")).report["predicted_from"] == "another game"


@pytest.mark.parametrize(("linear", "taken"), [(True, 16), (False, "all")])
def test_a_part_of_the_inputs_by_default_where_v_is_a_sum_over_them(
    linear: bool, taken: int | str
) -> None:
    made = replace(game("slopes", 40), linear=linear)
    assert played(Assisted, made, evaluations=600).report["inputs_a_draw"] == taken


def equal(one: Estimate, other: Estimate) -> None:
    for name in ("values", "std_error", "draws", "approximate", "best"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.evaluations == pytest.approx(other.evaluations)
    assert one.gradients == pytest.approx(other.gradients)


ASKED: list[dict[str, Any]] = [{}, {"minibatch": 2}, {"evaluations": 290}, {"top": 3}]
"""All players, on all inputs and on some; some of the players; the top alone."""


@pytest.mark.parametrize("asked", ASKED)
def test_the_same_numbers_whatever_the_chunk(asked: dict[str, Any]) -> None:
    found = [
        played(Assisted, replace(game("slopes", 6), chunk=chunk), **asked) for chunk in (1, 3, 100)
    ]
    equal(found[0], found[1])
    equal(found[0], found[2])


@pytest.mark.parametrize("asked", ASKED)
def test_resumed_after_any_step_as_undisturbed(asked: dict[str, Any]) -> None:
    whole = played(Assisted, game("slopes", 6), **asked)
    steps = sum(1 for _ in states(Assisted(Asked(**asked)), game("slopes", 6)))
    for after in range(0, steps, 7):
        equal(played(Assisted, game("slopes", 6), restart_after=after, **asked), whole)


def test_a_step_leaves_the_state_before_as_it_was() -> None:
    made, estimator = replace(game("slopes", 6), chunk=5), Assisted(Asked(top=2, minibatch=2))
    for before in list(states(estimator, made))[:-1:5]:
        packed = pack(before)
        estimator.step(before, made)
        assert pack(before) == packed


@pytest.mark.parametrize("minibatch", [0, 2])
@pytest.mark.parametrize("budget", [260, 333, 450, 1999])
def test_the_budget_is_kept_and_what_is_said_was_spent(budget: int, minibatch: int) -> None:
    made = game("slopes", 6)
    found = played(Assisted, made, evaluations=budget, minibatch=minibatch)
    assert found.evaluations == pytest.approx(made.evaluations)
    assert found.gradients == pytest.approx(made.gradients)
    spent = found.evaluations + GRADIENT_COST * found.gradients
    assert spent <= budget * (1 + 1e-9)
    assert spent > 0.6 * budget


def test_too_few_evaluations_are_refused_with_the_least_that_do() -> None:
    """Two replicates of eight players, after the smallest screen; without slopes, of all players.
    Whatever is more is enough, too."""
    least = 2 + 3 * 8 + 8 * (1 + 8 + 9)
    with pytest.raises(InvalidOption, match=f"takes {least} for 8 players.*'gradient'") as refused:
        Assisted(Asked(evaluations=least - 1)).init(game("slopes"))
    assert refused.value.subject == "evaluations"
    assert int(played(Assisted, game("slopes"), evaluations=least).exact.sum()) == 8
    for evaluations in range(least, least + 300):
        Assisted(Asked(evaluations=evaluations)).init(game("slopes"))
    of_all = 2 + 8 * NOTHING
    with pytest.raises(InvalidOption, match=f"takes {of_all} for 12 players.*fewer players"):
        Assisted(Asked(evaluations=of_all - 1)).init(game("nothing"))
    assert played(Assisted, game("nothing"), evaluations=of_all).exact.all()


def sparse(players: int, important: int, *, scale: float = 1.0) -> SumOfGames:
    """Of so many players, ``important`` triples of which are worth about 1 each and the others a
    hundredth; predictions are ``scale`` times too high."""
    generator = np.random.default_rng(8)
    size = np.full(players // 3, 0.01)
    size[generator.permutation(len(size))[:important]] = 1.0
    members = np.array([bin(i).count("1") for i in range(8)])[:, None]
    tables = (members + 0.3 * random_sum(players // 3, seed=7).tables) * size[:, None, None]
    return SumOfGames(tables, predicted_by=scale * tables)


@pytest.mark.parametrize("asked", [{"top": 15}, {}])
def test_of_many_players_those_that_matter_are_flipped(asked: dict[str, int]) -> None:
    made = sparse(300, 5)
    exact = semivalue(made)
    found = played(Assisted, made, evaluations=1500, **asked)
    flipped = int(found.report["flipped_players"])  # type: ignore[call-overload]
    assert 8 <= flipped < 100
    assert int(found.exact.sum()) == flipped
    assert np.isinf(found.std_error[~found.exact]).all()
    assert np.isfinite(found.std_error[found.exact]).all()
    assert any(f"{300 - flipped} of 300 players have approximate" in n for n in found.notes)
    assert set(np.argsort(-found.ranking)[:15]) == set(np.argsort(-exact)[:15])


def test_predictions_of_others_are_scaled_to_the_marginals_found() -> None:
    made = sparse(60, 5, scale=4.0)
    found = played(Assisted, made, evaluations=400)
    predicted = ~found.exact
    assert predicted.any()
    exact = semivalue(made)[predicted]
    assert (found.values[predicted] @ exact) / (exact @ exact) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("top", [12, 13, 20])
def test_fewer_candidates_than_are_looked_for_are_flipped_to_the_end(top: int) -> None:
    """A budget for some ten candidates says nothing of whether so many are the highest."""
    found = played(Assisted, sparse(300, 5), evaluations=240, top=top)
    assert 8 <= found.report["flipped_players"] <= 13  # type: ignore[operator]
    assert found.report["replicates"] == 2
    assert np.isfinite(found.std_error[found.exact]).all()


def test_players_that_are_surely_in_or_out_are_not_flipped_any_more() -> None:
    made = sparse(36, 3)
    estimator = Assisted(Asked(top=6, evaluations=20_000, seed=1))
    flips = [int(state.active.sum()) for state in states(estimator, made)]
    assert flips[0] == 36
    assert all(after <= before for before, after in pairwise(flips))
    assert flips[-1] < 18
    last = played(Assisted, made, top=6, evaluations=20_000, seed=1)
    assert last.draws.min() < last.draws.max()
    assert set(np.argsort(-last.ranking)[:6]) == set(np.argsort(-semivalue(made))[:6])


def test_it_may_be_asked_before_anything_is_known() -> None:
    estimator, made = Assisted(), game("slopes")
    found = estimator.estimate(estimator.init(made))
    assert np.isnan(found.values).all()
    assert np.isinf(found.std_error).all()
    assert (found.evaluations, found.gradients) == (2, 0)
    full, empty = made.values(np.array([[True] * 12, [False] * 12]))
    assert (found.v_full, found.v_empty) == (full, empty)


def test_progress_says_what_is_done() -> None:
    estimator, made = Assisted(), replace(game("slopes"), chunk=30)
    said = [estimator.progress(state) for state in states(estimator, made)]
    assert said[0].message == "slopes at random coalitions"
    assert "12 players flipped" in said[-1].message
    assert all(one.fraction <= other.fraction for one, other in pairwise(said))
