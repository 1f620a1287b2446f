"""Games for shapiq: its exact values against ours and the definition, and what is asked of V."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapiq

import shapes
from estimators.playing import played
from games import TableGame, random_game, shapley_by_orders
from mho.config import Settings
from mho.errors import InvalidData, InvalidOption, UnknownLayer
from mho.estimators.exact import Exact
from mho.evaluation import CoalitionEvaluator
from mho.shapiq import CoalitionGame, open_game
from mho.types import BoolArray, FloatArray, IntArray
from runtime.small_cnn import made

SETTINGS = Settings(provider="cpu", threads=1)
PAGE = (Path(__file__).resolve().parents[1] / "docs" / "shapiq.md").read_text(encoding="utf-8")


@dataclass
class Counting(TableGame):
    """asked: how many coalitions were asked for at once, call by call."""

    asked: list[int] = field(default_factory=list)

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        self.asked.append(len(coalitions))
        return super().values(coalitions, samples)


def counting(players: int, chunk: int = 7) -> Counting:
    return Counting(random_game(players, 3).worth, players, chunk)


def rows(*members: Sequence[int], players: int = 5) -> BoolArray:
    found = np.zeros((len(members), players), dtype=bool)
    for row, names in zip(found, members, strict=True):
        row[list(names)] = True
    return found


def pairs_by_definition(game: CoalitionEvaluator) -> FloatArray:
    """``(players, players)``: Grabisch & Roubens (1999), the mean over coalitions S of the others,
    with weight |S|! (n - |S| - 2)! / (n - 1)!, of V(S+i+j) - V(S+i) - V(S+j) + V(S)."""
    n = len(game.players)

    def worth(*members: int) -> float:
        return float(game.values(rows(members, players=n))[0])

    found = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        others = [k for k in range(n) if k not in (i, j)]
        for size in range(n - 1):
            weight = factorial(size) * factorial(n - size - 2) / factorial(n - 1)
            for s in combinations(others, size):
                change = worth(*s, i, j) - worth(*s, i) - worth(*s, j) + worth(*s)
                found[i, j] += weight * change
    return found


def test_exact_values_of_a_network_are_those_of_the_estimator() -> None:
    evaluator = made(value="cross_entropy").evaluator
    game = CoalitionGame(evaluator)
    ours = played(Exact, evaluator)
    theirs = shapiq.ExactComputer(game=game, n_players=9)(index="SV", order=1)
    for player in range(9):
        assert theirs[(player,)] == pytest.approx(ours.values[player], abs=1e-6)
    assert game.normalization_value == pytest.approx(ours.v_empty, abs=1e-6)
    assert game.empty_coalition_value == pytest.approx(0, abs=1e-6)
    assert game.grand_coalition_value == pytest.approx(ours.v_full - ours.v_empty, abs=1e-6)


def test_exact_interactions_of_pairs_are_those_of_the_definition() -> None:
    table = random_game(6, 1)
    found = shapiq.ExactComputer(game=CoalitionGame(table), n_players=6)
    slow, values = pairs_by_definition(table), shapley_by_orders(table)
    sii = found(index="SII", order=2)
    for i, j in combinations(range(6), 2):
        assert sii[(i, j)] == pytest.approx(slow[i, j], abs=1e-9)
    for i in range(6):
        assert sii[(i,)] == pytest.approx(values[i], abs=1e-9)


def test_pairs_of_a_network() -> None:
    evaluator = made(value="logit", target="1", layers=("s",)).evaluator
    slow = pairs_by_definition(evaluator)
    assert np.abs(slow).max() < 1e-6, "V is linear in the last layer, where nothing interacts"
    curved = made(value="cross_entropy", layers=("s",)).evaluator
    slow = pairs_by_definition(curved)
    assert np.abs(slow).max() > 1e-4
    found = CoalitionGame(curved).exact_values(index="SII", order=2)
    for i, j in combinations(range(4), 2):
        assert found[(i, j)] == pytest.approx(slow[i, j], abs=1e-7)


@pytest.mark.parametrize(
    "approximator",
    [
        shapiq.KernelSHAP(n=6, random_state=1),
        shapiq.UnbiasedKernelSHAP(n=6, random_state=1),
        shapiq.SVARM(n=6, random_state=1),
        shapiq.PermutationSamplingSV(n=6, random_state=1),
        shapiq.KernelSHAPIQ(n=6, index="SII", max_order=2, random_state=1),
        shapiq.RegressionFSII(n=6, max_order=2, random_state=1),
    ],
    ids=lambda approximator: type(approximator).__name__,
)
@pytest.mark.filterwarnings("ignore:Not all budget is required", "ignore:Sampling might be")
def test_approximators_come_near_with_all_coalitions(
    approximator: shapiq.approximator.base.Approximator[Any],
) -> None:
    table = random_game(6, 2)
    game = CoalitionGame(table)
    exact = shapiq.ExactComputer(game=CoalitionGame(table), n_players=6)
    faithful = isinstance(approximator, shapiq.RegressionFSII)
    true = exact(index="FSII", order=2) if faithful else exact(index="SV", order=1)
    budget = 8_000 if isinstance(approximator, shapiq.PermutationSamplingSV) else 2**6
    found = approximator.approximate(budget, game)
    for i in range(6):
        assert found[(i,)] == pytest.approx(true[(i,)], abs=0.1)
    assert game.evaluations <= 2**6


def test_whether_v_is_normalised_changes_the_baseline_alone() -> None:
    table = random_game(5, 4)
    v_empty = table.worth(np.zeros(5, dtype=bool))
    with_it, without = CoalitionGame(table), CoalitionGame(table, normalize=False)
    asked = rows((), (0, 3), (0, 1, 2, 3, 4))
    plain = [table.worth(row) for row in asked]
    np.testing.assert_allclose(without(asked), plain)
    np.testing.assert_allclose(with_it(asked), np.array(plain) - v_empty)
    np.testing.assert_allclose(with_it.value_function(asked), plain)
    budget = 32
    values = [
        shapiq.KernelSHAP(n=5, random_state=0).approximate(budget, game)
        for game in (with_it, without)
    ]
    for i in range(5):
        assert values[0][(i,)] == pytest.approx(values[1][(i,)], abs=1e-6)


def test_players_go_by_their_names() -> None:
    game = CoalitionGame(random_game(3, 0))
    assert game.names == ("layer:0", "layer:1", "layer:2")
    assert game(("layer:2", "layer:0"))[0] == game(np.array([True, False, True]))[0]


def test_coalitions_are_asked_for_once_and_in_batches() -> None:
    table = counting(5, chunk=3)
    game = CoalitionGame(table)
    asked = rows((0,), (1,), (0,), (2, 3), (4,), (1,), (0, 4))
    found = game.value_function(asked)
    assert table.asked == [1, 3, 2], "V of no players; then five that differ"
    np.testing.assert_allclose(found, [table.worth(row) for row in asked])
    np.testing.assert_array_equal(game.value_function(asked[::-1]), found[::-1])
    assert table.asked == [1, 3, 2]
    assert game.evaluations == 6
    assert game.value_function(np.zeros((0, 5), dtype=bool)).shape == (0,)


@pytest.mark.parametrize("remembered", [0, 2])
def test_memory_is_bounded_and_the_oldest_go_first(remembered: int) -> None:
    table = counting(5, chunk=10)
    game = CoalitionGame(table, normalize=False, remembered=remembered)
    asked = rows((0,), (1,), (2,), (3,))
    np.testing.assert_allclose(game.value_function(asked), [table.worth(row) for row in asked])
    game.value_function(asked[2:])
    assert game.evaluations == (4 if remembered else 6)
    game.value_function(asked[:1])
    assert game.evaluations == (5 if remembered else 7)


def test_what_was_evaluated_before_an_error_is_remembered() -> None:
    table = counting(5, chunk=2)
    fine = table.worth

    def breaking(coalition: BoolArray) -> float:
        if coalition[4]:
            raise InvalidData("not finite")
        return fine(coalition)

    table.worth = breaking
    game = CoalitionGame(table)
    with pytest.raises(InvalidData, match="not finite"):
        game.value_function(rows((0,), (1,), (4,)))
    before = game.evaluations
    game.value_function(rows((0,), (1,)))
    assert game.evaluations == before == 3


def test_a_negative_memory_is_refused() -> None:
    with pytest.raises(InvalidOption, match="remembered is -1"):
        CoalitionGame(random_game(3, 0), remembered=-1)


def test_a_game_that_was_computed_can_be_saved_and_played_again(tmp_path: Path) -> None:
    game = CoalitionGame(random_game(4, 0))
    game.precompute()
    game.save(tmp_path / "game.json")
    again = shapiq.Game.load(tmp_path / "game.json")
    asked = rows((), (0, 3), (1,), players=4)
    np.testing.assert_allclose(again(asked), game(asked))


def test_a_game_of_a_model_file_is_that_of_its_arrays(tmp_path: Path) -> None:
    inputs, labels = shapes.inputs(tmp_path, 6)
    images, classes = np.load(inputs), np.load(labels)
    games = [
        open_game(
            shapes.MODEL,
            *data,
            settings=SETTINGS,
            layers=["conv1/relu"],
            value="cross_entropy",
            substitute="zero",
        )
        for data in ((inputs, str(labels)), (images, classes), ({"image": images}, classes))
    ]
    kept = np.random.default_rng(0).random((5, 16)) < 0.5
    found = [game(kept) for game in games]
    assert games[0].names == tuple(f"conv1/relu:{unit}" for unit in range(16))
    assert np.ptp(found[0]) > 0.01
    for game, worth in zip(games, found, strict=True):
        np.testing.assert_allclose(worth, found[0], atol=1e-6)
        expected = game.evaluator.values(kept)
        np.testing.assert_allclose(worth + game.normalization_value, expected, atol=1e-6)


def test_files_that_options_name_and_notes(tmp_path: Path) -> None:
    inputs, labels = shapes.inputs(tmp_path, 4)
    groups = tmp_path / "groups.json"
    groups.write_text(
        json.dumps({"early": {"conv1/relu": [0, 1]}, "late": {"dense1/relu": [3]}}),
        encoding="utf-8",
    )
    game = open_game(
        shapes.MODEL, inputs, labels, settings=SETTINGS, groups=groups, players="layers"
    )
    assert game.names == ("early", "late")
    assert any("option 'players' was set, but the groups say who plays" in n for n in game.notes)
    pair = game.exact_values(index="SII", order=2)
    both, *single = game(rows((0, 1), (0,), (1,), players=2))
    assert pair[(0, 1)] == pytest.approx(both - sum(single), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"estimator": "exact"}, InvalidOption, "'estimator' says nothing of the game.*budget"),
        ({"evaluations": 9}, InvalidOption, "'evaluations' says nothing of the game"),
        ({"colour": 1}, InvalidOption, "has no option 'colour'"),
        ({"layers": "conv1/relu"}, InvalidOption, "'layers' takes a list of names"),
        ({"layers": ["conv9"]}, UnknownLayer, "conv9"),
        ({"groups": "none.json"}, InvalidOption, "'groups' is 'none.json'.*file that exists"),
        ({"substitute": Path("no.npy")}, InvalidOption, "'substitute' is 'no.npy'"),
    ],
)
def test_options_that_make_no_game(
    tmp_path: Path, options: dict[str, object], error: type[Exception], said: str
) -> None:
    inputs, labels = shapes.inputs(tmp_path, 2)
    with pytest.raises(error, match=said):
        open_game(shapes.MODEL, inputs, labels, settings=SETTINGS, **options)  # type: ignore[arg-type]


def test_arrays_of_objects_are_refused() -> None:
    ragged = np.array([np.zeros(2), np.zeros(3)], dtype=object)
    with pytest.raises(InvalidData, match="'inputs' holds Python objects"):
        open_game(shapes.MODEL, ragged, settings=SETTINGS)


def test_without_shapiq_the_import_says_what_to_install() -> None:
    source = "import sys; sys.modules['shapiq'] = None; import mho.shapiq"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'mho[shapiq]'" in done.stderr


def test_nothing_else_imports_shapiq() -> None:
    source = "import sys, mho.cli, mho.jobs.attribution; print('shapiq' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_the_page_of_the_docs_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its code runs as it stands, in its order, and prints what it says."""
    shapes.inputs(tmp_path, 8)
    (tmp_path / "model.onnx").write_bytes(shapes.MODEL.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MHO_THREADS", "1")
    monkeypatch.setenv("MHO_PROVIDER", "cpu")
    sources = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(sources) == 3
    known: dict[str, object] = {}
    printed = []
    for source in sources:
        exec(compile(source, "docs/shapiq.md", "exec"), known)
        printed.append(capsys.readouterr().out.splitlines())
    assert [len(lines) for lines in printed] == [10, 10, 6]
    assert printed[0][0].startswith("conv1/relu:")
    assert printed[1][0].count(":") == 2
    assert printed[2][0].startswith("conv1/relu")
