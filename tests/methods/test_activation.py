"""Activation: on arrays without a model, and on the example's model against onnxruntime by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import shapes
from methods.solving import solve
from mho.config import Settings
from mho.data.source import Source
from mho.evaluation import Layer, PointEvaluator, PointScores
from mho.jobs.attribution import open_run
from mho.jobs.task import Task
from mho.methods.activation import Activation
from mho.results import Result
from mho.types import Array, FloatArray, IntArray

SETTINGS = Settings(threads=1, provider="cpu")
REDUCTIONS: dict[str, Callable[..., Any]] = {"mean": np.mean, "sum": np.sum, "max": np.max}


@dataclass
class GivenActivations:
    """An ``PointEvaluator`` that reads from arrays ``(inputs, ...)``; keeps what was asked."""

    given: Mapping[str, FloatArray]
    chunk: int = 3
    asked: list[list[int]] = field(default_factory=list, init=False)

    @property
    def layers(self) -> Sequence[Layer]:
        return [
            Layer(name, "Conv", array.shape[1], ("N", *array.shape[1:]), 1)
            for name, array in self.given.items()
        ]

    @property
    def inputs(self) -> int:
        return len(next(iter(self.given.values())))

    def read(self, inputs: IntArray) -> PointScores:
        self.asked.append(inputs.tolist())
        return PointScores({name: array[inputs] for name, array in self.given.items()}, {})


def given(inputs: int = 7, chunk: int = 3) -> GivenActivations:
    draw = np.random.default_rng(0).normal
    return GivenActivations({"a": draw(size=(inputs, 4)), "b": draw(size=(inputs, 2, 3))}, chunk)


def test_the_fake_is_an_activation_evaluator() -> None:
    assert isinstance(given(), PointEvaluator)


@pytest.mark.parametrize(
    ("chunk", "asked"),
    [
        (3, [[0, 1, 2], [3, 4, 5], [6]]),
        (7, [[0, 1, 2, 3, 4, 5, 6]]),
        (100, [[0, 1, 2, 3, 4, 5, 6]]),
        (1, [[0], [1], [2], [3], [4], [5], [6]]),
    ],
)
def test_every_input_is_asked_for_once_and_a_batch_at_a_time(
    chunk: int, asked: list[list[int]]
) -> None:
    evaluator = given(chunk=chunk)
    result = solve(Activation(), evaluator)
    assert evaluator.asked == asked
    assert result.scores.keys() == {"a", "b"}
    for name, array in evaluator.given.items():
        np.testing.assert_array_equal(result.scores[name], array)
    assert result.evaluations == {"forward": 7}


@pytest.mark.parametrize("restart_after", [0, 1, 2, 3])
def test_a_run_resumed_from_its_checkpoint_equals_an_undisturbed_one(restart_after: int) -> None:
    evaluator = given()
    result = solve(Activation(), evaluator, restart_after=restart_after)
    assert evaluator.asked == [[0, 1, 2], [3, 4, 5], [6]]
    for name, array in evaluator.given.items():
        np.testing.assert_array_equal(result.scores[name], array)


def test_a_step_leaves_the_state_it_was_given_alone() -> None:
    method, evaluator = Activation(), given()
    first = method.step(method.init(evaluator), evaluator)
    before = {name: array.copy() for name, array in first.scores.items()}
    method.step(first, evaluator)
    assert first.next == 3
    for name, array in before.items():
        np.testing.assert_array_equal(first.scores[name], array)


def test_progress_counts_inputs() -> None:
    method, evaluator = Activation(), given()
    state, seen = method.init(evaluator), []
    while not method.done(state):
        seen.append(method.progress(state).done)
        state = method.step(state, evaluator)
    end = method.progress(state)
    assert seen == [0, 3, 6]
    assert (end.done, end.total, end.unit, end.fraction) == (7, 7, "inputs", 1.0)


@pytest.mark.parametrize(
    ("options", "estimand"),
    [
        ({}, "mean activation of each channel over its positions"),
        ({"reduction": "sum"}, "sum activation of each channel over its positions"),
        ({"reduction": "max"}, "max activation of each channel over its positions"),
        ({"granularity": "neuron"}, "activation of each neuron"),
    ],
)
def test_the_result_says_what_its_scores_are(options: dict[str, Any], estimand: str) -> None:
    result = solve(Activation(**options), given())
    assert result.estimand == estimand
    assert not result.std_error
    assert not result.completeness


def run(folder: Path, count: int, **options: Any) -> Result:
    """On ``count`` pictures and the example's model, opened as a job is."""
    inputs, _ = shapes.inputs(folder, count)
    opened = open_run(Task("activation", options, shapes.MODEL, Source(inputs)), SETTINGS)
    while not opened.done:
        opened.step()
    return opened.result()


def by_hand(folder: Path, count: int, *layers: str) -> list[Array]:
    """The tensors called ``layers``, each ``(inputs, ...)``, one picture at a time."""
    model = onnx.load(shapes.MODEL)
    for name in layers:
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs, _ = shapes.inputs(folder, count)
    found = [session.run(list(layers), {"image": image[None]}) for image in np.load(inputs)]
    return [np.concatenate(arrays) for arrays in zip(*found, strict=True)]


@pytest.mark.parametrize("reduction", ["mean", "sum", "max"])
def test_channels_are_reduced_over_their_positions(tmp_path: Path, reduction: str) -> None:
    """Of a tensor that has negative values, and of one that has none."""
    layers = ("conv1", "conv2/relu")
    found = run(tmp_path, 20, layers=list(layers), reduction=reduction).scores
    for name, array in zip(layers, by_hand(tmp_path, 20, *layers), strict=True):
        wanted = REDUCTIONS[reduction](array.astype(np.float64), axis=(2, 3))
        assert found[name].shape == (20, array.shape[1])
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reduction", ["mean", "sum", "max"])
def test_a_dense_layer_has_no_positions_to_reduce(tmp_path: Path, reduction: str) -> None:
    found = run(tmp_path, 5, layers=["dense1/relu"], reduction=reduction).scores["dense1/relu"]
    (wanted,) = by_hand(tmp_path, 5, "dense1/relu")
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_neurons_keep_the_shape_of_their_layer(tmp_path: Path) -> None:
    layers = ("conv3/relu", "dense1/relu")
    found = run(tmp_path, 3, layers=list(layers), granularity="neuron").scores
    wanted = by_hand(tmp_path, 3, *layers)
    assert [found[name].shape for name in layers] == [array.shape for array in wanted]
    assert found["conv3/relu"].ndim == 4
    for name, array in zip(layers, wanted, strict=True):
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


def test_all_layers_are_scored_unless_some_are_named(tmp_path: Path) -> None:
    found = run(tmp_path, 2).scores
    assert {"conv1", "conv1/relu", "dense1/relu", "logits"} <= found.keys()
    assert all(np.isfinite(array).all() and len(array) == 2 for array in found.values())
    assert run(tmp_path, 2, layers=["conv*/relu"]).scores.keys() == {
        name for name in found if name.startswith("conv") and name.endswith("/relu")
    }
