"""Activations per input, for any layer of the model, whatever its output is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graph.nets import net, normal
from mho.evaluation import PointEvaluator
from mho.methods.activation import Activation
from runtime.bound import SETTINGS, bound, data, finished

W = normal(1, 3, 4)
X = normal(2, 7, 5, 3)
R = np.maximum(X @ W, 0)


def model():  # type: ignore[no-untyped-def]
    return net(
        "h = MatMul(x, w)  r = Relu(h)  y = ArgMax<axis = 2, keepdims = 0>(r)",
        "(float[N,T,3] x) => (int64[N,T] y)",
        w=W,
    )


def test_channels_and_neurons_in_any_order_of_inputs() -> None:
    found = bound(Activation(layers=("r",)), model(), data(X)).evaluator
    assert isinstance(found, PointEvaluator)
    assert (found.inputs, [layer.name for layer in found.layers]) == (7, ["r"])
    order = np.array([3, 0, 3, 6])
    value = found.read(order).scores["r"]
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, R[order].mean(axis=1), rtol=1e-5)
    whole = bound(Activation(layers=("r",), granularity="neuron"), model(), data(X)).evaluator
    np.testing.assert_allclose(whole.read(order).scores["r"], R[order], rtol=1e-5)


def test_no_float_output_and_no_use_for_one() -> None:
    found = bound(Activation(target="3", reduction="max"), model(), data(X))
    assert found.notes == (
        "option 'target' was set, but has no meaning for activation and was not used",
    )
    scores = finished(Activation(reduction="max"), found.evaluator).scores
    np.testing.assert_allclose(scores["r"], R.max(axis=1), rtol=1e-5)


def test_one_row_at_a_time() -> None:
    narrow = replace(SETTINGS, memory_bytes=1)
    for options in ({"single": True}, {"settings": narrow}):
        found = bound(Activation(layers=("r",)), model(), data(X), **options)  # type: ignore[arg-type]
        assert found.evaluator.chunk == 1
        scores = finished(Activation(), found.evaluator).scores
        np.testing.assert_allclose(scores["r"], R.mean(axis=1), rtol=1e-5)
