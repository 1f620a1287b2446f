"""Convolutions and poolings written out in NumPy, for what onnx.reference has wrong or not at all:
groups of ConvTranspose, its output_shape, windows that stand out at the end, p of LpPool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

Array = np.ndarray


def patches(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int] = (),
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    *,
    ceil_mode: int = 0,
    fill: float = 0.0,
) -> Array:
    """What a window sees: (batch, channels, *places, elements), ``fill`` in the padding."""
    rank = len(kernel)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    pads = pads or [0] * (2 * rank)
    counts = []
    for i, size in enumerate(x.shape[2:]):
        room = size + pads[i] + pads[rank + i] - dilations[i] * (kernel[i] - 1) - 1
        count = (-(-room // strides[i]) if ceil_mode else room // strides[i]) + 1
        counts.append(count - (ceil_mode and (count - 1) * strides[i] >= size + pads[i]))
    far = [s * n + d * k for s, n, d, k in zip(strides, counts, dilations, kernel, strict=True)]
    around = [(0, 0), (0, 0), *((pads[i], far[i]) for i in range(rank))]
    wide = np.pad(x, around, constant_values=fill)
    seen = []
    for tap in product(*(range(length) for length in kernel)):
        at = [
            slice(t * d, t * d + s * n, s)
            for t, d, s, n in zip(tap, dilations, strides, counts, strict=True)
        ]
        seen.append(wide[(slice(None), slice(None), *at)])
    return np.stack(seen, axis=-1)


def conv(group: int = 1, **window: Sequence[int]) -> Callable[..., Array]:
    def run(x: Array, w: Array, b: Array | None = None) -> Array:
        seen = patches(x, w.shape[2:], **window)  # type: ignore[arg-type]
        parts = []
        for of_x, of_w in zip(
            np.split(seen, group, axis=1), np.split(w, group, axis=0), strict=True
        ):
            flat = of_w.reshape(*of_w.shape[:2], -1)
            parts.append(np.einsum("nc...e,mce->nm...", of_x, flat))
        y = np.concatenate(parts, axis=1)
        return y if b is None else y + b.reshape(-1, *[1] * (x.ndim - 2))

    return run


def conv_transpose(
    group: int = 1,
    strides: Sequence[int] = (),
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    output_padding: Sequence[int] = (),
) -> Callable[..., Array]:
    def run(x: Array, w: Array, b: Array | None = None) -> Array:
        rank, kernel = x.ndim - 2, w.shape[2:]
        s, d = strides or [1] * rank, dilations or [1] * rank
        more, p = output_padding or [0] * rank, pads or [0] * (2 * rank)
        sizes = x.shape[2:]
        full = [s[i] * (sizes[i] - 1) + more[i] + d[i] * (kernel[i] - 1) + 1 for i in range(rank)]
        y = np.zeros((x.shape[0], w.shape[1] * group, *full))
        for tap in product(*(range(length) for length in kernel)):
            at = [slice(tap[i] * d[i], tap[i] * d[i] + s[i] * sizes[i], s[i]) for i in range(rank)]
            parts = zip(np.split(x, group, axis=1), np.split(w, group, axis=0), strict=True)
            made = [np.einsum("nc...,cm->nm...", a, k[(..., *tap)]) for a, k in parts]
            y[(slice(None), slice(None), *at)] += np.concatenate(made, axis=1)
        kept = [slice(p[i], full[i] - p[rank + i]) for i in range(rank)]
        y = y[(slice(None), slice(None), *kept)]
        return y if b is None else y + b.reshape(-1, *[1] * rank)

    return run


def max_pool(kernel: Sequence[int], **window: Sequence[int] | int) -> Callable[[Array], Array]:
    def run(x: Array) -> Array:
        return patches(x, kernel, fill=-np.inf, **window).max(axis=-1)  # type: ignore[arg-type]

    return run


def lp_pool(
    kernel: Sequence[int], p: int = 2, **window: Sequence[int] | int
) -> Callable[[Array], Array]:
    def run(x: Array) -> Array:
        seen = patches(np.abs(x) ** p, kernel, **window)  # type: ignore[arg-type]
        return seen.sum(axis=-1) ** (1 / p)

    return run
