"""Edit on games without a model: which players go, what V is compared with, and how layers fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from methods.solving import solve
from mho.editing import Agreement, EditedModel, LayerEdit
from mho.errors import InvalidOption, Unsupported
from mho.evaluation import Layer, Player
from mho.methods.edit import Edit
from mho.players import GIVEN
from mho.types import BoolArray, FloatArray, IntArray

WEIGHTS = np.array([0.5, -1.0, 2.0, 0.0, 4.0, -3.0])


class NoFiles:
    names = ("model.onnx",)

    def write(self, folder: Path) -> None:
        raise AssertionError("nobody writes here")


@dataclass
class TableEditor:
    """An additive game on the layers a (2 units) and b (4), whose edits are wrong as ``off`` says:
    (layers by weights, input) -> difference of the scores."""

    off: Callable[[set[str], int], float] = lambda by_weights, at: 0.0
    ranking: FloatArray | None = None
    chunk: int = 7
    inputs: int = 10
    rows: int = 4
    tolerance: float = 1e-4
    grouped: bool = False
    evaluations: int = 0
    compared: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def layers(self) -> list[Layer]:
        return [Layer("a", "Relu", 2, ("N", 2), 1), Layer("b", "Relu", 4, ("N", 4), 1)]

    @property
    def players(self) -> list[Player]:
        where = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("b", 3)]
        if self.grouped:
            return [Player("left", {"a": (0, 1)}), Player("right", {"a": (), "b": (1, 3)})]
        return [Player(f"{layer}:{unit}", {layer: (unit,)}) for layer, unit in where]

    @property
    def rankings(self) -> dict[str, FloatArray]:
        return {} if self.ranking is None else {GIVEN: self.ranking}

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        assert samples is None
        self.evaluations += len(coalitions)
        return np.asarray(coalitions @ WEIGHTS[: coalitions.shape[1]])

    def edit(self, removed: BoolArray, by_node: BoolArray) -> EditedModel:
        units: dict[str, list[int]] = {}
        for player in np.flatnonzero(removed):
            for layer, members in self.players[player].members.items():
                units.setdefault(layer, []).extend(members)
        nodes = dict(zip(("a", "b"), by_node, strict=True))
        return EditedModel(
            NoFiles(),
            tuple(
                LayerEdit(name, tuple(units[name]), node="n", why="it failed")
                if nodes[name]
                else LayerEdit(name, tuple(units[name]), ("Conv 'c'",))
                for name in ("a", "b")
                if units.get(name)
            ),
            18,
            ("about the file",),
        )

    def compare(self, removed: BoolArray, by_node: BoolArray, inputs: IntArray) -> Agreement:
        self.compared.append(tuple(inputs))
        by_weights = {"a", "b"} - {n for n, x in zip("ab", by_node, strict=True) if x}
        return Agreement(max(self.off(by_weights, int(i)) for i in inputs), 2.0)

    def suspects(self, removed: BoolArray, by_node: BoolArray, inputs: IntArray) -> BoolArray:
        alone = [max(self.off({name}, int(i)) for i in inputs) for name in "ab"]
        return ~by_node & (np.array(alone) > 2.0 * self.tolerance)


def gone(**options: Any) -> dict[str, Any]:
    editor = TableEditor(ranking=np.array([3.0, -1, 2, -1, 0, 5]) if "scores" in options else None)
    removed: dict[str, Any] = solve(Edit(draws=1, **options), editor).report["removed"]
    return removed


def test_units_ranges_and_repetitions_by_name() -> None:
    assert gone(remove=("b:1-2", "a:0", "b:2")) == {"a": [0], "b": [1, 2]}
    assert gone(remove=("b:3",)) == {"b": [3]}


def test_the_ends_of_a_ranking_and_ties_to_the_lower_player() -> None:
    assert gone(scores="s", count=1) == {"a": [1]}
    assert gone(scores="s", count=3) == {"a": [1], "b": [1, 2]}
    assert gone(scores="s", count=2, end="top") == {"a": [0], "b": [3]}
    with pytest.raises(InvalidOption, match="count is 7, but only 6 players"):
        gone(scores="s", count=7)


def test_groups_by_name() -> None:
    result = solve(Edit(groups="g", remove=("right",), draws=1), TableEditor(grouped=True))
    assert result.report["removed"] == {"b": [1, 3]}
    assert result.estimand.endswith("1 of 2 groups are removed for good")
    with pytest.raises(InvalidOption, match="'b:1', which does not play"):
        solve(Edit(groups="g", remove=("b:1",)), TableEditor(grouped=True))


def test_v_before_after_and_without_as_many_at_random() -> None:
    editor = TableEditor()
    result = solve(Edit(remove=("a:1", "b:3"), draws=500, seed=3), editor)
    report = result.report
    assert report["v_full"] == 2.5
    assert report["v_edited"] == 6.5
    spread = report["v_random"]
    assert len(spread["values"]) == 500
    assert set(np.round(spread["values"], 6)) <= {
        round(2.5 - WEIGHTS[i] - WEIGHTS[j], 6) for i in range(6) for j in range(i)
    }, "two players are removed in each draw"
    np.testing.assert_allclose(spread["mean"], 2.5 * 4 / 6, atol=0.3)
    assert spread["min"] == min(spread["values"])
    assert spread["max"] == max(spread["values"])
    assert result.evaluations == {"coalitions": 502}
    assert editor.evaluations == 502
    assert result.model is not None
    assert result.model.names == ("model.onnx",)
    assert result.notes == ("about the file",)
    other = solve(Edit(remove=("a:1", "b:3"), draws=500, seed=4), TableEditor()).report["v_random"]
    assert other["values"] != spread["values"]


def test_every_input_is_compared() -> None:
    editor = TableEditor(off=lambda by_weights, at: 1e-5 * at)
    report = solve(Edit(remove=("a:1",), draws=1), editor).report
    assert editor.compared == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    expected = {"largest": 9e-5, "of": 2.0, "tolerance": 1e-4, "inputs": 10}
    assert report["deviation"] == pytest.approx(expected)


def test_a_layer_that_fails_is_given_up_and_the_comparison_begins_again() -> None:
    editor = TableEditor(off=lambda by_weights, at: float("b" in by_weights and at == 6))
    result = solve(Edit(remove=("a:1", "b:0"), draws=1), editor)
    assert [bool(entry["node"]) for entry in result.report["edits"]] == [False, True]
    assert editor.compared[:3] == [(0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 2, 3)]
    assert result.report["deviation"]["largest"] == 0
    assert any(note.startswith("b: a node of the edited model") for note in result.notes)


def test_layers_that_fail_together_are_both_given_up() -> None:
    editor = TableEditor(off=lambda by_weights, at: float(by_weights == {"a", "b"}))
    result = solve(Edit(remove=("a:1", "b:0"), draws=1), editor)
    assert all(entry["node"] for entry in result.report["edits"])


@pytest.mark.parametrize("off", [1.0, np.inf])
def test_a_model_that_never_agrees_is_refused(off: float) -> None:
    editor = TableEditor(off=lambda by_weights, at: off)
    with pytest.raises(Unsupported, match="whichever way the units are removed"):
        solve(Edit(remove=("a:1", "b:0"), draws=1), editor)


@pytest.mark.parametrize("restart_after", range(8))
def test_a_resumed_edit_equals_an_undisturbed_one(restart_after: int) -> None:
    def editor() -> TableEditor:
        return TableEditor(off=lambda by_weights, at: float("a" in by_weights and at == 5))

    method = Edit(remove=("a:1", "b:0"), draws=10)
    whole, resumed = solve(method, editor()), solve(method, editor(), restart_after=restart_after)
    assert resumed.report == whole.report
    assert resumed.notes == whole.notes


def test_progress_grows_to_the_end() -> None:
    method, editor = Edit(remove=("a:1",), draws=10), TableEditor()
    state = method.init(editor)  # type: ignore[arg-type]
    seen = [method.progress(state).fraction]
    while not method.done(state):
        state = method.step(state, editor)  # type: ignore[arg-type]
        seen.append(method.progress(state).fraction)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert method.progress(state).message == "compared with the mask on 10 of 10 inputs"


@pytest.mark.parametrize(
    "entry", ["conv", ":3", "conv:", "conv:x", "conv:-1", "conv:4-2", "c:1-2-3"]
)
def test_what_names_no_units(entry: str) -> None:
    with pytest.raises(InvalidOption, match="units are named by layer and index") as caught:
        _ = Edit(remove=(entry,)).named_layers
    assert caught.value.subject == "remove"


def test_which_layers_are_named() -> None:
    assert Edit(remove=("x/y:0:3", "b:1-2", "b:7")).named_layers == ("x/y:0", "b")
    assert Edit(remove=("b:1",), layers=("conv*",)).named_layers == ("conv*",)
    assert Edit(remove=("edges",), groups="g.json").named_layers == ()
    assert Edit(scores="s.npz").named_layers == ()
    for options in ({}, {"remove": ("b:1",), "scores": "s.npz"}):
        with pytest.raises(InvalidOption, match="which units go"):
            _ = Edit(**options).named_layers
