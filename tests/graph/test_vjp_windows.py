"""What the rows of ``vjp_cases`` can't say of windows and normalisations: a batch of any size,
sizes that must be known, equal maxima, half precision, and what is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graph.vjp_case import (
    Case,
    apart,
    by_differences,
    by_rule,
    case,
    fixed,
    model_of,
    normal,
    positive,
    run_onnxruntime,
    with_gradients,
)
from graph.vjp_cases import convolution, normalisation, pooling
from graph.windows import conv, conv_transpose, lp_pool, max_pool, patches
from mho.errors import Unsupported
from mho.graph.backward import gradients
from mho.graph.emit import Emitter
from mho.graph.term import Term

X, W = normal(1, 2, 5, 6), normal(3, 2, 3, 2)
SAME = {"strides": [2, 3], "pads": [1, 0, 1, 0]}
UPPER = {"strides": [2, 3], "auto_pad": "SAME_UPPER"}

SIZED = [
    case("Conv", X, W, **UPPER, oracle=conv(**SAME)),
    case(
        "Conv",
        normal(1, 2, 4, 7),
        W,
        strides=[2, 3],
        auto_pad="SAME_LOWER",
        oracle=conv(strides=[2, 3], pads=[1, 1, 0, 0]),
    ),
    case("AveragePool", X, kernel_shape=[3, 3], **UPPER),
    case("AveragePool", X, kernel_shape=[3, 3], count_include_pad=1, **UPPER),
    case("LpPool", apart(1, 2, 5, 6), kernel_shape=[3, 3], **UPPER, oracle=lp_pool([3, 3], **SAME)),
    *(
        case(
            "ConvTranspose",
            X,
            normal(2, 2, 3, 2),
            note=auto,
            strides=[2, 3],
            output_shape=[8, 15],
            **({"auto_pad": auto} if auto else {}),
            oracle=conv_transpose(strides=[2, 3], pads=pads),
        )
        for auto, pads in (
            ("", [2, 1, 1, 1]),
            ("SAME_LOWER", [2, 1, 1, 1]),
            ("SAME_UPPER", [1, 1, 2, 1]),
        )
    ),
]


def gradient(case: Case, arrays: list[Any], seeds: dict[str, Any], symbolic: bool) -> Any:
    return by_rule(case, arrays, seeds, np.float32, run_onnxruntime, symbolic=symbolic)["x0"]


def seed_like(array: np.ndarray) -> dict[str, np.ndarray]:
    return {"y0": np.random.default_rng(1).standard_normal(array.shape)}


@pytest.mark.parametrize("case", SIZED, ids=str)
def test_padding_that_depends_on_the_size_needs_the_size(case: Case) -> None:
    arrays = case.draw()
    model = model_of(case, arrays, np.float32, symbolic=False)
    feeds = {f"x{i}": np.float32(a) for i, a in enumerate(arrays)}
    seeds = seed_like(run_onnxruntime(model, feeds)[0])
    wanted = by_differences(case, arrays, seeds, 1e-5)
    found = by_rule(case, arrays, seeds, np.float32, run_onnxruntime, symbolic=False)
    for name, slope in wanted.items():
        np.testing.assert_allclose(found[name], slope, rtol=0, atol=1e-3)
    with pytest.raises(Unsupported, match=r"fixed input size|size of its kernel"):
        by_rule(case, arrays, seeds, np.float32, run_onnxruntime, symbolic=True)


BATCHED = [
    made
    for made in (*convolution.CASES, *pooling.CASES, *normalisation.CASES)
    # a scale of the batch's size, or no first output to follow
    if not (made.unasked or made.attributes.get("axis") == 0)
]


@pytest.mark.parametrize("case", BATCHED, ids=str)
def test_a_batch_of_any_size_gives_the_same(case: Case) -> None:
    arrays = case.draw()
    model = model_of(case, arrays, np.float32, symbolic=False)
    feeds = {f"x{i}": np.float32(a) for i, a in enumerate(arrays) if a is not None}
    fed = [entry.name for entry in model.graph.input]
    outputs = run_onnxruntime(model, {name: feeds[name] for name in fed})
    seeds = {"y0": seed_like(outputs[0])["y0"].astype(np.float32)}
    wanted, names = with_gradients(model, seeds)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    for output in model.graph.output:
        output.type.Clear()
    model = onnx.shape_inference.infer_shapes(model)
    found, _ = with_gradients(model, seeds)
    given = {name: feeds[name] for name in fed} | {"seed/y0": seeds["y0"]}
    pairs = zip(run_onnxruntime(wanted, given), run_onnxruntime(found, given), strict=True)
    for name, (want, have) in zip(names, pairs, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5, err_msg=name)


def first_maxima(x: np.ndarray, dy: np.ndarray, window: dict[str, Any]) -> np.ndarray:
    """``dy`` where the first maximum of each window is, one place after the other."""
    where = np.arange(x.size, dtype=np.float64).reshape(x.shape)
    seen = patches(x, fill=-np.inf, **window)
    places = patches(where, fill=-1, **window)
    first = np.take_along_axis(places, seen.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    dx = np.zeros(x.size)
    np.add.at(dx, first.astype(int).reshape(-1), dy.reshape(-1))
    return dx.reshape(x.shape)


TIED: list[dict[str, Any]] = [
    {"kernel_shape": [2, 2]},
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [2, 1, 1, 0]},
    {"kernel_shape": [1, 4], "strides": [3, 2]},
    {"kernel_shape": [4, 1]},
    {"kernel_shape": [4, 3], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [2, 2], "dilations": [2, 1]},
]


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "unknown"])
@pytest.mark.parametrize("high", [1, 2, 4], ids=["flat", "two levels", "four levels"])
@pytest.mark.parametrize("window", TIED, ids=str)
def test_the_first_of_equal_maxima_gets_the_gradient(
    window: dict[str, Any], high: int, symbolic: bool
) -> None:
    x = np.random.default_rng(high).integers(0, high, (2, 3, 7, 6)).astype(np.float64)
    spelled = pooling.spelled(window)
    pool = case("MaxPool", fixed(x), **window)
    seeds = seed_like(max_pool(**spelled)(x))
    found = gradient(pool, [x], seeds, symbolic)
    np.testing.assert_allclose(found, first_maxima(x, seeds["y0"], spelled), rtol=0, atol=1e-5)


def test_the_first_of_equal_maxima_of_all_gets_the_gradient() -> None:
    x = np.zeros((2, 3, 4, 4))
    seeds = {"y0": np.arange(6.0).reshape(2, 3, 1, 1)}
    found = gradient(case("GlobalMaxPool", fixed(x)), [x], seeds, symbolic=False)
    np.testing.assert_array_equal(found[:, :, 0, 0], seeds["y0"][:, :, 0, 0])
    assert found.sum() == seeds["y0"].sum()


@pytest.mark.parametrize("op", ["LpPool", "GlobalLpPool", "LpNormalization"])
def test_zeros_give_a_finite_gradient(op: str) -> None:
    x = np.zeros((1, 2, 4, 4))
    attributes: dict[str, Any] = {"kernel_shape": [2, 2]} if op == "LpPool" else {}
    made = case(op, fixed(x), **attributes)
    y = run_onnxruntime(model_of(made, [x], np.float32, symbolic=False), {"x0": np.float32(x)})
    assert np.isfinite(gradient(made, [x], seed_like(y[0]), symbolic=True)).all()


HALF = [
    case("Conv", normal(1, 12, 4, 3), normal(2, 12, 3, 3), pads=[1, 1, 1, 1]),
    case("ConvTranspose", X, normal(2, 2, 3, 2), strides=[2, 2]),
    case("MaxPool", apart(1, 2, 4, 4), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("AveragePool", X, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("GlobalMaxPool", apart(1, 2, 3, 3)),
    case("LpPool", positive(1, 2, 4, 4), kernel_shape=[2, 2]),
    case("BatchNormalization", X, *(positive(2) for _ in range(4))),
    case("InstanceNormalization", X, normal(2), normal(2)),
    case("GroupNormalization", X, normal(1), normal(1), num_groups=1),
    case("LayerNormalization", normal(3, 6), normal(6), normal(6)),
    case("RMSNormalization", normal(3, 6), normal(6), opset=23),
    case("LpNormalization", normal(3, 6)),
]


@pytest.mark.parametrize("case", HALF, ids=str)
def test_half_precision_gives_about_the_same(case: Case) -> None:
    arrays = case.draw()
    fed = {f"x{i}": np.float32(np.float16(a)) for i, a in enumerate(arrays)}
    y = run_onnxruntime(model_of(case, arrays, np.float32, symbolic=False), fed)[0]
    seeds = {"y0": np.float32(np.float16(seed_like(y)["y0"]))}
    wanted = by_rule(case, list(fed.values()), seeds, np.float32, run_onnxruntime, symbolic=False)
    made = ir.from_proto(model_of(case, arrays, np.float16, symbolic=False))
    emit, inputs = Emitter(made.graph, "test"), list(made.graph.inputs)
    seed = Term(emit, emit.input("seed/y0", ir.DataType.FLOAT16, y.shape))
    output = made.graph.outputs[0]
    output.dtype = ir.DataType.FLOAT16
    found = gradients(made.graph, emit, {output: seed}, inputs)
    made.graph.outputs.clear()
    for value in inputs:
        assert found[value].dtype == ir.DataType.FLOAT16
        emit.output(found[value].value, f"d/{value.name}", ir.DataType.FLOAT16, value.shape or ())
    made.graph.sort()
    given = {k: v.astype(np.float16) for k, v in (fed | {"seed/y0": seeds["y0"]}).items()}
    for value, have in zip(inputs, run_onnxruntime(ir.to_proto(made), given), strict=True):
        want = wanted[value.name or ""]
        scale = max(1.0, float(np.abs(want).max()))
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-2 * scale, err_msg=value.name)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (case("Conv", X, normal(3, 2, 3, 2), pads=[-1, 0, 0, 0]), "negative padding"),
        (
            case("ConvTranspose", X, normal(2, 3, 3, 2), output_padding=[1, 0], dilations=[2, 2]),
            "output_padding is not smaller than its stride",
        ),
        (case("MaxPool", X, kernel_shape=[1, 1], strides=[3, 3], ceil_mode=1), "ceil_mode"),
        (case("AveragePool", X, kernel_shape=[1, 1], strides=[3, 3], ceil_mode=1), "ceil_mode"),
        (
            case("BatchNormalization", X, *[positive(2)] * 4, training_mode=1, outputs=3),
            "statistics of the batch",
        ),
        (case("LRN", X, size=2), "size is even"),
        (case("LRN", normal(1, 2, 3), size=3), "two spatial dimensions"),
    ],
)
def test_what_can_not_be_served_is_refused_in_words(made: Case, why: str) -> None:
    model = model_of(made, made.draw(), np.float32, symbolic=False)
    with pytest.raises(Unsupported, match=why):
        with_gradients(model, ["y0"])
