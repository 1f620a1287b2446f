"""A small network of tanh units whose conductances are had in float64 by hand."""

from __future__ import annotations

import numpy as np

from graph.nets import net, normal
from mho.graph.model import Model

W, U, V = normal(1, 3, 6), normal(2, 6, 4), normal(3, 4, 2)
X = normal(4, 5, 3)


def mlp(batch: str = "N") -> Model:
    return net(
        "a = Gemm(x, w)  r = Tanh(a)  b = Gemm(r, u)  s = Tanh(b)  y = Gemm(s, v)",
        f"(float[{batch},3] x) => (float[{batch},2] y)",
        w=W,
        u=U,
        v=V,
    )


def exact(x: np.ndarray, target: int, steps: int = 4000) -> dict[str, np.ndarray]:
    """Conductance of the layers of ``mlp`` in float64, from zero, by the mid-point rule."""
    w, u, v = (array.astype(np.float64) for array in (W, U, V))
    alpha = np.linspace(0, 1, steps + 1)[:, None]

    def layers(t: np.ndarray) -> dict[str, np.ndarray]:
        a = t * x.astype(np.float64) @ w
        b = np.tanh(a) @ u
        return {"a": a, "r": np.tanh(a), "b": b, "s": np.tanh(b)}

    middle, ends = layers((alpha[1:] + alpha[:-1]) / 2), layers(alpha)
    at_s = np.broadcast_to(v[:, target], middle["s"].shape)
    at_b = at_s * (1 - middle["s"] ** 2)
    at_r = at_b @ u.T
    at_a = at_r * (1 - middle["r"] ** 2)
    slopes = {"a": at_a, "r": at_r, "b": at_b, "s": at_s}
    return {name: (slopes[name] * np.diff(ends[name], axis=0)).sum(axis=0) for name in ends}
