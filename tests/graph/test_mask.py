"""Masks and substitutes: nothing masked is the model, everything masked is a hand-edited model."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import evaluate, net, normal, run
from mho.errors import InvalidModel
from mho.graph import units
from mho.graph.mask import broadcast_shape, mask_input, masked, substitute_input
from mho.graph.model import Model

F = np.float32

CONVS = {
    1: ("float[N,2,9] x", (2, 9), (3, 2, 3)),
    2: ("float[N,2,6,5] x", (2, 6, 5), (3, 2, 3, 3)),
    3: ("float[N,2,4,5,4] x", (2, 4, 5, 4), (3, 2, 2, 2, 2)),
}


def conv(rank: int) -> tuple[Model, np.ndarray]:
    signature, shape, kernel = CONVS[rank]
    model = net(
        "c = Conv(x, w, b)  r = Relu(c)  p = GlobalAveragePool(r)  f = Flatten(p)  y = Gemm(f, v)",
        f"({signature}) => (float[N,4] y)",
        w=normal(1, *kernel),
        b=normal(2, 3),
        v=normal(3, 3, 4),
    )
    return model, normal(4, 5, *shape)


def tokens() -> tuple[Model, np.ndarray]:
    model = net(
        "h = MatMul(x, w)  r = Relu(h)  s = ReduceMean<keepdims = 0>(r, a)  y = MatMul(s, v)",
        "(float[N,6,4] x) => (float[N,2] y)",
        w=normal(1, 4, 3),
        a=np.asarray([1]),
        v=normal(2, 3, 2),
    )
    return model, normal(3, 5, 6, 4)


def channels_last() -> tuple[Model, np.ndarray]:
    model = net(
        """c = Conv(x, w)  t = Transpose<perm = [0, 2, 3, 1]>(c)  r = Relu(t)
        s = ReduceMean<keepdims = 0>(r, a)  y = MatMul(s, v)""",
        "(float[N,2,5,4] x) => (float[N,2] y)",
        w=normal(1, 3, 2, 2, 2),
        a=np.asarray([1, 2]),
        v=normal(2, 3, 2),
    )
    return model, normal(3, 5, 2, 5, 4)


def dense() -> tuple[Model, np.ndarray]:
    model = net(
        "h = Gemm(x, w)  r = Tanh(h)  y = Gemm(r, v)",
        "(float[N,4] x) => (float[N,2] y)",
        w=normal(1, 4, 3),
        v=normal(2, 3, 2),
    )
    return model, normal(3, 5, 4)


MODELS = {
    "conv 1-D": lambda: conv(1),
    "conv 2-D": lambda: conv(2),
    "conv 3-D": lambda: conv(3),
    "tokens": tokens,
    "channels last": channels_last,
    "dense": dense,
}


def feeds(
    model: Model, names: list[str], rows: int, keep: float | np.ndarray, substitute: object = None
) -> dict[str, np.ndarray]:
    fed = {}
    for name in names:
        layer = units.layer(model, name)
        fed[mask_input(name)] = np.broadcast_to(np.asarray(keep, F), (rows, layer.units))
        values = np.zeros(layer.units, F) if substitute is None else substitute
        values = np.asarray(values, F)
        per_unit = values.shape == (layer.units,)
        fed[substitute_input(name)] = (
            values.reshape(broadcast_shape(layer)) if per_unit else values[None]
        )
    return fed


def internal(model: Model, name: str, x: np.ndarray) -> np.ndarray:
    copy = model.rewritten(
        lambda m: m.graph.outputs.append(
            next(v for n in m.graph for v in n.outputs if v.name == name)
        )
    )
    return run(copy, x=x)[name]


def behind(model: Model, name: str, value: np.ndarray, x: np.ndarray) -> np.ndarray:
    """y of the model in which the tensor ``name`` is the constant ``value``, edited by hand."""

    def edit(copy: object) -> None:
        graph = copy.graph  # type: ignore[attr-defined]
        import onnx_ir as ir

        old = next(v for n in graph for v in n.outputs if v.name == name)
        tensor = ir.tensor(value, name="by_hand")
        new = ir.Value(
            name="by_hand",
            shape=ir.Shape(value.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        graph.register_initializer(new)
        for user, position in list(old.uses()):
            user.replace_input_with(position, new)

    return run(model.rewritten(edit), x=x)["y"]


@pytest.mark.parametrize("kind", MODELS)
def test_nothing_masked_is_the_model_exactly(kind: str) -> None:
    model, x = MODELS[kind]()
    changed = masked(model, [units.layer(model, "r")])
    found = evaluate(changed, {"x": x, **feeds(model, ["r"], 5, 1.0, normal(9, 3))})
    np.testing.assert_array_equal(found["y"], run(model, x=x)["y"])


@pytest.mark.parametrize("kind", MODELS)
def test_everything_masked_is_a_constant_by_hand(kind: str) -> None:
    model, x = MODELS[kind]()
    layer = units.layer(model, "r")
    whole = internal(model, "r", x)
    others = tuple(i for i in range(whole.ndim) if i != layer.axis)
    means = whole.mean(axis=others)
    found = evaluate(masked(model, [layer]), {"x": x, **feeds(model, ["r"], 5, 0.0, means)})
    constant = np.broadcast_to(means.reshape(broadcast_shape(layer)), whole.shape)
    np.testing.assert_allclose(found["y"], behind(model, "r", constant, x), rtol=1e-6)


@pytest.mark.parametrize("kind", MODELS)
def test_rows_have_their_own_masks_and_positions_their_own_substitutes(kind: str) -> None:
    model, x = MODELS[kind]()
    layer = units.layer(model, "r")
    keep = np.random.default_rng(5).integers(0, 2, (5, layer.units)).astype(F)
    whole = internal(model, "r", x)
    values = normal(6, *whole.shape[1:])
    found = evaluate(masked(model, [layer]), {"x": x, **feeds(model, ["r"], 5, keep, values)})
    spread = keep.reshape(5, *broadcast_shape(layer)[1:])
    by_hand = behind(model, "r", np.where(spread > 0, whole, values), x)
    np.testing.assert_allclose(found["y"], by_hand, rtol=1e-5, atol=1e-6)


def test_layers_in_series_and_a_residual_block() -> None:
    model = net(
        "a = Conv(x, w)  r = Relu(a)  b = Conv(r, v)  s = Add(b, r)  y = GlobalAveragePool(s)",
        "(float[N,3,4,4] x) => (float[N,3,1,1] y)",
        w=normal(1, 3, 3, 1, 1),
        v=normal(2, 3, 3, 1, 1),
    )
    x, names = normal(3, 4, 3, 4, 4), ["r", "b", "s"]
    changed = masked(model, [units.layer(model, n) for n in names])
    fed = feeds(model, names, 4, 1.0)
    keep = np.array([1, 0, 1], F)
    fed[mask_input("r")] = np.tile(keep, (4, 1))
    fed[mask_input("b")] = np.tile(keep[::-1], (4, 1))
    fed[substitute_input("b")] = np.full((1, 3, 1, 1), 2, F)
    w, v = normal(1, 3, 3), normal(2, 3, 3)
    r = np.maximum(np.einsum("oi,nihw->nohw", w, x), 0) * keep[:, None, None]
    b = np.einsum("oi,nihw->nohw", v, r)
    b = np.where(keep[::-1, None, None] > 0, b, 2)
    expected = (b + r).mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(evaluate(changed, {"x": x, **fed})["y"], expected, rtol=1e-5)


def test_every_reader_gets_the_masked_tensor_in_subgraphs_too() -> None:
    model = net(
        """h = Gemm(x, w)  n = ReduceSum<keepdims = 0>(x)  p = Greater(n, zero)
        z = If(p) <then_branch = t () => (float[N,3] one) { one = Relu(h) },
                   else_branch = e () => (float[N,3] two) { q = Neg(h)  two = Identity(q) }>
        l = Loop(times, yes, z) <body = b (int64 i, bool c, float[N,3] s)
            => (bool d, float[N,3] o) { o = Add(s, h)  d = Identity(c) }>
        y = Add(l, h)""",
        "(float[N,4] x) => (float[N,3] y)",
        w=normal(1, 4, 3),
        zero=F(0),
        times=np.int64(2),
        yes=np.bool_(True),
    )
    for sign in (1, -1):
        x = sign * np.abs(normal(2, 5, 4))
        layer = units.layer(model, "h")
        keep = np.random.default_rng(3).integers(0, 2, (5, 3)).astype(F)
        found = evaluate(
            masked(model, [layer]), {"x": x, **feeds(model, ["h"], 5, keep, [1, 2, 3])}
        )
        h = np.where(keep > 0, x @ normal(1, 4, 3), np.array([1, 2, 3], F))
        z = np.maximum(h, 0) if sign > 0 else -h
        np.testing.assert_allclose(found["y"], z + 3 * h, rtol=1e-5)


def test_a_layer_that_is_an_output_keeps_its_name() -> None:
    model = net(
        "h = Gemm(x, w)  y = Relu(h)",
        "(float[N,4] x) => (float[N,3] h, float[N,3] y)",
        w=normal(1, 4, 3),
    )
    x = normal(2, 5, 4)
    changed = masked(model, [units.layer(model, "h")])
    found = evaluate(changed, {"x": x, **feeds(model, ["h"], 5, 0.0, [1, -2, 3])})
    assert list(found) == ["h", "y"]
    np.testing.assert_array_equal(found["h"], np.tile(np.array([1, -2, 3], F), (5, 1)))
    np.testing.assert_array_equal(found["y"], np.tile(np.array([1, 0, 3], F), (5, 1)))


@pytest.mark.parametrize("kind", ["float16", "double"])
def test_masks_are_float32_whatever_the_layer_is(kind: str) -> None:
    dtype = np.float16 if kind == "float16" else np.float64
    model = net(
        "h = Gemm(x, w)  y = Relu(h)",
        f"({kind}[N,4] x) => ({kind}[N,3] y)",
        w=normal(1, 4, 3, dtype=dtype),
    )
    x = normal(2, 2, 4, dtype=dtype)
    changed = masked(model, [units.layer(model, "h")])
    keep = np.array([[1, 1, 1], [0, 1, 0]], F)
    found = evaluate(changed, {"x": x, **feeds(model, ["h"], 2, keep, [1, 2, 3])})["y"]
    plain = run(model, x=x)["y"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[0], plain[0])
    np.testing.assert_array_equal(found[1], [1, plain[1, 1], 3])


def test_a_graph_input_as_layer() -> None:
    model = net("y = Relu(x)", "(float[N,3] x) => (float[N,3] y)")
    changed = masked(model, [units.layer(model, "x")])
    x = np.abs(normal(1, 2, 3))
    keep = np.array([[1, 0, 1], [0, 0, 1]], F)
    found = evaluate(changed, {"x": x, **feeds(model, ["x"], 2, keep)})["y"]
    np.testing.assert_allclose(found, x * keep)


def test_names_of_ours_and_odd_names_do_not_collide() -> None:
    odd = "läyer: 1/x y"
    model = net(
        "h = Gemm(x, w)  q = Relu(h)  y = Gemm(q, v)",
        "(float[N,4] x) => (float[N,2] y)",
        w=normal(1, 4, 3),
        v=normal(2, 3, 2),
    )

    def rename(copy: object) -> None:
        for node in copy.graph:  # type: ignore[attr-defined]
            for value in node.outputs:
                if value.name == "h":
                    value.name = mask_input(odd)
                elif value.name == "q":
                    value.name = odd

    renamed = model.rewritten(rename)
    x = normal(3, 5, 4)
    changed = masked(renamed, [units.layer(renamed, odd)])
    found = evaluate(changed, {"x": x, **feeds(renamed, [odd], 5, 0.0, [1, 2, 3])})
    expected = np.tile(np.array([1, 2, 3], F) @ normal(2, 3, 2), (5, 1))
    np.testing.assert_allclose(found["y"], expected, rtol=1e-5)
    assert [v.name for v in renamed.graph.inputs] == ["x"], "the model itself must not change"


def test_a_weight_or_an_input_with_a_name_that_we_need() -> None:
    odd = net("h = Gemm(x, w)  y = Relu(h)", "(float[N,3] x) => (float[N,3] y)", w=normal(1, 3, 3))

    def rename(copy: object) -> None:
        copy.graph.inputs[0].name = mask_input("h")  # type: ignore[attr-defined]

    renamed = odd.rewritten(rename)
    with pytest.raises(InvalidModel, match="has a tensor called 'mho/mask/h'"):
        masked(renamed, [units.layer(renamed, "h")])
