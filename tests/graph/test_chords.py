"""Chords against the same central differences made slowly, row by row, with the unchanged tail."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import evaluate, net, normal
from mho.evaluation import Layer
from mho.graph import units
from mho.graph.chords import (
    BESIDE,
    CHORD,
    INTERVAL,
    SIDE,
    UNIT,
    chords,
    fixed_input,
    lower_input,
    upper_input,
)
from mho.graph.cut import Tail, cut, tail
from mho.graph.linear import reader
from mho.graph.model import Model
from mho.graph.target import TARGET, TARGET_SCORE, scored, targeted

F = np.float32
Tensors = dict[str, np.ndarray]


def ends_of(model: Model, names: list[str], feeds: Tensors) -> Tensors:
    """The tensors ``names`` where ``feeds`` are fed."""
    inputs = {spec.name for spec in model.inputs}
    inner = [name for name in names if name not in inputs]
    found = {name: feeds[name] for name in names if name in inputs}
    return found | (evaluate(cut(model, [], inner), feeds) if inner else {})


def slowly(
    found: Tail, layer: Layer, lower: Tensors, upper: Tensors, pairs: list[tuple[int, int]],
    *, neurons: bool,
) -> np.ndarray:  # fmt: skip
    """F after minus F before the middle, with the tail of the model as it is, one row at a time."""
    values = []
    for interval, unit in pairs:
        rows = {}
        for side in (1, -1):
            fed = {}
            for name in (found.layer, *found.beside):
                a, b = (ends[name][interval].astype(np.float64) for ends in (lower, upper))
                moves = np.zeros(a.shape)
                if name == found.layer and unit != BESIDE:
                    if neurons:
                        moves.reshape(-1)[unit] = 1
                    else:
                        np.moveaxis(moves, layer.axis - 1, 0)[unit] = 1
                elif name != found.layer and unit == BESIDE:
                    moves[:] = 1
                fed[name] = ((a + b) / 2 + side * moves * (b - a) / 2)[None].astype(
                    lower[name].dtype
                )
            for name in found.fixed:
                fed[name] = lower[name][interval][None]
            rows[side] = evaluate(found.model, fed)[TARGET_SCORE][0].astype(np.float64)
        values.append(rows[1] - rows[-1])
    return np.array(values)


class Case:
    """A model, a layer, and two points of it for each of two intervals."""

    def __init__(self, model: Model, name: str, *ends: Tensors, path: tuple[str, ...] = ("x",)):
        self.model = targeted(scored(model))
        self.layer = units.layer(self.model, name)
        self.path = path
        self.feeds = list(ends)

    def found(self, name: str | None = None) -> Tail:
        made = tail(self.model, name or self.layer.name, TARGET_SCORE, self.path)
        assert made is not None
        return made

    def ends(self, found: Tail) -> list[Tensors]:
        names = list(dict.fromkeys((self.layer.name, found.layer, *found.beside, *found.fixed)))
        return [ends_of(self.model, names, fed) for fed in self.feeds]

    def run(
        self, pairs: list[tuple[int, int]], *, linear: bool = False, neurons: bool = False,
        one_sided: bool = False,
    ) -> np.ndarray:  # fmt: skip
        read = reader(self.model, self.layer) if linear else None
        assert (read is not None) == linear
        found = self.found(read.output if read else None)
        lower, upper = self.ends(found)
        actual = Layer(
            self.layer.name, "", self.layer.units, ("N", *lower[self.layer.name].shape[1:]),
            self.layer.axis,
        )  # fmt: skip
        graph = chords(found, actual, read, neurons=neurons, one_sided=one_sided)
        interval, unit = np.array(pairs, dtype=np.int64).T
        fed = {INTERVAL: interval, UNIT: unit}
        fed |= {lower_input(name): value for name, value in lower.items()}
        fed |= {upper_input(name): value for name, value in upper.items()}
        fed |= {fixed_input(name): lower[name] for name in found.fixed}
        if one_sided:
            after, before = (evaluate(graph, {**fed, SIDE: F(side)})[CHORD] for side in (1, -1))
            return np.asarray(after - before)
        return np.asarray(evaluate(graph, fed)[CHORD])

    def slowly(self, pairs: list[tuple[int, int]], *, neurons: bool = False) -> np.ndarray:
        found = self.found()
        lower, upper = self.ends(found)
        return slowly(found, self.layer, lower, upper, pairs, neurons=neurons)

    def pairs(self, *, beside: bool = False) -> list[tuple[int, int]]:
        listed = [(i, u) for i in (0, 1) for u in range(self.layer.units)]
        return [*listed, (0, BESIDE), (1, BESIDE)] if beside else listed


def two(name: str, *shape: int, seed: int = 7) -> list[Tensors]:
    return [{name: normal(seed + i, 2, *shape), TARGET: np.array([0, 1])} for i in (0, 1)]


def conv(rank: int, attributes: str = "", group: int = 1, kernel: int = 3) -> Case:
    size = (4, 6, 5)[:rank] if rank < 3 else (4, 5, 4)
    dims = ",".join(str(s) for s in size)
    model = net(
        f"""i = Conv(x, e)  r = Relu(i)
        c = Conv<group = {group}{", " + attributes if attributes else ""}>(r, w, b)
        t = Tanh(c)  p = GlobalAveragePool(t)  f = Flatten(p)  y = Gemm(f, v)""",
        f"(float[N,4,{dims}] x) => (float[N,2] y)",
        e=normal(0, 4, 4, *[1] * rank),
        w=normal(1, 4, 4 // group, *[kernel] * rank, scale=0.5),
        b=normal(2, 4),
        v=normal(3, 4, 2),
    )
    return Case(model, "r", *two("x", 4, *size))


CONVS = {
    "1x1": lambda: conv(2, kernel=1),
    "1x1 strides": lambda: conv(2, "strides = [2, 2]", kernel=1),
    "1x1 pads": lambda: conv(2, "pads = [1, 0, 2, 1]", kernel=1),
    "3x3": lambda: conv(2),
    "3x3 strides pads": lambda: conv(2, "strides = [2, 1], pads = [1, 0, 2, 1]"),
    "3x3 dilations": lambda: conv(2, "dilations = [2, 1], pads = [2, 1, 2, 1]"),
    "3x3 same upper": lambda: conv(2, 'auto_pad = "SAME_UPPER", strides = [2, 2]'),
    "3x3 same lower": lambda: conv(2, 'auto_pad = "SAME_LOWER", strides = [2, 2]'),
    "3x3 valid": lambda: conv(2, 'auto_pad = "VALID"'),
    "groups": lambda: conv(2, "pads = [1, 1, 1, 1]", group=2),
    "depthwise": lambda: conv(2, "pads = [1, 1, 1, 1]", group=4),
    "1-D": lambda: conv(1, "pads = [1, 1]"),
    "3-D": lambda: conv(3, "pads = [1, 1, 1, 1, 1, 1]"),
}


@pytest.mark.parametrize("kind", CONVS)
def test_convolutions_behind_the_layer_and_with_it(kind: str) -> None:
    case = CONVS[kind]()
    pairs = case.pairs()
    expected = case.slowly(pairs)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(case.run(pairs), expected, atol=1e-5)
    np.testing.assert_allclose(case.run(pairs, linear=True), expected, atol=1e-5)


def gemm(attributes: str = "", *, transposed: bool = False, bias: bool = False) -> Case:
    weights = normal(1, 3, 4)
    model = net(
        f"r = Relu(x)  h = Gemm{attributes}(r, w{', b' if bias else ''})  t = Tanh(h)  "
        "y = Gemm(t, v)",
        "(float[N,3] x) => (float[N,2] y)",
        w=weights.T if transposed else weights,
        v=normal(2, 4, 2),
        **({"b": normal(3, 4)} if bias else {}),
    )
    return Case(model, "r", *two("x", 3))


def matmul(shape: tuple[int, ...]) -> Case:
    dims = ",".join(str(s) for s in shape)
    axes = {"a": np.arange(1, len(shape))}
    pool = "m = ReduceMean<keepdims = 0>(t, a)" if len(shape) > 1 else "m = Identity(t)"
    model = net(
        f"r = Relu(x)  h = MatMul(r, w)  t = Tanh(h)  {pool}  y = MatMul(m, v)",
        f"(float[N,{dims}] x) => (float[N,2] y)",
        w=normal(1, shape[-1], 4),
        v=normal(2, 4, 2),
        **(axes if len(shape) > 1 else {}),
    )
    return Case(model, "r", *two("x", *shape))


PRODUCTS = {
    "gemm": gemm,
    "gemm transB": lambda: gemm("<transB = 1>", transposed=True),
    "gemm alpha beta": lambda: gemm("<alpha = 0.5, beta = 2.0>", bias=True),
    "matmul": lambda: matmul((3,)),
    "matmul tokens": lambda: matmul((5, 3)),
}


@pytest.mark.parametrize("kind", PRODUCTS)
def test_products_behind_the_layer_and_with_it(kind: str) -> None:
    case = PRODUCTS[kind]()
    pairs = [*case.pairs(), (1, 0), (0, 2)]  # any order, and any pair twice
    expected = case.slowly(pairs)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(case.run(pairs), expected, atol=1e-5)
    np.testing.assert_allclose(case.run(pairs, linear=True), expected, atol=1e-5)


@pytest.mark.parametrize("linear", [False, True])
def test_what_passes_beside_moves_as_one_block(linear: bool) -> None:
    model = net(
        """a = Conv(x, w)  r = Relu(a)  b = Conv<pads = [1, 1, 1, 1]>(r, k)  s = Mul(b, a)
        g = GlobalAveragePool(s)  f = Flatten(g)  y = Tanh(f)""",
        "(float[N,3,4,4] x) => (float[N,3] y)",
        w=normal(1, 3, 3, 1, 1),
        k=normal(2, 3, 3, 3, 3),
    )
    case = Case(model, "r", *two("x", 3, 4, 4))
    assert case.found().beside == ("a",)
    pairs = case.pairs(beside=True)
    expected = case.slowly(pairs)
    assert abs(expected[-1]) > 1e-3
    np.testing.assert_allclose(case.run(pairs, linear=linear), expected, atol=1e-5)


def test_every_neuron_apart() -> None:
    case = conv(2)
    count = 4 * 6 * 4
    assert case.feeds[0]["x"].shape == (2, 4, 4, 6)
    pairs = [(i, n) for i in (0, 1) for n in range(0, count, 7)]
    expected = case.slowly(pairs, neurons=True)
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(case.run(pairs, neurons=True), expected, atol=1e-5)


def test_tokens_and_a_mask_that_the_tail_reads() -> None:
    model = net(
        """e = Gather(table, ids)  h = MatMul(e, w)  r = Relu(h)
        f = Cast<to = 1>(mask)  n = Unsqueeze(f, last)  m = Mul(r, n)
        o = OneHot(ids, depth, onoff)  q = MatMul(o, u)  z = Add(m, q)
        s = ReduceSum<keepdims = 0>(z, one)  y = Tanh(s)""",
        "(int64[N,4] ids, int64[N,4] mask) => (float[N,2] y)",
        table=normal(1, 6, 3),
        w=normal(2, 3, 2),
        u=normal(3, 6, 2),
        depth=np.int64(6),
        onoff=np.array([0, 1], F),
        last=np.array([-1]),
        one=np.array([1]),
    )
    ids = np.array([[0, 1, 2, 3], [5, 4, 3, 2]])
    mask = np.array([[1, 1, 0, 1], [1, 0, 1, 1]])
    body = cut(targeted(scored(model)), ["e"], [TARGET_SCORE])
    given = {"ids": ids, "mask": mask, TARGET: np.array([0, 1])}
    case = Case.__new__(Case)
    case.model, case.path = body, ("e",)
    case.layer = units.layer(body, "r")
    case.feeds = [{"e": normal(7 + i, 2, 4, 3), **given} for i in (0, 1)]
    assert set(case.found().fixed) == {"n", "q", TARGET}
    pairs = case.pairs()
    expected = case.slowly(pairs)
    np.testing.assert_allclose(case.run(pairs), expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


def test_one_side_at_a_time_for_models_that_take_one_row() -> None:
    model = net(
        """r = Relu(x)  h = Gemm(r, w)  s = Reshape(h, shape)  t = Tanh(s)
        u = Mul(t, x)  q = ReduceSum(u, one)  y = Concat<axis = 1>(q, t)""",
        "(float[1,3] x) => (float[1,4] y)",
        w=normal(1, 3, 3),
        shape=np.array([1, 3]),  # fixes the batch
        one=np.array([1]),
    )
    ends = [{"x": normal(7 + i, 1, 3), TARGET: np.array([0])} for i in (0, 1)]
    case = Case(model, "r", *ends)
    assert case.found().beside == ("x",)
    for unit in (0, 1, 2, BESIDE):
        expected = case.slowly([(0, unit)])
        for linear in (False, True):
            found = case.run([(0, unit)], linear=linear, one_sided=True)
            np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "dtype", "close"), [("float16", np.float16, 5e-3), ("double", np.float64, 1e-6)]
)
def test_other_floats(kind: str, dtype: type, close: float) -> None:
    model = net(
        "a = Gemm(x, w)  r = Relu(a)  h = Gemm(r, w)  s = Add(h, a)  y = Tanh(s)",
        f"({kind}[N,3] x) => ({kind}[N,3] y)",
        w=normal(1, 3, 3, dtype=dtype),
    )
    ends = [{"x": normal(7 + i, 2, 3, dtype=dtype), TARGET: np.array([0, 1])} for i in (0, 1)]
    case = Case(model, "r", *ends)
    assert reader(case.model, case.layer) is None
    pairs = case.pairs(beside=True)
    np.testing.assert_allclose(case.run(pairs), case.slowly(pairs), atol=close)


def test_the_layer_may_be_the_score_itself_or_the_input() -> None:
    model = net("y = Tanh(x)", "(float[N,2] x) => (float[N,2] y)")
    for name in ("x", "y"):
        case = Case(model, name, *two("x", 2))
        lower, upper = (np.tanh(fed["x"]) if name == "y" else fed["x"] for fed in case.feeds)
        middle, half = (lower + upper) / 2, (upper - lower) / 2
        squash = np.tanh if name == "x" else np.asarray
        expected = np.diag(squash(middle + half) - squash(middle - half))
        np.testing.assert_allclose(case.run([(0, 0), (1, 1)]), expected, rtol=1e-4)
        np.testing.assert_allclose(case.run([(0, 1), (1, 0)]), 0, atol=1e-7)
