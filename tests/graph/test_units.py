"""Layers and units: which there are, along which axis, and which of them play."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from graph.light import FOLDER
from mho.errors import UnknownLayer
from mho.graph.load import load
from mho.graph.model import Model
from mho.graph.units import (
    before_activation,
    last_with_positions,
    layer,
    layers,
    playing,
    same_units,
    select,
)

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
F = np.float32


def model_of(body: str, signature: str, folder: Path, **weights: np.ndarray) -> Model:
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]> g {signature} {{ {body} }}'
    )
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    path = folder / "model.onnx"
    onnx.save(model, path)
    return load(path)


def listed(model: Model) -> list[tuple[str, str, int, int]]:
    """(name, operator, units, axis)"""
    return [(entry.name, entry.op_type, entry.units, entry.axis) for entry in layers(model)]


def players(model: Model) -> list[str]:
    return [entry.name for entry in playing(model, layers(model))]


# name -> layers by operator, players
LIGHT: dict[str, tuple[dict[str, int], int]] = {
    "bvlc_alexnet": ({"Conv": 5, "Relu": 7, "Gemm": 3}, 7),
    "densenet121": ({"Conv": 121, "BatchNormalization": 121, "Relu": 121, "Concat": 58}, 120),
    "inception_v1": ({"Conv": 57, "Relu": 57, "Concat": 9, "Gemm": 1}, 57),
    "inception_v2": (
        {"Conv": 69, "BatchNormalization": 69, "Relu": 69, "Concat": 10, "Gemm": 1},
        69,
    ),
    "resnet50": ({"Conv": 53, "BatchNormalization": 53, "Relu": 49, "Sum": 16, "Gemm": 1}, 53),
    "shufflenet": (
        {"Conv": 49, "BatchNormalization": 49, "Relu": 33, "Concat": 3, "Sum": 13, "Gemm": 1},
        49,
    ),
    "squeezenet": ({"Conv": 26, "Relu": 26, "Concat": 8}, 25),
    "vgg19": ({"Conv": 16, "Relu": 18, "Gemm": 3}, 18),
    "zfnet512": ({"Conv": 5, "Relu": 7, "Gemm": 3}, 7),
}


@pytest.mark.parametrize("name", LIGHT)
def test_real_graphs(name: str) -> None:
    model = load(FOLDER / f"light_{name}.onnx")
    counts, playing_layers = LIGHT[name]
    assert Counter(op_type for _, op_type, _, _ in listed(model)) == counts
    assert len(players(model)) == playing_layers
    assert all(axis == 1 for _, _, _, axis in listed(model))


@pytest.mark.real_data
def test_squeezenet_has_2976_players() -> None:
    path = DATA / "squeezenet1.0.onnx"
    if not path.exists():
        pytest.skip("shared/data/squeezenet1.0.onnx is not there")
    model = load(path)
    assert sum(entry.units for entry in playing(model, layers(model))) == 2976
    assert layers(model)[0].shape == ("N", 96, 111, 111)


@pytest.mark.real_data
def test_the_text_cnn() -> None:
    path = DATA / "textcnn_mr.onnx"
    if not path.exists():
        pytest.skip("shared/data/textcnn_mr.onnx is not there")
    model = load(path)
    assert Counter(kind for _, kind, _, _ in listed(model)) == {
        "Conv": 4, "Relu": 5, "Concat": 1, "Gemm": 2,
    }  # fmt: skip
    assert sum(entry.units for entry in playing(model, layers(model))) == 4 * 64 + 10


# ---- what is listed -----------------------------------------------------------------------------

CONV = {"w": np.ones((4, 2, 3, 3), F)}
IMAGE = "(float[N,2,8,8] x) => (float[N,4,6,6] y)"


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions_of_every_rank(rank: int, tmp_path: Path) -> None:
    space = ",8" * rank
    model = model_of(
        "c = Conv(x, w)  y = Relu(c)",
        f"(float[N,2{space}] x) => (float[N,4{',6' * rank}] y)",
        tmp_path,
        w=np.ones((4, 2) + (3,) * rank, F),
    )
    assert listed(model) == [("c", "Conv", 4, 1), ("y", "Relu", 4, 1)]
    assert layers(model)[0].shape[2:] == (6,) * rank


def test_a_transposed_convolution(tmp_path: Path) -> None:
    model = model_of(
        "y = ConvTranspose(x, w)",
        "(float[N,2,8,8] x) => (float[N,4,10,10] y)",
        tmp_path,
        w=np.ones((2, 4, 3, 3), F),
    )
    assert listed(model) == [("y", "ConvTranspose", 4, 1)]


def test_a_product_and_its_bias_are_one_layer(tmp_path: Path) -> None:
    model = model_of(
        "m = MatMul(x, w)  b = Add(c, m)  y = Tanh(b)",
        "(float[N,6,3] x) => (float[N,6,5] y)",
        tmp_path,
        w=np.ones((3, 5), F),
        c=np.ones(5, F),
    )
    assert listed(model) == [("b", "MatMul", 5, 2), ("y", "Tanh", 5, 2)]


def test_a_product_without_a_bias(tmp_path: Path) -> None:
    model = model_of(
        "y = MatMul(x, w)", "(float[N,3] x) => (float[N,5] y)", tmp_path, w=np.ones((3, 5), F)
    )
    assert listed(model) == [("y", "MatMul", 5, 1)]


def test_a_product_of_activations_is_no_layer(tmp_path: Path) -> None:
    model = model_of(
        "t = Transpose<perm = [0,2,1]>(x)  s = MatMul(x, t)  p = Softmax(s)  y = MatMul(p, x)",
        "(float[N,4,3] x) => (float[N,4,3] y)",
        tmp_path,
    )
    assert listed(model) == []


def test_rows_of_tokens(tmp_path: Path) -> None:
    model = model_of(
        "r = Reshape(x, t)  m = Gemm(r, w)  y = Reshape(m, u)",
        "(float[2,4,3] x) => (float[2,4,5] y)",
        tmp_path,
        w=np.ones((3, 5), F),
        t=np.asarray([-1, 3]),
        u=np.asarray([2, 4, 5]),
    )
    (entry,) = layers(model)
    assert (entry.name, entry.units, entry.axis, entry.shape) == ("m", 5, 1, (8, 5))


def test_batch_normalisation_spelled_in_three_nodes(tmp_path: Path) -> None:
    model = model_of(
        "c = Conv(x, w)  b = BatchNormalization(c, s, s, s, s)  m = Mul(b, k)  a = Add(m, k) "
        "y = Relu(a)",
        IMAGE,
        tmp_path,
        **CONV,
        s=np.ones(4, F),
        k=np.ones((4, 1, 1), F),
    )
    assert listed(model) == [
        ("c", "Conv", 4, 1), ("a", "BatchNormalization", 4, 1), ("y", "Relu", 4, 1),
    ]  # fmt: skip


def test_layer_normalisation_spelled_out(tmp_path: Path) -> None:
    model = model_of(
        """m = MatMul(x, w)  a = ReduceMean(m, ax)  d = Sub(m, a)  q = Pow(d, two)
           v = ReduceMean(q, ax)  e = Add(v, eps)  s = Sqrt(e)  n = Div(d, s)
           g = Mul(n, k)  y = Add(g, k)""",
        "(float[N,6,3] x) => (float[N,6,5] y)",
        tmp_path,
        w=np.ones((3, 5), F),
        ax=np.asarray([-1]),
        two=np.asarray(2, F),
        eps=np.asarray(1e-5, F),
        k=np.ones(5, F),
    )
    assert listed(model) == [("m", "MatMul", 5, 2), ("y", "LayerNormalization", 5, 2)]


def test_joins_and_what_follows_them(tmp_path: Path) -> None:
    model = model_of(
        "a = Conv(x, w)  b = Conv(x, w)  s = Add(a, b)  r = Relu(s)  y = Concat<axis = 1>(r, a)",
        "(float[N,2,8,8] x) => (float[N,8,6,6] y)",
        tmp_path,
        **CONV,
    )
    assert listed(model)[2:] == [("s", "Add", 4, 1), ("r", "Relu", 4, 1), ("y", "Concat", 8, 1)]


def test_channels_last(tmp_path: Path) -> None:
    model = model_of(
        """t = Transpose<perm = [0,3,1,2]>(x)  c = Conv(t, w)  n = Transpose<perm = [0,2,3,1]>(c)
           a = Add(n, b)  y = Relu(a)""",
        "(float[N,8,8,2] x) => (float[N,6,6,4] y)",
        tmp_path,
        **CONV,
        b=np.ones(4, F),
    )
    assert listed(model) == [("a", "Conv", 4, 3), ("y", "Relu", 4, 3)]
    assert players(model) == []


def test_constants_are_no_layers(tmp_path: Path) -> None:
    model = model_of("k = Relu(w)  y = Conv(x, k)", IMAGE, tmp_path, **CONV)
    assert listed(model) == [("y", "Conv", 4, 1)]


def test_units_of_unknown_number_are_left_out(tmp_path: Path) -> None:
    model = model_of(
        "y = Conv(x, w)",
        "(float[N,2,8,8] x, float[K,2,3,3] w) => (float[N,K,6,6] y)",
        tmp_path,
    )
    assert listed(model) == []


FORMULAS = {
    "Swish": "s = Sigmoid(c)  y = Mul(c, s)",
    "QuickGelu": "k = Mul(c, p)  s = Sigmoid(k)  y = Mul(c, s)",
    "HardSwish": "s = HardSigmoid(c)  y = Mul(c, s)",
    "HardSwish clipped": "a = Add(c, p)  l = Clip(a, z, p)  m = Mul(c, l)  y = Div(m, p)",
    "Mish": "s = Softplus(c)  t = Tanh(s)  y = Mul(c, t)",
    "Gelu by Erf": "d = Div(c, p)  e = Erf(d)  a = Add(e, p)  m = Mul(c, a)  y = Mul(m, p)",
    "Gelu by Erf, halved first": (
        "d = Div(c, p)  e = Erf(d)  a = Add(e, p)  h = Mul(c, p)  y = Mul(h, a)"
    ),
    "Gelu by Tanh": (
        "q = Mul(c, c)  r = Mul(q, c)  u = Mul(r, p)  v = Add(c, u)  t = Mul(v, p)  e = Tanh(t) "
        "a = Add(e, p)  h = Mul(c, p)  y = Mul(h, a)"
    ),
    "Gelu by Pow": (
        "r = Pow(c, p)  u = Mul(r, p)  v = Add(c, u)  t = Mul(v, p)  e = Tanh(t)  a = Add(e, p) "
        "m = Mul(c, a)  y = Mul(m, p)"
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_activations_written_as_formulas(name: str, tmp_path: Path) -> None:
    model = model_of(
        f"c = Conv(x, w)  {FORMULAS[name]}", IMAGE, tmp_path, **CONV,
        p=np.asarray(0.5, F), z=np.asarray(0, F),
    )  # fmt: skip
    called = "Swish" if name == "QuickGelu" else name.split()[0]
    assert listed(model) == [("c", "Conv", 4, 1), ("y", called, 4, 1)]


@pytest.mark.parametrize("op", ["Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "HardSwish", "Mish"])
def test_activations_of_one_node(op: str, tmp_path: Path) -> None:
    model = model_of(f"c = Conv(x, w)  y = {op}(c)", IMAGE, tmp_path, **CONV)
    assert listed(model)[1:] == [("y", op, 4, 1)]


@pytest.mark.parametrize("op", ["Clip(c, z, p)", "PRelu(c, p)", "Max(c, z)", "Min(p, c)"])
def test_activations_with_constants(op: str, tmp_path: Path) -> None:
    model = model_of(
        f"c = Conv(x, w)  y = {op}", IMAGE, tmp_path, **CONV, p=np.asarray(6, F), z=np.asarray(0, F)
    )
    assert listed(model)[1:] == [("y", op.split("(")[0], 4, 1)]


# ---- which play ---------------------------------------------------------------------------------


def test_the_last_tensor_of_every_operator_plays(tmp_path: Path) -> None:
    model = model_of(
        """c1 = Conv(x, w)  b1 = BatchNormalization(c1, s, s, s, s)  r1 = Relu(b1)
           p = MaxPool<kernel_shape = [2,2]>(r1)  c2 = Conv(p, v)  t = Add(c2, p)  r2 = Relu(t)
           g = GlobalAveragePool(r2)  f = Flatten(g)  h = Gemm(f, d)  r3 = Relu(h)
           l = Gemm(r3, d)  y = Softmax(l)""",
        "(float[N,2,8,8] x) => (float[N,4] y)",
        tmp_path,
        **CONV,
        s=np.ones(4, F),
        v=np.ones((4, 4, 1, 1), F),
        d=np.ones((4, 4), F),
    )
    assert players(model) == ["r1", "c2", "r3"]


def test_logits_of_a_convolutional_head_do_not_play(tmp_path: Path) -> None:
    model = model_of(
        "c = Conv(x, w)  h = Relu(c)  k = Conv(h, v)  r = Relu(k)  g = GlobalAveragePool(r) "
        "f = Flatten(g)  y = Softmax(f)",
        "(float[N,2,8,8] x) => (float[N,4] y)",
        tmp_path,
        **CONV,
        v=np.ones((4, 4, 1, 1), F),
    )
    assert players(model) == ["h"]


def test_a_layer_that_is_read_twice_plays_itself(tmp_path: Path) -> None:
    model = model_of(
        "c = Conv(x, w)  r = Relu(c)  t = Tanh(c)  j = Concat<axis = 1>(r, t)  y = Conv(j, v)",
        "(float[N,2,8,8] x) => (float[N,4,6,6] y)",
        tmp_path,
        **CONV,
        v=np.ones((4, 8, 1, 1), F),
    )
    assert players(model) == ["c"]


def test_the_formula_plays_and_not_its_parts(tmp_path: Path) -> None:
    model = model_of(
        "c = Conv(x, w)  s = Sigmoid(c)  m = Mul(c, s)  y = Conv(m, v)",
        IMAGE,
        tmp_path,
        **CONV,
        v=np.ones((4, 4, 1, 1), F),
    )
    assert players(model) == ["m"]


def test_only_what_is_listed_plays(tmp_path: Path) -> None:
    model = model_of(
        "c = Conv(x, w)  h = Relu(c)  k = Conv(h, v)  y = Relu(k)",
        IMAGE,
        tmp_path,
        **CONV,
        v=np.ones((4, 4, 1, 1), F),
    )
    assert [e.name for e in playing(model, select(model, ["c", "k"]))] == ["c"]
    assert playing(model, []) == []


def test_a_transformer_block(tmp_path: Path) -> None:
    model = model_of(
        """q = MatMul(x, wq)  qb = Add(q, b)  k = MatMul(x, wk)  kt = Transpose<perm = [0,2,1]>(k)
           s = MatMul(qb, kt)  p = Softmax(s)  c = MatMul(p, x)  o = MatMul(c, wo)  ob = Add(o, b)
           r = Add(ob, x)  n = LayerNormalization(r, b)  u = MatMul(n, wu)  g = Relu(u)
           d = MatMul(g, wd)  r2 = Add(d, n)  y = MatMul(r2, wk)""",
        "(float[N,5,4] x) => (float[N,5,4] y)",
        tmp_path,
        wq=np.ones((4, 4), F),
        wk=np.ones((4, 4), F),
        wo=np.ones((4, 4), F),
        wu=np.ones((4, 16), F),
        wd=np.ones((16, 4), F),
        b=np.ones(4, F),
    )
    assert players(model) == ["qb", "k", "ob", "g", "d"]
    assert ("n", "LayerNormalization", 4, 2) in listed(model)


# ---- by name ------------------------------------------------------------------------------------


def small(folder: Path) -> Model:
    return model_of(
        """c_1 = Conv(x, w)  r_1 = Relu(c_1)  p = MaxPool<kernel_shape = [2,2]>(r_1)
           k = Conv(p, v)  f = Flatten(k)  y = Softmax(f)""",
        "(float[N,2,8,8] x) => (float[N,100] y)",
        folder,
        **CONV,
        v=np.ones((4, 4, 1, 1), F),
    )


def test_any_float_tensor_is_a_layer(tmp_path: Path) -> None:
    model = small(tmp_path)
    assert (layer(model, "p").units, layer(model, "p").axis) == (4, 1)
    assert (layer(model, "x").op_type, layer(model, "x").units) == ("Input", 2)
    assert layer(model, "f").shape == ("N", 100)


def test_exact_names_and_globs_in_the_order_of_the_graph(tmp_path: Path) -> None:
    model = small(tmp_path)
    assert [e.name for e in select(model, ["k", "p", "*_1", "c_1"])] == ["c_1", "r_1", "p", "k"]


def test_unknown_names_suggest_what_is_close(tmp_path: Path) -> None:
    model = small(tmp_path)
    with pytest.raises(UnknownLayer, match=r"'r_2'; did you mean .*'r_1'"):
        layer(model, "r_2")
    with pytest.raises(UnknownLayer, match=r"'conv\*'; 'mho layers' lists the layers"):
        select(model, ["c_1", "conv*"])


def test_a_close_name_is_suggested_once(tmp_path: Path) -> None:
    """Listed layers are tensors too."""
    with pytest.raises(UnknownLayer) as caught:
        select(small(tmp_path), ["r_2"])
    assert caught.value.message.count("'r_1'") == 1


NO_LAYERS = {"w": "is a weight", "k2": "no tensor"}


@pytest.mark.parametrize(("name", "words"), NO_LAYERS.items())
def test_what_is_no_layer(name: str, words: str, tmp_path: Path) -> None:
    model = small(tmp_path)
    for asked in (lambda: layer(model, name), lambda: select(model, [name])):
        with pytest.raises(UnknownLayer, match=words):
            asked()


def test_integers_vectors_and_sequences_are_no_layers(tmp_path: Path) -> None:
    model = model_of(
        """e = Gather(w, x)  t = Transpose<perm = [1,0,2]>(e)  v = ReduceSum<keepdims = 0>(e, a)
           k = Relu(w)  y = Add(t, t)""",
        "(int64[N,4] x) => (float[4,N,3] y, float[N] v, float[5,3] k)",
        tmp_path,
        w=np.ones((5, 3), F),
        a=np.asarray([1, 2]),
    )
    assert layer(model, "e").axis == 2
    for name, words in {
        "x": "type int64", "v": "a batch and units", "k": "constant", "t": "not the batch",
    }.items():  # fmt: skip
        with pytest.raises(UnknownLayer, match=words):
            layer(model, name)


def test_an_unlisted_tensor_that_a_convolution_reads_has_its_channels_first(
    tmp_path: Path,
) -> None:
    """As of the embedding, transposed, in a text CNN: (N, features, tokens)."""
    found = model_of(
        "turned = Transpose<perm = [0, 2, 1]>(tokens)  y = Conv(turned, w)",
        "(float[N, 5, 8] tokens) => (float[N, 4, 3] y)",
        tmp_path,
        w=np.ones((4, 8, 3), F),
    )
    assert (layer(found, "turned").axis, layer(found, "turned").units) == (1, 8)
    assert (layer(found, "tokens").axis, layer(found, "tokens").units) == (2, 8)


def test_an_image_with_its_channels_last(tmp_path: Path) -> None:
    found = model_of(
        "turned = Transpose<perm = [0, 3, 1, 2]>(image)  y = Conv(turned, w)",
        "(float[N, 6, 7, 3] image) => (float[N, 4, 4, 5] y)",
        tmp_path,
        w=np.ones((4, 3, 3, 3), F),
    )
    assert (layer(found, "image").axis, layer(found, "image").units) == (3, 3)


def test_the_last_layer_with_positions_holds_no_answers(tmp_path: Path) -> None:
    """Neither a dense head nor a convolutional one."""
    weights = {
        "w": np.ones((4, 2, 3, 3), F),
        "v": np.ones((4, 3), F),
        "k": np.ones((3, 4, 1, 1), F),
    }
    dense = model_of(
        "a = Conv(x, w)  r = Relu(a)  p = GlobalAveragePool(r)  f = Flatten(p)  y = Gemm(f, v)",
        "(float[N, 2, 6, 6] x) => (float[N, 3] y)",
        tmp_path,
        **{name: weights[name] for name in "wv"},
    )
    convolved = model_of(
        "a = Conv(x, w)  r = Relu(a)  c = Conv(r, k)  p = GlobalAveragePool(c)  y = Flatten(p)",
        "(float[N, 2, 6, 6] x) => (float[N, 3] y)",
        tmp_path,
        **{name: weights[name] for name in "wk"},
    )
    for model in (dense, convolved):
        last = last_with_positions(model, layers(model))
        assert last is not None
        assert last.name == "r"
    flat = model_of(
        "y = Gemm(x, v)", "(float[N, 4] x) => (float[N, 3] y)", tmp_path, v=weights["v"]
    )
    assert last_with_positions(flat, layers(flat)) is None


def players_before(model: Model) -> list[str]:
    return [entry.name for entry in playing(model, layers(model), before=True)]


def moved(model: Model, *patterns: str) -> list[str]:
    return [entry.name for entry in before_activation(model, select(model, patterns))]


BN = {name: np.ones(4, F) for name in ("scale", "shift", "mean", "variance")}
BLOCK = """c = Conv(x, w)  n = BatchNormalization(c, scale, shift, mean, variance)  r = Relu(n)
    y = Conv(r, v)"""
POINTWISE = np.ones((4, 4, 1, 1), F)


def test_players_before_their_activation(tmp_path: Path) -> None:
    model = model_of(BLOCK, IMAGE, tmp_path, **CONV, **BN, v=POINTWISE)
    assert players(model) == ["r"]
    assert players_before(model) == ["n"]
    for name in "cnr":
        assert moved(model, name) == ["n"]
    assert moved(model, "[cnr]", "y") == ["n", "y"]
    assert same_units(model) == {
        **dict.fromkeys(("c", "n", "r"), ("c", "n", "r")), "y": ("y",)
    }  # fmt: skip


def test_a_formula_is_masked_before_its_parts(tmp_path: Path) -> None:
    model = model_of(
        "c = Conv(x, w)  s = Sigmoid(c)  m = Mul(c, s)  y = Conv(m, v)",
        IMAGE, tmp_path, **CONV, v=POINTWISE,
    )  # fmt: skip
    assert players_before(model) == ["c"]
    assert moved(model, "m") == ["c"]


def test_a_normalisation_behind_the_activation_moves_with_it(tmp_path: Path) -> None:
    model = model_of(
        """c = Conv(x, w)  r = Relu(c)  n = BatchNormalization(r, scale, shift, mean, variance)
        y = Conv(n, v)""",
        IMAGE, tmp_path, **CONV, **BN, v=POINTWISE,
    )  # fmt: skip
    assert players(model) == ["n"]
    assert players_before(model) == ["c"]
    assert moved(model, "n") == ["c"]
    assert moved(model, "[nr]") == ["c"]


def test_units_without_an_activation_stay(tmp_path: Path) -> None:
    model = model_of(
        "c = Conv(x, w)  p = MaxPool<kernel_shape = [1, 1]>(c)  r = Relu(p)  y = Conv(r, v)",
        IMAGE, tmp_path, **CONV, v=POINTWISE,
    )  # fmt: skip
    assert players(model) == players_before(model) == ["c"]
    assert moved(model, "c") == ["c"]
    # the units of the pool are the convolution's, but no more the same
    assert moved(model, "r") == ["p"]


def test_joins_are_masked_before_their_activation(tmp_path: Path) -> None:
    model = model_of(
        """a = Conv(x, w)  b = Conv(a, v)  c = Conv(a, v)  j = Add(b, c)
        n = BatchNormalization(j, scale, shift, mean, variance)  r = Relu(n)  y = Conv(r, v)""",
        IMAGE, tmp_path, **CONV, **BN, v=POINTWISE,
    )  # fmt: skip
    for name in "jnr":
        assert moved(model, name) == ["n"]
    assert players_before(model) == ["a", "b", "c"]


def test_what_is_read_beside_its_activation(tmp_path: Path) -> None:
    model = model_of(
        "c = Conv(x, w)  r = Relu(c)  t = Tanh(c)  j = Concat<axis = 1>(r, t)  y = Conv(j, v)",
        IMAGE, tmp_path, **CONV, v=np.ones((4, 8, 1, 1), F),
    )  # fmt: skip
    assert players_before(model) == ["c"]
    assert moved(model, "[rt]") == ["c"]
    assert moved(model, "j") == ["j"]


@pytest.mark.parametrize("name", ["resnet50", "squeezenet", "vgg19"])
def test_as_many_play_before_their_activation_as_behind_it(name: str) -> None:
    model = load(FOLDER / f"light_{name}.onnx")
    kinds = Counter(entry.op_type for entry in playing(model, layers(model), before=True))
    assert sum(kinds.values()) == LIGHT[name][1]
    assert "Relu" not in kinds
    units = [
        sum(entry.units for entry in playing(model, layers(model), before=b)) for b in (False, True)
    ]
    assert units[0] == units[1]
