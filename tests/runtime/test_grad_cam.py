"""Grad-CAM against the formula by hand."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidOption
from mho.graph.model import Model
from mho.methods.grad_cam import GradCam
from runtime.bound import bound, data, finished
from runtime.mlp import X, mlp

IMAGES = normal(5, 3, 2, 6, 6)
W, V = normal(1, 3, 2, 3, 3), normal(4, 3, 2)


def model() -> Model:
    return net(
        "a = Conv(x, w)  r = Tanh(a)  g = GlobalAveragePool(r)  f = Flatten(g)  y = Gemm(f, v)",
        "(float[N,2,6,6] x) => (float[N,2] y)",
        w=W,
        v=V,
    )


def test_the_map_of_a_layer_before_a_mean() -> None:
    """Behind a global mean over P positions dF/dy is v / P everywhere."""
    found = bound(GradCam(target="1"), model(), data(IMAGES))
    assert [layer.name for layer in found.layers] == ["r"]
    result = finished(GradCam(target="1"), found.evaluator)
    windows = np.lib.stride_tricks.sliding_window_view(IMAGES, (3, 3), axis=(2, 3))
    r = np.tanh(np.einsum("nchwij,kcij->nkhw", windows, W))
    parts = V[:, 1][:, None, None] / 16 * r
    np.testing.assert_allclose(result.maps["r"], np.maximum(parts.sum(axis=1), 0), atol=1e-5)
    np.testing.assert_allclose(result.scores["r"], parts.sum(axis=(2, 3)), atol=1e-5)


def test_layers_without_positions_have_no_map() -> None:
    with pytest.raises(InvalidOption, match="no layer with positions"):
        bound(GradCam(), mlp(), data(X))
    with pytest.raises(InvalidOption, match="layer 'r' has no positions"):
        bound(GradCam(layers=("r",)), mlp(), data(X))
