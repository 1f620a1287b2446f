"""Removed for good equals removed by a mask, sample by sample; and what it costs in nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from graph.nets import evaluate, net, normal, run
from mho.errors import InvalidOption, UnknownLayer
from mho.graph import hold, units
from mho.graph.edit import Edited, Removal, edited
from mho.graph.mask import broadcast_shape, mask_input, masked, substitute_input
from mho.graph.model import Model

F = np.float32
Removed = Mapping[str, Sequence[int]]


def by_mask(
    model: Model, removed: Removed, constants: Mapping[str, np.ndarray], feeds: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """All outputs of the masked model, the masks the same for every row."""
    layers = [units.layer(model, name) for name in removed]
    rows = len(next(iter(feeds.values())))
    fed = dict(feeds)
    for layer in layers:
        keep = np.ones((rows, layer.units), F)
        keep[:, list(removed[layer.name])] = 0
        values = np.asarray(constants[layer.name], F)
        fed[mask_input(layer.name)] = keep
        fed[substitute_input(layer.name)] = (
            values.reshape(broadcast_shape(layer)) if values.ndim == 1 else values[None]
        )
    return evaluate(masked(model, layers), fed)


def for_good(
    model: Model, removed: Removed, constants: Mapping[str, np.ndarray], **more: Any
) -> Edited:
    removals = [
        Removal(units.layer(model, name), tuple(which), np.asarray(constants[name], np.float64))
        for name, which in removed.items()
    ]
    return edited(model, removals, **more)


def check(
    model: Model,
    removed: Removed,
    constants: Mapping[str, Any],
    *,
    tolerance: float = 1e-5,
    folded: bool = True,
    **feeds: Any,
) -> Edited:
    """The edited model agrees with the masked one, and has as many nodes as it should."""
    found = for_good(model, removed, constants)
    assert [bool(entry.node) for entry in found.layers] == [not folded] * len(removed), found.layers
    assert all(bool(entry.why) == bool(entry.node) for entry in found.layers)
    nodes = [node.op_type for node in model.graph]
    added = [] if folded else ["Where"] * len(removed)
    assert sorted(node.op_type for node in found.model.graph) == sorted(nodes + added)
    assert [v.name for v in found.model.graph.inputs] == [v.name for v in model.graph.inputs]
    wanted = by_mask(model, removed, constants, feeds)
    given = evaluate(found.model, feeds)
    assert list(given) == [v.name for v in model.graph.outputs]
    plain = evaluate(model, feeds)
    for name, array in given.items():
        assert array.dtype == plain[name].dtype
        scale = float(np.abs(wanted[name]).max())
        np.testing.assert_allclose(array, wanted[name], rtol=0, atol=tolerance * scale)
    assert any(
        np.abs(given[name] - plain[name]).max() > 10 * tolerance * np.abs(plain[name]).max()
        for name in given
    ), "the removal must matter, or the test proves nothing"
    return found


ACTIVATIONS = {
    "Relu": ("r = Relu(h)", 0.4, 0.0),
    "LeakyRelu": ("r = LeakyRelu<alpha = 0.1>(h)", 0.3, -0.2),
    "PRelu": ("r = PRelu(h, slope)", 0.3, -0.2),
    "Elu": ("r = Elu(h)", 0.5, -0.7),
    "Selu": ("r = Selu(h)", 0.5, -0.7),
    "Celu": ("r = Celu<alpha = 2.0>(h)", 0.5, -0.7),
    "Sigmoid": ("r = Sigmoid(h)", 0.3, 0.97),
    "HardSigmoid": ("r = HardSigmoid(h)", 0.3, 1.0),
    "Tanh": ("r = Tanh(h)", 0.3, -0.8),
    "Softplus": ("r = Softplus(h)", 0.3, 2.5),
    "Softsign": ("r = Softsign(h)", 0.3, -0.8),
    "Gelu": ("r = Gelu(h)", 0.4, -0.15),
    "Gelu by tanh": ('r = Gelu<approximate = "tanh">(h)', 0.4, -0.15),
    "HardSwish": ("r = HardSwish(h)", 0.4, -0.3),
    "Mish": ("r = Mish(h)", 0.4, -0.25),
    "Clip": ("r = Clip(h, zero, six)", 0.4, 6.0),
    "ThresholdedRelu": ("r = ThresholdedRelu<alpha = 1.0>(h)", 1.5, 0.0),
    "Max": ("r = Max(h, zero)", 0.4, 0.0),
    "SiLU": ("g = Sigmoid(h)  r = Mul(h, g)", 0.4, -0.2),
    "HardSwish spelled": (
        "a = Add(h, three)  k = Clip(a, zero, six)  m = Mul(h, k)  r = Div(m, six)",
        0.4,
        -0.3,
    ),
    "Gelu spelled": (
        "a = Div(h, root)  e = Erf(a)  s = Add(e, one)  m = Mul(h, s)  r = Mul(m, half)",
        0.4,
        -0.15,
    ),
    "Sigmoid and a scale": ("g = Sigmoid(h)  r = Mul(g, six)", 4.0, 0.5),
    "Exp": ("r = Exp(h)", 0.3, 2.0),
    "Dropout": ("d = Dropout(h)  r = Relu(d)", 0.4, 0.0),
    "none": ("r = Identity(h)", 0.4, -3.0),
}
CONSTANTS = {
    "slope": np.full((3, 1, 1), 0.2, F),
    "zero": F(0),
    "one": F(1),
    "half": F(0.5),
    "three": F(3),
    "six": F(6),
    "root": F(np.sqrt(2)),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_a_padded_convolution_through_every_activation(kind: str) -> None:
    text, first, second = ACTIVATIONS[kind]
    used = {name: value for name, value in CONSTANTS.items() if name in text}
    model = net(
        f"""h = Conv<pads = [1, 1, 1, 1]>(x, w, b)  {text}
        o = Conv<pads = [1, 1, 1, 1]>(r, v)  y = GlobalAveragePool(o)""",
        "(float[N,2,5,5] x) => (float[N,4,1,1] y)",
        opset=20,
        w=normal(1, 3, 2, 3, 3),
        b=normal(2, 3),
        v=normal(3, 4, 3, 3, 3),
        **used,
    )
    found = check(model, {"r": [0, 2]}, {"r": [first, 9.0, second]}, x=normal(4, 3, 2, 5, 5))
    assert found.layers[0].changed == ("Conv 'Conv'",)
    weights = found.model.graph.initializers
    assert not weights["w"].const_value.numpy()[[0, 2]].any()  # type: ignore[union-attr]
    np.testing.assert_array_equal(
        weights["w"].const_value.numpy()[1],  # type: ignore[union-attr]
        normal(1, 3, 2, 3, 3)[1],
    )


@pytest.mark.parametrize("kind", ["Relu", "Sigmoid", "Softplus", "Exp", "HardSigmoid", "Clip"])
def test_zero_where_the_activation_only_tends_to_it(kind: str) -> None:
    text = ACTIVATIONS[kind][0]
    used = {name: value for name, value in CONSTANTS.items() if name in text}
    model = net(
        f"h = Gemm(x, w)  {text}  y = Gemm(r, v)",
        "(float[N,4] x) => (float[N,2] y)",
        opset=20,
        w=normal(1, 4, 3),
        v=normal(2, 3, 2),
        **used,
    )
    check(model, {"r": [1]}, {"r": [0.0] * 3}, x=normal(3, 5, 4))


@pytest.mark.parametrize(
    ("kind", "value"), [("Relu", -1.0), ("Sigmoid", 1.5), ("Tanh", -2.0), ("ThresholdedRelu", 0.5)]
)
def test_a_constant_beyond_the_activation_costs_a_node(kind: str, value: float) -> None:
    model = net(
        f"h = Gemm(x, w)  {ACTIVATIONS[kind][0]}  y = Gemm(r, v)",
        "(float[N,4] x) => (float[N,2] y)",
        opset=20,
        w=normal(1, 4, 3),
        v=normal(2, 3, 2),
    )
    found = check(model, {"r": [1]}, {"r": [value] * 3}, folded=False, x=normal(3, 5, 4))
    assert found.layers[0].why == f"{kind} gives {value:g} (unit 1) for no input"


CONVOLUTIONS = {
    "no bias": ("Conv(x, w)", (6, 4, 3, 3)),
    "grouped": ("Conv<group = 2, pads = [1, 1, 1, 1]>(x, w, b)", (6, 2, 3, 3)),
    "depthwise": ("Conv<group = 4, strides = [2, 2]>(x, w)", (8, 1, 3, 3)),
    "dilated": ("Conv<dilations = [2, 2]>(x, w, b)", (6, 4, 3, 3)),
    "same": ('Conv<auto_pad = "SAME_UPPER">(x, w, b)', (6, 4, 3, 3)),
    "transposed": ("ConvTranspose<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w, b)", (4, 6, 3, 3)),
    "transposed, grouped": (
        "ConvTranspose<group = 2, output_padding = [1, 1], strides = [2, 2]>(x, w)",
        (4, 3, 3, 3),
    ),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolutions_of_every_form(kind: str) -> None:
    text, kernel = CONVOLUTIONS[kind]
    bias = {"b": normal(2, 6)} if ", b)" in text else {}
    count = 8 if kind == "depthwise" else 6
    model = net(
        f"h = {text}  r = Relu(h)  o = Conv<pads = [1, 1, 1, 1]>(r, v)  y = GlobalAveragePool(o)",
        "(float[N,4,7,7] x) => (float[N,2,1,1] y)",
        w=normal(1, *kernel),
        v=normal(3, 2, count, 3, 3),
        **bias,
    )
    values = np.linspace(0.1, 2, count)
    check(model, {"r": [0, 3, 5]}, {"r": values}, x=normal(4, 3, 4, 7, 7))


def test_one_and_three_dimensions_of_positions() -> None:
    for shape, kernel in (((9,), (3,)), ((4, 5, 4), (2, 2, 2))):
        dims = ",".join(map(str, shape))
        model = net(
            "h = Conv(x, w)  r = Relu(h)  y = GlobalMaxPool(r)",
            f"(float[N,2,{dims}] x) => (float[N,3,{','.join('1' * len(shape))}] y)",
            w=normal(1, 3, 2, *kernel),
        )
        check(model, {"r": [1]}, {"r": [0.5] * 3}, x=normal(2, 3, 2, *shape))


def normalised(scale: np.ndarray) -> Model:
    return net(
        """c = Conv<pads = [1, 1, 1, 1]>(x, w)  h = BatchNormalization(c, s, b, m, v)
        r = Relu(h)  o = Conv<pads = [1, 1, 1, 1]>(r, u)  y = GlobalAveragePool(o)""",
        "(float[N,2,5,5] x) => (float[N,4,1,1] y)",
        w=normal(1, 3, 2, 3, 3),
        s=scale,
        b=normal(3, 3),
        m=normal(4, 3),
        v=np.abs(normal(5, 3)) + F(0.1),
        u=normal(6, 4, 3, 3, 3),
    )


@pytest.mark.parametrize("scale", [normal(2, 3), np.zeros(3, F)])
def test_batch_normalisation(scale: np.ndarray) -> None:
    model = normalised(scale)
    found = check(model, {"r": [0, 1]}, {"r": [0.7, 0.0, 1.0]}, x=normal(7, 3, 2, 5, 5))
    assert found.layers[0].changed == ("BatchNormalization 'BatchNormalization'",)
    for name in ("h", "c"):
        if scale.any() or name == "h":
            check(model, {name: [2]}, {name: [0.7, 0.0, -9.0]}, x=normal(7, 3, 2, 5, 5))


def test_instance_normalisation() -> None:
    model = net(
        "c = Conv(x, w)  h = InstanceNormalization(c, s, b)  r = Relu(h)  y = GlobalMaxPool(r)",
        "(float[N,2,5,5] x) => (float[N,4,1,1] y)",
        w=normal(1, 4, 2, 3, 3),
        s=normal(2, 4),
        b=normal(3, 4),
    )
    check(model, {"r": [1, 2]}, {"r": [0.5, 0.25, 3, 1]}, x=normal(4, 3, 2, 5, 5))


def test_tokens_with_layer_normalisation_and_without_a_bias() -> None:
    model = net(
        """n = LayerNormalization(x, s)  h = MatMul(n, w)  a = Add(h, b)  r = Gelu(a)
        m = MatMul(r, v)  t = Relu(m)  y = MatMul(t, u)""",
        "(float[N,6,4] x) => (float[N,6,2] y)",
        opset=20,
        s=normal(1, 4),
        w=normal(2, 4, 5),
        b=normal(3, 5),
        v=normal(4, 5, 3),
        u=normal(5, 3, 2),
    )
    x = normal(6, 3, 6, 4)
    check(model, {"n": [1]}, {"n": [0.5] * 4}, x=x)
    found = check(model, {"r": [1, 4]}, {"r": [0.5, -0.1, 0, 0, 2.0]}, x=x)
    assert found.layers[0].changed == ("Add 'Add'", "MatMul 'MatMul'")
    check(model, {"t": [0, 1, 2]}, {"t": [0.0] * 3}, x=x)
    found = check(model, {"t": [0]}, {"t": [0.5] * 3}, folded=False, x=x)
    assert "has no bias, so that a unit can be made 0 alone" in found.layers[0].why


def test_products_with_matrices_through_what_moves_elements() -> None:
    """A bias behind a reshape, a scalar bias that grows, one that is subtracted from."""
    model = net(
        """f = Reshape(x, flat)  h = MatMul(f, w)  t = Reshape(h, tokens)  a = Add(t, b)
        r = Tanh(a)  m = MatMul(r, v)  c = Sub(one, m)  q = Sigmoid(c)  y = MatMul(q, u)""",
        "(float[N,6,4] x) => (float[N,6,2] y)",
        flat=np.array([-1, 4]),
        tokens=np.array([-1, 6, 5]),
        w=normal(2, 4, 5),
        b=normal(3, 5),
        v=normal(4, 5, 3),
        u=normal(5, 3, 2),
        one=F(1),
    )
    x = normal(6, 3, 6, 4)
    check(model, {"r": [1, 4]}, {"r": [0.5, -0.1, 0, 0, 0.9]}, x=x)
    found = check(model, {"q": [0]}, {"q": [0.2] * 3}, x=x)
    one = found.model.graph.initializers["one.1"].const_value
    assert one is not None
    assert one.numpy().shape == (3,)


GEMMS = {
    "plain": ("Gemm(x, w)", (4, 3), None),
    "transposed": ("Gemm<transB = 1>(x, w, b)", (3, 4), (3,)),
    "scaled": ("Gemm<alpha = 0.5, beta = 2.0>(x, w, b)", (4, 3), (3,)),
    "bias in a row": ("Gemm(x, w, b)", (4, 3), (1, 3)),
    "one bias": ("Gemm(x, w, b)", (4, 3), ()),
    "no beta": ("Gemm<beta = 0.0>(x, w, b)", (4, 3), (3,)),
}


@pytest.mark.parametrize("kind", GEMMS)
def test_dense_layers(kind: str) -> None:
    text, matrix, bias = GEMMS[kind]
    model = net(
        f"h = {text}  r = Elu(h)  y = Gemm(r, v)",
        "(float[N,4] x) => (float[N,2] y)",
        w=normal(1, *matrix),
        v=normal(2, 3, 2),
        **({} if bias is None else {"b": normal(3, *bias)}),
    )
    check(model, {"r": [0, 2]}, {"r": [0.5, 0, -0.5]}, x=normal(4, 5, 4))
    check(model, {"h": [1]}, {"h": [0.5, -2, -0.5]}, x=normal(4, 5, 4))


def test_a_bias_for_every_row_of_a_fixed_batch() -> None:
    model = net(
        "h = Gemm(x, w, b)  y = Relu(h)",
        "(float[5,4] x) => (float[5,3] y)",
        w=normal(1, 4, 3),
        b=normal(2, 5, 1),
    )
    found = edited(model, [Removal(units.layer(model, "y"), (1,), np.full(3, 0.5))])
    given = run(found.model, x=normal(3, 5, 4))["y"]
    expected = run(model, x=normal(3, 5, 4))["y"]
    expected[:, 1] = 0.5
    np.testing.assert_allclose(given, expected, rtol=1e-6)


def test_a_scale_and_a_shift_for_each_unit_serve_whatever_is_above() -> None:
    model = net(
        """c = Conv(x, w)  p = Softmax<axis = 1>(c)  g = Mul(p, scale)  a = Add(g, shift)
        r = Relu(a)  y = GlobalAveragePool(r)""",
        "(float[N,2,5,5] x) => (float[N,3,1,1] y)",
        w=normal(1, 3, 2, 3, 3),
        scale=normal(2, 3, 1, 1),
        shift=normal(3, 1, 3, 1, 1),
    )
    found = check(model, {"r": [2]}, {"r": [0, 0, 0.4]}, x=normal(4, 3, 2, 5, 5))
    assert found.layers[0].changed == ("Add 'Add'", "Mul 'Mul'")


def test_an_embedding() -> None:
    model = net(
        "r = Gather(table, t)  m = ReduceMean<keepdims = 0>(r, one)  y = MatMul(m, v)",
        "(int64[N,6] t) => (float[N,2] y)",
        table=normal(1, 9, 4),
        v=normal(2, 4, 2),
        one=np.array([1]),
    )
    tokens = np.random.default_rng(3).integers(0, 9, (5, 6))
    found = check(model, {"r": [3]}, {"r": [0, 0, 0, 0.7]}, t=tokens)
    assert found.layers[0].changed == ("Gather 'Gather'",)


def branches(end: str, *, outputs: str = "float[N,2,1,1] y") -> Model:
    return net(
        f"""p = Relu(x)  a = Conv(p, w)  ra = Relu(a)  b = Conv<pads = [1, 1, 1, 1]>(p, v)
        rb = Sigmoid(b)  {end}  o = Conv<pads = [1, 1, 1, 1]>(c, u)  y = GlobalAveragePool(o)""",
        f"(float[N,2,5,5] x) => ({outputs})",
        w=normal(1, 3, 2, 1, 1),
        v=normal(2, 4, 2, 3, 3),
        u=normal(3, 2, 7, 3, 3),
    )


def test_concat_is_traced_to_its_branches() -> None:
    model = branches("c = Concat<axis = 1>(ra, rb)")
    x = normal(4, 3, 2, 5, 5)
    constants = [0.5, 0, 0, 0.1, 0.2, 0.3, 0.4]
    found = check(model, {"c": [0, 4, 6]}, {"c": constants}, x=x)
    assert found.layers[0].changed == ("Conv 'Conv'", "Conv 'Conv_1'")
    both = check(model, {"rb": [1], "c": [0, 5]}, {"c": constants, "rb": [0.9] * 4}, x=x)
    assert [entry.layer for entry in both.layers] == ["rb", "c"]
    twice = check(model, {"rb": [1], "c": [4]}, {"c": constants, "rb": [0.9] * 4}, x=x)
    assert len(twice.layers) == 2, "what is removed twice is what the later layer makes of it"


def test_concat_of_a_branch_that_something_else_reads() -> None:
    model = branches(
        "c = Concat<axis = 1>(ra, rb)  e = GlobalMaxPool(rb)",
        outputs="float[N,2,1,1] y, float[N,4,1,1] e",
    )
    x, constants = normal(4, 3, 2, 5, 5), np.linspace(0.1, 0.7, 7)
    check(model, {"c": [0, 2]}, {"c": constants}, x=x)
    found = check(model, {"c": [0, 4]}, {"c": constants}, folded=False, x=x)
    assert "'rb' above it is read by GlobalMaxPool 'GlobalMaxPool' too" in found.layers[0].why


def test_one_branch_twice() -> None:
    model = net(
        "h = Gemm(x, w)  r = Relu(h)  c = Concat<axis = 1>(r, r)  y = Gemm(c, v)",
        "(float[N,4] x) => (float[N,2] y)",
        w=normal(1, 4, 3),
        v=normal(2, 6, 2),
    )
    found = check(model, {"c": [1]}, {"c": [0.5] * 6}, folded=False, x=normal(3, 5, 4))
    assert "'r' above it is read 2 times" in found.layers[0].why


def test_a_residual_sum_and_a_projected_one() -> None:
    model = net(
        """a = Conv(x, w)  r = Relu(a)  b = Conv<pads = [1, 1, 1, 1]>(r, v)  s = Add(b, r)
        t = Relu(s)  d = Conv(t, u)  e = Conv(t, q)  n = BatchNormalization(e, sc, sc, sc, sc)
        j = Add(d, n)  z = Relu(j)  y = GlobalAveragePool(z)""",
        "(float[N,2,5,5] x) => (float[N,3,1,1] y)",
        w=normal(1, 3, 2, 1, 1),
        v=normal(2, 3, 3, 3, 3),
        u=normal(3, 3, 3, 1, 1),
        q=normal(4, 3, 3, 1, 1),
        sc=np.abs(normal(5, 3)) + F(0.5),
    )
    x = normal(6, 3, 2, 5, 5)
    found = check(model, {"t": [1]}, {"t": [0.1, 0.6, 0.3]}, folded=False, x=x)
    assert "is read by Conv" in found.layers[0].why
    found = check(model, {"z": [0, 1]}, {"z": [0.5, 0.6, 0.3]}, x=x)
    assert set(found.layers[0].changed) == {
        "Conv 'Conv_2'",
        "BatchNormalization 'BatchNormalization'",
    }


def test_a_gate_is_held_with_what_it_gates() -> None:
    model = net(
        """a = Conv(x, w)  p, g = Split<axis = 1, num_outputs = 2>(a)  s = Sigmoid(g)
        r = Mul(p, s)  y = GlobalAveragePool(r)""",
        "(float[N,2,5,5] x) => (float[N,3,1,1] y)",
        w=normal(1, 6, 2, 3, 3),
    )
    x = normal(2, 3, 2, 5, 5)
    found = check(model, {"r": [0, 2]}, {"r": [0.7, 0, -0.4]}, x=x)
    assert found.layers[0].changed == ("Conv 'Conv'",)
    check(model, {"g": [1]}, {"g": [0.7, -2, -0.4]}, x=x)


def test_squeeze_and_excitation_reads_what_it_gates() -> None:
    model = net(
        """a = Conv(x, w)  r = Relu(a)  p = GlobalAveragePool(r)  g = Conv(p, v)  s = Sigmoid(g)
        q = Mul(r, s)  y = GlobalAveragePool(q)""",
        "(float[N,2,5,5] x) => (float[N,3,1,1] y)",
        w=normal(1, 3, 2, 3, 3),
        v=normal(2, 3, 3, 1, 1),
    )
    x = normal(3, 3, 2, 5, 5)
    check(model, {"r": [0]}, {"r": [0.7, 0, 0]}, x=x)
    check(model, {"q": [0]}, {"q": [0.7, 0, 0]}, folded=False, x=x)


def test_pools_channels_last_and_averages_leave_a_constant_what_it_is() -> None:
    model = net(
        """c = Conv<pads = [1, 1, 1, 1]>(x, w)  t = Transpose<perm = [0, 2, 3, 1]>(c)  r = Relu(t)
        b = Transpose<perm = [0, 3, 1, 2]>(r)
        p = MaxPool<kernel_shape = [2, 2], pads = [1, 1, 0, 0]>(b)
        a = AveragePool<kernel_shape = [2, 2], pads = [1, 1, 0, 0]>(p)
        m = ReduceMean<keepdims = 0>(a, axes)  y = Gemm(m, v)""",
        "(float[N,2,5,5] x) => (float[N,2] y)",
        w=normal(1, 3, 2, 3, 3),
        v=normal(2, 3, 2),
        axes=np.array([2, 3]),
    )
    for name in ("r", "b", "p", "a", "m"):
        check(model, {name: [0, 2]}, {name: [0.5, 0, 0.25]}, x=normal(3, 4, 2, 5, 5))
    padded = net(
        """c = Conv(x, w)  r = Relu(c)
        p = AveragePool<kernel_shape = [2, 2], pads = [1, 1, 0, 0], count_include_pad = 1>(r)
        y = GlobalMaxPool(p)""",
        "(float[N,2,5,5] x) => (float[N,3,1,1] y)",
        w=normal(1, 3, 2, 3, 3),
    )
    found = check(padded, {"p": [1]}, {"p": [0.5] * 3}, folded=False, x=normal(3, 4, 2, 5, 5))
    assert "averages zeros in" in found.layers[0].why


def test_weights_that_nodes_share_are_copied() -> None:
    model = net(
        "h = Gemm(x, w, b)  r = Relu(h)  i = Gemm(r, w, b)  s = Relu(i)  y = Gemm(s, w, b)",
        "(float[N,4] x) => (float[N,4] y)",
        w=normal(1, 4, 4),
        b=normal(2, 4),
    )
    found = check(model, {"s": [1]}, {"s": [0.5] * 4}, x=normal(3, 5, 4))
    names = {value.name for node in found.model.graph for value in node.inputs}
    assert {"w", "b", "w.1", "b.2"} >= names & {"w", "b", "w.1", "b.2", "b.1"}
    check(model, {"r": [0], "s": [1]}, {"r": [0.5] * 4, "s": [0.25] * 4}, x=normal(3, 5, 4))


def test_a_layer_and_what_is_above_it() -> None:
    """The same and other units of both; the masked model reads the later constant."""
    model = net(
        "h = Gemm(x, w)  r = Relu(h)  y = Gemm(r, v)",
        "(float[N,4] x) => (float[N,2] y)",
        w=normal(1, 4, 3),
        v=normal(2, 3, 2),
    )
    x = normal(3, 5, 4)
    for above in ([0], [1], [0, 1]):
        check(model, {"h": above, "r": [1]}, {"h": [1, 2, 3], "r": [0.5] * 3}, x=x)
    mixed = for_good(model, {"h": [1], "r": [1]}, {"h": [1, 2, 3], "r": [0.5] * 3}, by_node=["h"])
    wanted = by_mask(model, {"h": [1], "r": [1]}, {"h": [1, 2, 3], "r": [0.5] * 3}, {"x": x})
    np.testing.assert_allclose(evaluate(mixed.model, {"x": x})["y"], wanted["y"], rtol=1e-5)


def test_an_edited_model_is_edited_again() -> None:
    """Once more at the same layer, by nodes both times."""
    model = net(
        "h = Gemm(x, w)  r = Relu(h)  y = Gemm(r, v)",
        "(float[N,4] x) => (float[N,2] y)",
        w=normal(1, 4, 3),
        v=normal(2, 3, 2),
    )
    x = normal(3, 5, 4)
    once = for_good(model, {"r": [0]}, {"r": [-1.0] * 3}).model
    twice = for_good(once, {"r": [0, 2]}, {"r": [-2.0] * 3})
    assert [node.op_type for node in twice.model.graph].count("Where") == 2
    wanted = by_mask(model, {"r": [0, 2]}, {"r": [-2.0] * 3}, {"x": x})
    np.testing.assert_allclose(evaluate(twice.model, {"x": x})["y"], wanted["y"], rtol=1e-5)
    check(once, {"r": [1]}, {"r": [0.5] * 3}, x=x)


def test_constants_that_differ_between_positions() -> None:
    model = net(
        "h = Conv(x, w)  r = Relu(h)  y = Conv(r, v)",
        "(float[N,2,4,4] x) => (float[N,2,2,2] y)",
        w=normal(1, 3, 2, 2, 2),
        v=normal(2, 2, 3, 2, 2),
    )
    x, constants = normal(3, 4, 2, 4, 4), np.abs(normal(4, 3, 3, 3))
    found = check(model, {"r": [0, 2]}, {"r": constants}, folded=False, x=x)
    assert found.layers[0].why == "the substitute differs between positions"
    alike = np.broadcast_to(np.array([0.5, 1, 2]).reshape(3, 1, 1), (3, 3, 3))
    check(model, {"r": [0, 2]}, {"r": alike}, x=x)


def test_a_layer_that_is_an_output_or_an_input() -> None:
    model = net(
        "h = Gemm(x, w)  y = Relu(h)",
        "(float[N,4] x) => (float[N,3] h, float[N,3] y)",
        w=normal(1, 4, 3),
    )
    x = normal(2, 5, 4)
    check(model, {"h": [1]}, {"h": [1, -2, 3]}, x=x)
    found = check(model, {"y": [1]}, {"y": [1, 2, 3]}, folded=False, x=x)
    assert "'h' above it is an output of the model" in found.layers[0].why
    found = check(model, {"x": [1]}, {"x": [1, 2, 3, 4]}, folded=False, x=x)
    assert found.layers[0].why == "'x' is no result of weights"


def test_subgraphs_read_the_constant_too() -> None:
    model = net(
        """h = Gemm(x, w)  r = Relu(h)  n = ReduceSum<keepdims = 0>(x)  p = Greater(n, zero)
        z = If(p) <then_branch = t () => (float[N,3] one) { one = Exp(r) },
                   else_branch = e () => (float[N,3] two) { q = Neg(r)  two = Identity(q) }>
        y = Mul(z, r)""",
        "(float[N,4] x) => (float[N,3] y)",
        w=normal(1, 4, 3),
        zero=F(0),
    )
    for sign in (1, -1):
        x = sign * np.abs(normal(2, 5, 4))
        check(model, {"r": [0, 2]}, {"r": [0.5, 0, 2]}, x=x)
        check(model, {"r": [0, 2]}, {"r": [-0.5, 0, 2]}, folded=False, x=x)


@pytest.mark.parametrize("kind", ["float16", "double"])
@pytest.mark.parametrize("text", ["r = Relu(h)", "r = Sigmoid(h)", "g = Sigmoid(h) r = Mul(g, h)"])
def test_other_precisions(kind: str, text: str) -> None:
    dtype = np.float16 if kind == "float16" else np.float64
    model = net(
        f"h = Gemm(x, w)  {text}  y = Gemm(r, v)",
        f"({kind}[N,4] x) => ({kind}[N,2] y)",
        w=normal(1, 4, 3, dtype=dtype),
        v=normal(2, 3, 2, dtype=dtype),
    )
    found = check(
        model,
        {"r": [0, 1]},
        {"r": [0.75, 0.3, 0]},
        tolerance=4e-3 if dtype == np.float16 else 1e-6,
        x=normal(3, 5, 4, dtype=dtype),
    )
    assert found.model.graph.initializers["w"].const_value.numpy().dtype == dtype  # type: ignore[union-attr]
    beyond = {"r": np.array([-70.0, 0, 0])}
    check(model, {"r": [0]}, beyond, tolerance=4e-3, folded=False, x=normal(3, 5, 4, dtype=dtype))


def test_what_cannot_be_a_constant() -> None:
    model = net("h = Gemm(x, w)  y = Relu(h)", "(float16[N,4] x) => (float16[N,3] y)",
        w=normal(1, 4, 3, dtype=np.float16))  # fmt: skip
    with pytest.raises(InvalidOption, match="of layer 'y' is not finite as float16"):
        for_good(model, {"y": [0]}, {"y": np.array([1e6, 0, 0])})
    other = net(
        "h = Gemm(x, w)  z = Relu(h)", "(float[N,4] x) => (float[N,3] z)", w=normal(1, 4, 3)
    )
    with pytest.raises(UnknownLayer, match="has no tensor 'z'"):
        edited(model, [Removal(units.layer(other, "z"), (0,), np.zeros(3))])


def test_a_recurrent_layer_gets_a_node() -> None:
    model = net(
        "h = LSTM<hidden_size = 3>(x, w, r)  s = Squeeze(h, one)  y = ReduceMean(s, zero)",
        "(float[T,N,2] x) => (float[1,N,3] y)",
        w=normal(1, 1, 12, 2),
        r=normal(2, 1, 12, 3),
        one=np.array([1]),
        zero=np.array([0]),
    )
    layer = units.layer(model, "h")
    found = edited(model, [Removal(layer, (1,), np.full(3, 0.3))])
    assert found.layers[0].why == "LSTM 'LSTM' has no weights of a single unit"
    given = run(found.model, x=normal(3, 4, 5, 2))["y"]
    np.testing.assert_allclose(given[..., 1], 0.3, rtol=1e-6)


def test_the_model_itself_does_not_change_and_names_stay() -> None:
    model = net(
        "h = Gemm(x, w)  r = Relu(h)  y = Gemm(r, v)",
        "(float[N,4] x) => (float[N,2] y)",
        w=normal(1, 4, 3),
        v=normal(2, 3, 2),
    )
    before = run(model, x=normal(3, 5, 4))["y"]
    for value in (0.5, -0.5):
        found = for_good(model, {"r": [1]}, {"r": [value] * 3})
        np.testing.assert_array_equal(run(model, x=normal(3, 5, 4))["y"], before)
        inside = found.model.rewritten(lambda copy: copy.graph.outputs.append(
            next(v for node in copy.graph for v in node.outputs if v.name == "r")))  # fmt: skip
        np.testing.assert_allclose(run(inside, x=normal(3, 5, 4))["r"][:, 1], value)


def test_a_wrong_preimage_is_what_the_comparison_would_find(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The premise of the check at run time: a wrong number shows in the outputs."""
    monkeypatch.setattr(hold, "preimage", lambda function, wanted, stored: wanted + 1)
    model = net(
        "h = Gemm(x, w)  r = Sigmoid(h)  y = Gemm(r, v)",
        "(float[N,4] x) => (float[N,2] y)",
        w=normal(1, 4, 3),
        v=normal(2, 3, 2),
    )
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(model, {"r": [1]}, {"r": [0.3] * 3}, x=normal(3, 5, 4))
