"""A small network with normalisation, and the same in NumPy, for the tests of games."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graph.nets import net, normal
from mho.data.dataset import Dataset
from mho.graph.model import Model
from mho.methods.ablation import Ablation
from mho.runtime.bind import Bound
from runtime.bound import bound, data

W, U, V = normal(1, 5, 2, 3, 3), normal(2, 4, 5, 1, 1), normal(3, 4, 3)
SCALE, SHIFT = np.abs(normal(5, 5)) + np.float32(0.5), normal(6, 5)
MEAN, VARIANCE = normal(7, 5), np.abs(normal(8, 5)) + np.float32(0.5)
X = normal(4, 6, 2, 6, 6)
LABELS = [0, 1, 2, 0, 1, 2]
UNITS = {"r": 5, "s": 4}

Replace = Callable[[str, np.ndarray], np.ndarray]


def cnn() -> Model:
    """Conv, BatchNormalization and Relu; Conv and Relu; pool and Gemm; and a second output."""
    return net(
        """a = Conv(x, w)  n = BatchNormalization(a, scale, shift, mean, variance)  r = Relu(n)
        b = Conv(r, u)  s = Relu(b)  g = GlobalAveragePool(s)  f = Flatten(g)  z = Gemm(f, v)
        y = Softmax(z)  m = Neg(r)  o = GlobalMaxPool(m)""",
        "(float[N,2,6,6] x) => (float[N,3] y, float[N,5,1,1] o)",
        w=W,
        u=U,
        v=V,
        scale=SCALE,
        shift=SHIFT,
        mean=MEAN,
        variance=VARIANCE,
    )


def forward(x: np.ndarray, replace: Replace = lambda _, y: y) -> dict[str, np.ndarray]:
    """All tensors by name in float64; ``replace(name, tensor)`` is what the rest reads."""
    spread = (slice(None), None, None)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), axis=(2, 3))
    found: dict[str, np.ndarray] = {}

    def made(name: str, tensor: np.ndarray) -> np.ndarray:
        found[name] = tensor
        return replace(name, tensor)

    a = made("a", np.einsum("nihwkl,oikl->nohw", windows, W.astype(np.float64)))
    ratio = SCALE / np.sqrt(VARIANCE.astype(np.float64) + 1e-5)
    n = made("n", (a - MEAN[spread]) * ratio[spread] + SHIFT[spread])
    r = made("r", np.maximum(n, 0))
    b = made("b", np.einsum("nihw,oi->nohw", r, U[:, :, 0, 0].astype(np.float64)))
    s = made("s", np.maximum(b, 0))
    made("z", s.mean(axis=(2, 3)) @ V.astype(np.float64))
    return found


def removing(units: Mapping[str, list[int]], instead: Mapping[str, np.ndarray]) -> Replace:
    """Replaces ``units`` of each layer by theirs of ``instead``, which broadcast to the layer."""

    def replace(name: str, tensor: np.ndarray) -> np.ndarray:
        if name not in units:
            return tensor
        kept = tensor.copy()
        other = np.broadcast_to(instead[name], tensor.shape)
        kept[:, units[name]] = other[:, units[name]]
        return kept

    return replace


def made(
    files: dict[str, Path] | None = None,
    given: Dataset | None = None,
    reference: Dataset | None = None,
    **options: Any,
) -> Bound:
    """The game that ``options`` describe on this network."""
    return bound(
        Ablation(**options), cnn(), given or data(X, LABELS), files=files, reference=reference
    )
