"""How many rows every stage runs: those that differ up to it, and none that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from mho.errors import Unsupported
from mho.graph.stages import Stage, stages
from mho.graph.target import SCORES
from mho.runtime.problem import Problem
from mho.runtime.staged import StagedModel
from runtime.masked_nets import NETS, assert_alike, cut_anyway, drawn, means, pairs, row_by_row

SAMPLES, COALITIONS = 3, 9


@pytest.fixture(autouse=True)
def _cut_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_anyway(monkeypatch)


def parts(made: Problem) -> tuple[Stage, ...]:
    found = stages(made.model, made.layers, SCORES)
    assert len(found) >= 3
    return found


def differing(made: Problem, masks: dict[str, np.ndarray]) -> list[int]:
    """Stage -> distinct (input, masks up to it), counted by hand."""
    counts, names = [], []
    for stage in parts(made):
        names += [layer.name for layer in stage.layers]
        seen = {
            tuple(np.concatenate([masks[n][c] for n in names] or [[]])) for c in range(COALITIONS)
        }
        counts.append(SAMPLES * len(seen))
    return counts


@pytest.mark.parametrize("kind", ["random", "flips", "walk"])
@pytest.mark.parametrize("name", NETS)
def test_a_stage_runs_the_rows_that_differ_up_to_it(name: str, kind: str) -> None:
    made = NETS[name].problem(SAMPLES)
    masks = drawn(made, kind, COALITIONS)
    staged = StagedModel(made, parts(made), means(made))
    staged.scores(masks, staged.asked(masks, *pairs(made, COALITIONS)))
    assert list(staged.run_rows) == differing(made, masks)
    assert staged.run_rows[0] < staged.run_rows[-1] or kind == "random"


def test_flips_of_the_last_layer_run_the_rest_once() -> None:
    made = NETS["cnn"].problem(SAMPLES)
    masks = {layer.name: np.ones((COALITIONS, layer.units), np.float32) for layer in made.layers}
    masks["t"][np.arange(1, COALITIONS), np.arange(1, COALITIONS)] = 0
    staged = StagedModel(made, parts(made), means(made))
    rows = pairs(made, COALITIONS)
    found = staged.scores(masks, staged.asked(masks, *rows))
    assert_alike(found, row_by_row(made, means(made), masks, *rows))
    assert set(staged.run_rows[:-1]) == {SAMPLES}
    assert staged.run_rows[-1] == SAMPLES * COALITIONS


def test_what_most_rows_had_in_common_is_kept_for_the_next_call() -> None:
    made = NETS["cnn"].problem(SAMPLES)
    masks = drawn(made, "flips", COALITIONS)
    staged = StagedModel(made, parts(made), means(made))
    rows = pairs(made, COALITIONS)
    for _ in range(2):
        asked = staged.asked(masks, *rows)
        staged.turn_to(asked)
        found = staged.scores(masks, asked)
    assert_alike(found, row_by_row(made, means(made), masks, *rows))
    once = np.array(differing(made, masks))
    assert staged.run_rows[-1] == 2 * once[-1]
    assert (staged.run_rows[:-1] <= 2 * once[:-1] - SAMPLES).all()
    assert staged.run_rows[0] == 2 * once[0] - SAMPLES


def test_a_head_runs_once_for_every_input_in_all_calls() -> None:
    made = NETS["residual"].problem(SAMPLES)
    made = Problem(**{**vars(made), "layers": made.layers[-2:]})
    found = stages(made.model, made.layers, SCORES)
    assert found[0].layers == ()
    staged = StagedModel(made, found, means(made))
    for seed in range(3):
        masks = drawn(made, "random", COALITIONS, seed=seed)
        coalition, sample = pairs(made, COALITIONS)
        some = sample != seed  # not all inputs in every call
        asked = staged.asked(masks, coalition[some], sample[some])
        staged.turn_to(asked)
        staged.scores(masks, asked)
    assert staged.run_rows[0] == SAMPLES


def test_sharing_is_foreseen_where_one_call_follows_another() -> None:
    """A call of one coalition shares nothing, but is like the one before."""
    made = NETS["cnn"].problem(SAMPLES)
    walk = drawn(made, "walk", COALITIONS)
    staged = StagedModel(made, parts(made), means(made))
    nothing = sum(SAMPLES * (stage.seconds + stage.handed) for stage in parts(made))
    times = []
    for c in range(COALITIONS):
        asked = staged.asked(walk, np.full(SAMPLES, c), np.arange(SAMPLES))
        times.append(staged.seconds(asked))
        staged.turn_to(asked)
    assert times[0] == pytest.approx(nothing)
    assert min(times[1:]) < 0.7 * nothing


@pytest.mark.parametrize("memory", [4, 4 * 20_000])
def test_rows_in_hand_fit_into_a_quarter_of_the_budget(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = NETS["cnn"].problem(SAMPLES, memory=memory)
    masks, rows = drawn(made, "walk", COALITIONS), pairs(made, COALITIONS)
    found = parts(made)
    staged = StagedModel(made, found, means(made))
    sizes = np.array([stage.bytes for stage in found])
    groups = []
    run = staged._run

    def seen(masks: object, asked: object) -> object:
        groups.append(asked)
        return run(masks, asked)  # type: ignore[arg-type]

    monkeypatch.setattr(staged, "_run", seen)
    staged.scores(masks, staged.asked(masks, *rows))
    assert len(groups) > 1
    for group in groups:
        held = sum(s * len(d.first) for s, d in zip(sizes, group.distinct, strict=True))
        assert held <= memory // 4 or len(group.sample) == 1
    assert sum(len(group.sample) for group in groups) == len(rows[0])


def test_a_carried_tensor_without_the_batch_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = NETS["cnn"].problem(SAMPLES)
    staged = StagedModel(made, parts(made), means(made))
    part = staged._parts[0]
    run = part.run

    def halved(total: int, feeds: object) -> object:
        for a, b, found in run(total, feeds):  # type: ignore[arg-type]
            yield a, b, {name: array[:1] for name, array in found.items()}

    monkeypatch.setattr(part, "run", halved)
    masks = drawn(made, "walk", COALITIONS)
    with pytest.raises(Unsupported, match="its first dimension must be the batch"):
        staged.scores(masks, staged.asked(masks, *pairs(made, COALITIONS)))
