"""The gradient of Resize follows onnxruntime, also where that departs from the standard, and says
where it does not know what onnxruntime does."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from graph.nets import evaluate, net, normal
from graph.slopes import differentiated, run_single
from mho.errors import Unsupported
from mho.graph.model import Model

F = np.float32
WAYS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)


def resize(inputs: str, shape: str, attributes: str, **weights: Any) -> Model:
    rank = shape.count(",") + 1
    return net(
        f"y = Resize<{attributes}>(x, {inputs})",
        f"(float[{shape}] x) => (float[{','.join('abcde'[:rank])}] y)",
        opset=19,
        **weights,
    )


def holds(model: Model) -> None:
    """Images ``(4, 3)`` with a single pixel that is not zero give onnxruntime's own matrix."""
    units = np.eye(12, dtype=F).reshape(12, 1, 4, 3)
    rows = evaluate(model, {"x": units})["y"]
    seed = normal(1, 2, *rows.shape[1:])
    wanted = np.einsum("pchw,nchw->np", rows, seed).reshape(2, 1, 4, 3)
    made = differentiated(model, "y", ["x"])
    found = run_single(made, {"x": normal(2, 2, 1, 4, 3), "seed/y": seed})["d/x"]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_is_onnxruntimes_matrix_transposed(
    mode: str, way: str, symbolic: bool
) -> None:
    for sizes, antialias in product(((7, 3), (1, 5), (4, 4), (8, 1)), (0, 1)):
        if antialias and mode == "nearest":
            continue
        model = resize(
            "r, , z",
            "n,c,h,w" if symbolic else "n,1,4,3",
            f'mode="{mode}", coordinate_transformation_mode="{way}", antialias={antialias}, '
            "axes=[2, 3]",
            r=np.array([0.1, -0.2, 0.8, 1.3], F),
            z=np.array(sizes),
        )
        holds(model)


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("way", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("scale", [0.4, 1.5, 3])
def test_scales(scale: float, way: str, rounding: str) -> None:
    attributes = f'coordinate_transformation_mode="{way}", nearest_mode="{rounding}"'
    scales = np.array([1, 1, scale, 1], F)
    for shape in ("n,1,4,3", "n,1,h,w"):
        holds(resize("r, s", shape, attributes, r=np.zeros(0, F), s=scales))


def test_the_same_shape_is_copied_whatever_the_scale() -> None:
    scales = np.array([1, 1, 1.1, 1.2], F)
    model = resize("r, s", "1,1,4,3", 'mode="linear"', r=np.zeros(0, F), s=scales)
    seed = normal(1, 1, 1, 4, 3)
    made = differentiated(model, "y", ["x"])
    found = run_single(made, {"x": normal(2, 1, 1, 4, 3), "seed/y": seed})["d/x"]
    np.testing.assert_array_equal(found, seed)


@pytest.mark.parametrize("shape", ["1,1,4,3", "1,1,h,3"])
def test_a_scale_that_may_leave_a_length_as_it_is_beside_another_that_changes(shape: str) -> None:
    scales = np.array([1, 1, 1.1, 2], F)
    model = resize("r, s", shape, 'mode="linear"', r=np.zeros(0, F), s=scales)
    with pytest.raises(Unsupported, match="changes the length of dimension 2"):
        differentiated(model, "y", ["x"])


def test_scales_that_are_computed() -> None:
    body = """k = Cast<to=1>(n)  s = Mul(k, h)
        y = Resize<mode="linear">(x, r, s)"""
    weights = {"h": F(0.5), "r": np.zeros(0, F)}
    model = net(body, "(float[1,1,4,3] x, int64[4] n) => (float[1,1,6,1] y)", opset=19, **weights)
    seed = normal(1, 1, 1, 6, 1)
    feeds = {"n": np.array([2, 2, 3, 1]), "seed/y": seed}
    made = differentiated(model, "y", ["x"])
    found = run_single(made, {"x": normal(2, 1, 1, 4, 3), **feeds})["d/x"]
    units = np.eye(12, dtype=F).reshape(12, 1, 1, 4, 3)
    wanted = [(evaluate(model, {"x": unit, **feeds})["y"] * seed).sum() for unit in units]
    np.testing.assert_allclose(found.ravel(), wanted, rtol=0, atol=1e-5)


def test_sizes_that_keep_the_aspect_ratio() -> None:
    model = resize(
        "r, , z",
        "1,1,4,3",
        'keep_aspect_ratio_policy="not_larger", axes=[2, 3]',
        r=np.zeros(0, F),
        z=np.array([7, 9]),
    )
    with pytest.raises(Unsupported, match="keep the aspect ratio"):
        differentiated(model, "y", ["x"])


def test_elements_that_are_repeated_are_summed_by_one_pool() -> None:
    attributes = 'coordinate_transformation_mode="asymmetric", nearest_mode="floor"'
    scales = np.array([1, 1, 2, 2], F)
    model = resize("r, s", "n,3,h,w", attributes, r=np.zeros(0, F), s=scales)
    made = differentiated(model, "y", ["x"])
    own = {node.name for node in model.graph}
    added = [node.op_type for node in made.graph if node.name not in own]
    assert added == ["AveragePool", "Mul", "Identity"]
