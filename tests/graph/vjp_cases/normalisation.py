from collections.abc import Callable
from typing import Any

import numpy as np

from graph.vjp_case import apart, case, normal, positive

Oracle = Callable[..., Any]
"""For what onnx.reference has wrong, or computes in float32 whatever it is given."""
X, SMALL = normal(2, 4, 3, 2), normal(2, 4, 2, 1)


def local_response(size: int, alpha: float, beta: float, bias: float) -> Oracle:
    def run(x: np.ndarray) -> np.ndarray:
        s = np.full(x.shape, bias)
        for c in range(x.shape[1]):
            near = x[:, max(0, c - size // 2) : c + size // 2 + 1]
            s[:, c] += alpha / size * (near**2).sum(axis=1)
        return x / s**beta

    return run


def standardised(axes: tuple[int, ...], epsilon: float = 0.0) -> Oracle:
    def run(x: np.ndarray) -> np.ndarray:
        variance = x.var(axis=axes, keepdims=True)
        return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(variance + epsilon)

    return run


def grouped(groups: int, epsilon: float = 1e-5) -> Oracle:
    """Of opset 21, with a scale for every channel."""

    def run(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
        parts = standardised((2,), epsilon)(x.reshape(x.shape[0], groups, -1))
        each = (-1, *[1] * (x.ndim - 2))
        return parts.reshape(x.shape) * scale.reshape(each) + bias.reshape(each)

    return run


def l1_normalised(axis: int) -> Oracle:
    return lambda x: x / np.abs(x).sum(axis=axis, keepdims=True)


LRN = {"alpha": 0.6, "beta": 0.7, "bias": 1.5}

CASES = [
    case("BatchNormalization", X, *(positive(4) for _ in range(4)), constant=[1, 2, 3, 4]),
    case("BatchNormalization", X, *(positive(4) for _ in range(4)), note="all", epsilon=0.1),
    case("BatchNormalization", normal(3, 4), *(positive(4) for _ in range(4)), note="2d"),
    case("BatchNormalization", normal(2, 2, 3), *(positive(2) for _ in range(4)), note="1 spatial"),
    case("InstanceNormalization", X, normal(4), normal(4), constant=[1, 2]),
    case("InstanceNormalization", X, normal(4), normal(4), note="all", epsilon=0.1),
    case("InstanceNormalization", normal(2, 3, 5), normal(3), normal(3), note="1 spatial"),
    case("GroupNormalization", SMALL, normal(2), normal(2), num_groups=2, epsilon=0.1),
    case("GroupNormalization", normal(1, 4, 3), normal(2), normal(2), note="1d", num_groups=2),
    case(
        "GroupNormalization",
        X,
        normal(4),
        normal(4),
        note="channels",
        opset=21,
        num_groups=2,
        epsilon=0.1,
        oracle=grouped(2, 0.1),
    ),
    case(
        "GroupNormalization",
        normal(2, 4, 3),
        normal(4),
        normal(4),
        note="channels 1d",
        constant=[1, 2],
        opset=21,
        num_groups=2,
        oracle=grouped(2),
    ),
    case("GroupNormalization", SMALL, normal(4), normal(4), num_groups=4),
    case("GroupNormalization", SMALL, normal(1), normal(1), num_groups=1),
    case("LayerNormalization", normal(2, 3, 4), normal(4), normal(4), constant=[1, 2]),
    case("LayerNormalization", normal(2, 3, 4), normal(4), normal(4), note="all", epsilon=0.1),
    case("LayerNormalization", normal(2, 3, 4), normal(3, 4), axis=1),
    case("LayerNormalization", normal(2, 3, 4), normal(3, 4), axis=-2),
    case("LayerNormalization", normal(2, 3, 4), normal(2, 3, 4), axis=0),
    case("LayerNormalization", normal(2, 3, 4), normal(4), note="row", axis=1),
    case("LayerNormalization", normal(2, 3, 4), normal(3, 1), normal(1, 4), note="both", axis=1),
    case("LayerNormalization", normal(2, 5), normal(5), normal(5), note="outputs", outputs=3),
    case("LayerNormalization", normal(2, 5), normal(5), note="mean", outputs=3, unasked=[0, 2]),
    case("LayerNormalization", normal(2, 5), normal(5), note="other", outputs=3, unasked=[0, 1]),
    case("RMSNormalization", normal(2, 3, 4), normal(4), opset=23),
    case("RMSNormalization", normal(2, 3, 4), normal(4), opset=23, constant=[1], epsilon=0.1),
    case("RMSNormalization", normal(2, 3, 4), normal(3, 4), opset=23, axis=1),
    case("RMSNormalization", normal(2, 3, 4), normal(3, 1), opset=23, axis=-2),
    case("MeanVarianceNormalization", X, oracle=standardised((0, 2, 3))),
    *(
        case("MeanVarianceNormalization", normal(2, 3, 4), axes=axes, oracle=standardised(axes))
        for axes in ((1, 2), (-1,))
    ),
    case("LpNormalization", normal(3, 4)),
    case("LpNormalization", normal(2, 3, 2), axis=1, opset=22),
    case("LpNormalization", apart(3, 4), p=1, axis=0, oracle=l1_normalised(0)),
    *(
        case("LRN", normal(1, 5, 2, 2), size=size, oracle=local_response(size, **LRN), **LRN)
        for size in (1, 3, 5, 7)
    ),
]
