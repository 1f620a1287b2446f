from collections.abc import Callable
from itertools import product

import numpy as np

from graph.vjp_case import Case, Draw, between, case, fixed, normal


def ints(*numbers: int) -> Draw:
    return fixed(np.array(numbers, dtype=np.int64))


def places(*shape: int) -> Draw:
    """Different indices into as many elements as there are, twice over."""
    count = int(np.prod(shape))
    return lambda rng: rng.permutation(2 * count)[:count].reshape(shape)


def sampled(
    *, aligned: bool, border: bool = False, nearest: bool = False
) -> Callable[..., np.ndarray]:
    """onnx.reference rounds coordinates to float32."""

    def pixel(image: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
        size = image.shape[1:]
        if any(not 0 <= i < n for i, n in zip(place, size, strict=True)):
            return np.zeros(len(image))
        return image[(slice(None), *place)]

    def at(image: np.ndarray, point: np.ndarray) -> np.ndarray:
        size = np.array(image.shape[1:])
        where = (
            (point[::-1] + 1) * (size - 1) / 2 if aligned else ((point[::-1] + 1) * size - 1) / 2
        )
        where = np.rint(where) if nearest else where
        where = np.clip(where, 0, size - 1) if border else where
        low = np.floor(where).astype(int)
        total = np.zeros(len(image))
        for step in product((0, 1), repeat=len(size)):
            weight = np.prod(np.where(step, where - low, 1 - where + low))
            total += weight * pixel(image, tuple(low + step))
        return total

    def made(images: np.ndarray, grids: np.ndarray) -> np.ndarray:
        found = [
            [at(image, point) for point in grid.reshape(-1, grid.shape[-1])]
            for image, grid in zip(images, grids, strict=True)
        ]
        return np.moveaxis(np.array(found), -1, 1).reshape(*images.shape[:2], *grids.shape[1:-1])

    return made


def grid(*size: int, aligned: bool) -> Callable[..., np.ndarray]:
    """onnx.reference rounds it to float32."""

    def made(theta: np.ndarray, _size: np.ndarray) -> np.ndarray:
        lines = [np.linspace(-1, 1, n) if aligned else (2 * np.arange(n) + 1) / n - 1 for n in size]
        points = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(size)], axis=-1)
        return np.einsum("nij,...j->n...i", theta, points)

    return made


def sample(points: Draw, mode: str, padding: str, aligned: int) -> Case:
    return case(
        "GridSample",
        normal(2, 2, 3, 4),
        points,
        mode=mode,
        padding_mode=padding,
        align_corners=aligned,
        opset=20,
        oracle=sampled(
            aligned=bool(aligned), border=padding == "border", nearest=mode == "nearest"
        ),
        single_tolerance=1e-3,
    )


CASES = [
    case("MaxUnpool", normal(1, 2, 2, 2), places(1, 2, 2, 2), kernel_shape=[2, 2], strides=[2, 2]),
    case("MaxUnpool", normal(2, 1, 3), places(2, 1, 3), kernel_shape=[3], strides=[2], pads=[0, 1]),
    case("Col2Im", normal(2, 8, 6), ints(4, 3), ints(2, 2), note="plain"),
    case("Col2Im", normal(1, 6, 4), ints(4, 6), ints(2, 3), strides=[2, 3], note="apart"),
    case(
        "Col2Im",
        normal(1, 4, 6),
        ints(5, 4),
        ints(2, 2),
        strides=[2, 1],
        dilations=[2, 3],
        pads=[0, 1, 1, 1],
    ),
    case("Col2Im", normal(1, 2, 5), ints(1, 6), ints(1, 2), note="a line"),
    *(
        case(
            "AffineGrid",
            normal(2, len(size), len(size) + 1),
            ints(2, 3, *size),
            align_corners=aligned,
            opset=20,
            oracle=grid(*size, aligned=bool(aligned)),
        )
        for size in ((3, 4), (2, 3, 2))
        for aligned in (0, 1)
    ),
    *(
        sample(between(-1.4, 1.4, 2, 2, 3, 2), mode, padding, aligned)
        for mode in ("linear", "nearest")
        for padding in ("zeros", "border")
        for aligned in (0, 1)
    ),
    case(
        "GridSample",
        normal(1, 2, 3, 2),
        between(-0.9, 0.9, 1, 2, 2, 2),
        opset=16,
        note="by default",
        oracle=sampled(aligned=False),
    ),
    case(
        "GridSample",
        normal(1, 1, 2, 3, 2),
        between(-1.2, 1.2, 1, 1, 2, 2, 3),
        opset=20,
        oracle=sampled(aligned=False),
    ),
]
