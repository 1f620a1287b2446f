"""The bandit against a slow version, and how it settles the top players."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.paper import Slow
from estimators.playing import played, states
from games import SampledGame, TableGame
from mho.estimator import Asked
from mho.estimators.tmab import Tmab
from mho.sampling.removal_walk import begun, gone_on


def steep(count: int, inputs: int = 4) -> SampledGame:
    """Six players have a worth of their own, the others nothing but noise."""
    generator = np.random.default_rng(count)
    weight = np.zeros(count)
    weight[: min(count, 6)] = (4, 3, 2.5, 1.5, 1, 0.5)[:count]
    noise = generator.normal(size=(inputs, count))

    def worth(kept: np.ndarray) -> np.ndarray:
        return np.asarray(kept @ weight + 0.1 * np.sin(3 * noise @ kept))

    return SampledGame(count=count, inputs=inputs, worth_of=worth)


@pytest.mark.parametrize("size", [0, 2])
def test_equals_the_paper_evaluated_one_by_one(size: int) -> None:
    game = steep(10)
    slow, looks, judged = Slow(game, seed=6, size=size), 0, 0
    estimator = Tmab(Asked(seed=6, top=3, minibatch=size, evaluations=3000))
    game.chunk = 1
    seen = 0
    for state in states(estimator, game):
        if state.index == seen:
            continue
        seen = state.index
        slow.walk()
        if slow.walks >= 2 and slow.walks >= 1.1 * judged:
            looks, judged = looks + 1, slow.walks
            slow.judge(3, 0.95, looks)
        expected = slow.active if len(slow.active) > 1 else []
        assert np.flatnonzero(state.active).tolist() == expected
    found = estimator.estimate(state)
    assert len(set(found.draws.tolist())) > 2, "some players were dropped before others"
    np.testing.assert_allclose(found.values, [np.mean(s) for s in slow.samples], atol=1e-12)
    assert found.draws.tolist() == [len(s) for s in slow.samples]
    assert found.evaluations == pytest.approx(2 + slow.evaluated * (size or 4) / 4)


def test_it_ends_when_the_top_is_settled_and_names_it() -> None:
    game = steep(10)
    found = played(Tmab, game, top=3, evaluations=20_000)
    assert found.report["active_players"] == 0
    assert found.evaluations < 20_000
    assert set(np.argsort(-found.values)[:3]) == {0, 1, 2}
    assert any("take all marginals to lie within" in note for note in found.notes)


def test_the_top_is_right_where_marginals_vary_more_than_values_differ() -> None:
    """Values 1, 1, 1/2 and 0; an exclusive or adds marginals of 1 and -1, on average nothing."""
    for seed in range(10):
        game = TableGame(
            lambda c: float(c[0]) + c[1] + 0.5 * c[2] + (c[0] != c[3]) + (c[1] != c[4]), 6
        )
        game.chunk = 1000
        found = played(Tmab, game, top=2, evaluations=3000, seed=seed)
        assert set(np.argsort(-found.values)[:2]) == {0, 1}


def test_undecided_players_keep_being_evaluated_until_the_budget_is_spent() -> None:
    """Players that are all alike cannot be told apart."""
    game = TableGame(lambda c: float(c.sum() >= 4) + 0.5 * float(c.sum() >= 2), 6)
    found = played(Tmab, game, evaluations=500, top=2)
    assert found.report["active_players"] == 6
    assert 494 < found.evaluations <= 500


def test_an_inactive_player_costs_nothing_and_the_next_one_two_evaluations() -> None:
    game = steep(10)
    game.chunk = 1000
    wanted = np.isin(np.arange(10), (1, 4, 8))
    for index in range(20):
        walk = begun(game, 0, index, 0, wanted, 1.0, 0.0)
        before = game.evaluations
        walk = gone_on(walk, game, 0.0, 1000)
        assert walk.over
        assert not walk.cut
        assert walk.reached.tolist() == wanted.tolist()
        # V after k have left is had once, and known where all or none have.
        places = {p + step for p in range(10) if wanted[walk.order[p]] for step in (0, 1)}
        assert game.evaluations - before == walk.evaluations == len(places - {0, 10})


def test_by_default_a_tenth_of_the_players_is_sought() -> None:
    for players, top in ((6, 1), (40, 4), (2000, 100)):
        estimator = Tmab(Asked(evaluations=2 * players + 2))
        state = estimator.init(TableGame(lambda c: 0.0, players))
        game = TableGame(lambda c: float(c.sum()), players)
        game.chunk = 10**6
        state = estimator.step(state, game)
        assert estimator.estimate(state).report["top_sought"] == top


def test_a_wish_for_all_players_is_settled_at_once() -> None:
    found = played(Tmab, steep(5), top=5)
    assert found.draws.tolist() == [2] * 5
