"""The masked model against itself run row by row, however rows are batched and shared."""

from __future__ import annotations

import numpy as np
import pytest

from mho.runtime import masked
from mho.runtime.masked import MaskedModel
from runtime.masked_nets import (
    KINDS,
    NETS,
    assert_alike,
    cut_anyway,
    drawn,
    means,
    pairs,
    row_by_row,
)


@pytest.fixture(params=["whole", "stages"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of running are forced in turn."""
    monkeypatch.setattr(masked, "_WORTH", 0.0 if request.param == "whole" else np.inf)
    cut_anyway(monkeypatch)
    return str(request.param)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETS)
def test_scores_are_those_of_single_rows(name: str, kind: str, way: str) -> None:
    made = NETS[name].problem()
    substitutes, masks, rows = means(made), drawn(made, kind), pairs(made)
    expected = row_by_row(made, substitutes, masks, *rows)
    model = MaskedModel(made, substitutes)
    assert_alike(model.scores(masks, *rows), expected)
    again = drawn(made, kind, seed=1)
    expected = row_by_row(made, substitutes, again, *rows)
    assert_alike(model.scores(again, *rows), expected)


@pytest.mark.parametrize("name", NETS)
def test_substitutes_of_positions(name: str, way: str) -> None:
    made = NETS[name].problem()
    substitutes, masks, rows = means(made, per_position=True), drawn(made, "flips"), pairs(made)
    expected = row_by_row(made, substitutes, masks, *rows)
    found = MaskedModel(made, substitutes).scores(masks, *rows)
    assert_alike(found, expected)


@pytest.mark.parametrize("memory", [1, 20_000, 200_000])
@pytest.mark.parametrize("name", NETS)
def test_memory_does_not_matter(name: str, memory: int, way: str) -> None:
    made = NETS[name].problem(memory=memory)
    substitutes, masks, rows = means(made), drawn(made, "walk"), pairs(made)
    expected = row_by_row(made, substitutes, masks, *rows)
    found = MaskedModel(made, substitutes).scores(masks, *rows)
    assert_alike(found, expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_single_inputs_do_not_matter(threads: int, way: str) -> None:
    for single in (False, True):
        made = NETS["residual"].problem(single=single, threads=threads)
        substitutes, masks, rows = means(made), drawn(made, "random", 5), pairs(made, 5)
        expected = row_by_row(made, substitutes, masks, *rows)
        found = MaskedModel(made, substitutes).scores(masks, *rows)
        assert_alike(found, expected)


def test_rows_may_be_asked_for_in_any_order(way: str) -> None:
    made = NETS["cnn"].problem(5)
    substitutes, masks = means(made), drawn(made, "walk")
    generator = np.random.default_rng(4)
    coalition, sample = generator.integers(9, size=23), generator.integers(5, size=23)
    expected = row_by_row(made, substitutes, masks, coalition, sample)
    model = MaskedModel(made, substitutes)
    for _ in range(2):
        found = model.scores(masks, coalition, sample)
        assert_alike(found, expected)


def test_one_unit_removed_everywhere_by_groups_over_layers(way: str) -> None:
    made = NETS["residual"].problem()
    masks = {layer.name: np.ones((4, layer.units), np.float32) for layer in made.layers}
    masks["r"][1:, :3] = 0  # a player of several layers
    masks["t"][1, 5] = masks["z"][1, 2] = 0
    masks["z"][2:, 7] = 0
    rows = pairs(made, 4)
    expected = row_by_row(made, means(made), masks, *rows)
    found = MaskedModel(made, means(made)).scores(masks, *rows)
    assert_alike(found, expected)


def test_a_call_may_hold_more_rows_than_a_batch_but_not_too_many() -> None:
    small, large = (NETS[name].problem() for name in ("tokens", "cnn"))
    assert MaskedModel(small, means(small)).rows == 512
    assert 1 <= MaskedModel(large, means(large)).rows <= 512
