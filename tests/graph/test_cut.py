"""Cutting: head and tail together are the whole, and the cuts of a graph are found."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from graph.light import light
from graph.nets import evaluate, loaded, net, normal, run
from mho.graph import units
from mho.graph.cut import between, cut, cuts_among, pruned, separates, tail
from mho.graph.model import Model

F = np.float32


def rejoined(model: Model, layer: str, output: str = "y", **feeds: np.ndarray) -> np.ndarray:
    """``output`` by the tail, fed with what the whole model gives for ``feeds``."""
    found = tail(model, layer, output, ["x"])
    assert found is not None
    needed = [layer, *found.beside, *found.fixed]
    inputs = {spec.name for spec in model.inputs}
    head = cut(model, [], [name for name in needed if name not in inputs] or [output])
    fed = {**feeds, **evaluate(head, feeds)}
    return evaluate(found.model, {name: fed[name] for name in needed})[output]


def chain() -> Model:
    return net(
        "a = Gemm(x, w)  b = Relu(a)  c = Gemm(b, v)  y = Tanh(c)",
        "(float[N,3] x) => (float[N,3] y)",
        w=normal(1, 3, 3),
        v=normal(2, 3, 3),
    )


def residual() -> Model:
    return net(
        "a = Conv(x, w)  r = Relu(a)  b = Conv(r, w)  s = Add(b, a)  t = Relu(s)  "
        "g = GlobalAveragePool(t)  y = Flatten(g)",
        "(float[N,3,4,4] x) => (float[N,3] y)",
        w=normal(1, 3, 3, 1, 1),
    )


def fire() -> Model:
    return net(
        """q = Conv(x, w)  s = Relu(q)
        a = Conv(s, w)  ra = Relu(a)  b = Conv<pads = [1, 1, 1, 1]>(s, k)  rb = Relu(b)
        j = Concat<axis = 1>(ra, rb)  g = GlobalAveragePool(j)  y = Flatten(g)""",
        "(float[N,3,4,4] x) => (float[N,6] y)",
        w=normal(1, 3, 3, 1, 1),
        k=normal(2, 3, 3, 3, 3),
    )


def branches(count: int) -> Model:
    lines = [
        f"c{i} = Conv(x, w)  r{i} = Relu(c{i})  m{i} = GlobalMaxPool(r{i})" for i in range(count)
    ]
    joined = ", ".join(f"m{i}" for i in range(count))
    return net(
        f"{'  '.join(lines)}  j = Concat<axis = 1>({joined})  y = Flatten(j)",
        f"(float[N,3,5] x) => (float[N,{2 * count}] y)",
        w=normal(1, 2, 3, 2),
    )


@pytest.mark.parametrize("layer", ["a", "b", "c", "y", "x"])
def test_a_chain_cut_anywhere(layer: str) -> None:
    model, x = chain(), normal(3, 4, 3)
    np.testing.assert_array_equal(rejoined(model, layer, x=x), run(model, x=x)["y"])
    found = tail(model, layer, "y", ["x"])
    assert found is not None
    assert (found.beside, found.fixed) == ((), ())
    assert [v.name for v in found.model.graph.inputs] == [layer]


@pytest.mark.parametrize(
    ("layer", "beside"), [("a", ()), ("r", ("a",)), ("b", ("a",)), ("s", ()), ("t", ())]
)
def test_a_cut_inside_a_residual_block(layer: str, beside: tuple[str, ...]) -> None:
    model, x = residual(), normal(3, 4, 3, 4, 4)
    np.testing.assert_allclose(rejoined(model, layer, x=x), run(model, x=x)["y"], rtol=1e-6)
    found = tail(model, layer, "y", ["x"])
    assert found is not None
    assert found.beside == beside
    assert len(found.model.graph.initializers) == (1 if layer in "ar" else 0)


def test_what_the_path_does_not_move_is_fixed() -> None:
    model = net(
        "h = Gemm(x, w)  m = Cast<to = 1>(mask)  n = Relu(z)  k = Add(h, n)  y = Mul(k, m)",
        "(float[N,3] x, int64[N,3] mask, float[N,3] z) => (float[N,3] y)",
        w=normal(1, 3, 3),
    )
    found = tail(model, "h", "y", ["x"])
    assert found is not None
    assert found.beside == ()
    assert set(found.fixed) == {"m", "n"}
    given = {"x": normal(2, 4, 3), "mask": np.eye(4, 3, dtype=np.int64), "z": normal(3, 4, 3)}
    np.testing.assert_allclose(rejoined(model, "h", **given), run(model, **given)["y"])


RESHAPING = """
    h = Gemm(x, w)  s = Shape(x)  n = Gather(s, zero)  u = Unsqueeze(n, zeros)
    t = Concat<axis = 0>(u, two, minus)  r = Reshape(h, t)  y = ReduceSum<keepdims = 0>(r, two)"""


def reshaping() -> Model:
    return net(
        RESHAPING,
        "(float[N,3] x) => (float[N,2] y)",
        w=normal(1, 3, 6),
        zero=np.int64(0),
        zeros=np.array([0]),
        two=np.array([2]),
        minus=np.array([-1]),
    )


def test_shapes_are_computed_anew_for_another_batch() -> None:
    model, x = reshaping(), normal(2, 4, 3)
    found = tail(model, "h", "y", ["x"])
    assert found is not None
    assert found.beside == (), "of x only the shape is read, it need not move"
    rows = run(cut(model, [], ["h"]), x=x)["h"]
    twice = np.concatenate([rows, rows])
    got = evaluate(found.model, {"h": twice, "x": np.concatenate([x, x])})["y"]
    np.testing.assert_allclose(got[:4], run(model, x=x)["y"], rtol=1e-6)
    np.testing.assert_array_equal(got[:4], got[4:])


def test_a_fixed_leading_one_is_the_batch_where_nothing_is_symbolic() -> None:
    model = net(
        "h = Gemm(x, w)  k = Relu(h)  t = Transpose<perm = [1, 0]>(k)  u = Neg(t)  "
        "v = Transpose<perm = [1, 0]>(u)  y = Add(h, v)",
        "(float[1,3] x) => (float[1,3] y)",
        w=normal(1, 3, 3),
    )
    found = tail(model, "v", "y", ["x"])
    assert found is not None
    assert found.beside == ("h",)
    symbolic = net(
        "h = Gemm(x, w)  t = Transpose<perm = [1, 0]>(h)  u = Neg(t)  k = Relu(h)  "
        "v = Transpose<perm = [1, 0]>(u)  y = Add(k, v)",
        "(float[N,3] x) => (float[N,3] y)",
        w=normal(1, 3, 3),
    )
    found = tail(symbolic, "k", "y", ["x"])
    assert found is not None
    assert found.beside == ("v",)
    told = tail(symbolic, "k", "y", ["x"], unbatched={"v"})
    assert told is not None
    assert told.beside == ("h",), "u and t have 3 in front, so the cut goes up to h"


def test_one_output_of_a_node_can_be_cut_while_another_is_needed() -> None:
    model = net(
        "a, b = Split<axis = 1, num_outputs = 2>(x)  c = Exp(a)  y = Add(c, b)",
        "(float[N,4] x) => (float[N,2] y)",
    )
    x = normal(1, 3, 4)
    got = evaluate(cut(model, ["a"], ["y"]), {"a": np.zeros((3, 2), F), "x": x})["y"]
    np.testing.assert_allclose(got, 1 + x[:, 2:])


def test_a_tensor_can_be_input_and_output() -> None:
    model, x = chain(), normal(3, 4, 3)
    found = evaluate(cut(model, ["b"], ["b", "y", "x"]), {"b": x, "x": 2 * x})
    np.testing.assert_array_equal(found["b"], x)
    np.testing.assert_array_equal(found["x"], 2 * x)


def test_captures_of_subgraphs_are_needed_too() -> None:
    model = net(
        """h = Gemm(x, w)  k = Gemm(x, w)  n = ReduceMax<keepdims = 0>(x)  p = Greater(n, zero)
        y = If(p) <then_branch = t () => (float[N,3] one) { one = Add(h, k) },
                   else_branch = e () => (float[N,3] two) { two = Neg(h) }>""",
        "(float[N,3] x) => (float[N,3] y)",
        w=normal(1, 3, 3),
        zero=F(0),
    )
    x = normal(2, 4, 3)
    np.testing.assert_allclose(rejoined(model, "h", x=x), run(model, x=x)["y"], rtol=1e-6)
    found = tail(model, "h", "y", ["x"])
    assert found is not None
    assert set(found.beside) == {"k", "x"}


def test_loop_bodies_do_not_leak() -> None:
    model = net(
        """h = Gemm(x, w)  k = Relu(h)
        y = Loop(times, yes, h) <body = b (int64 i, bool c, float[N,3] s)
            => (bool d, float[N,3] o) { q = Mul(s, k)  o = Tanh(q)  d = Identity(c) }>""",
        "(float[N,3] x) => (float[N,3] y)",
        w=normal(1, 3, 3),
        times=np.int64(3),
        yes=np.bool_(True),
    )
    x = normal(2, 4, 3)
    found = tail(model, "k", "y", ["x"])
    assert found is not None
    assert (found.beside, found.fixed) == (("h",), ())
    np.testing.assert_allclose(rejoined(model, "k", x=x), run(model, x=x)["y"], rtol=1e-6)


def test_pruning_keeps_the_answer_and_drops_the_rest() -> None:
    model = net(
        "h = Gemm(x, w)  o = Gemm(z, v)  y = Relu(h)",
        "(float[N,3] x, float[N,3] z) => (float[N,3] y, float[N,2] o)",
        w=normal(1, 3, 3),
        v=normal(2, 3, 2),
    )
    slim = pruned(cut(model, [], ["y"]))
    assert [spec.name for spec in slim.inputs] == ["x"]
    assert list(slim.graph.initializers) == ["w"]
    assert slim.graph.initializers["w"].const_value is model.graph.initializers["w"].const_value
    x = normal(3, 4, 3)
    np.testing.assert_array_equal(run(slim, x=x)["y"], run(model, x=x, z=x)["y"])


def test_no_tail_where_nothing_depends() -> None:
    model = net(
        "h = Relu(x)  y = Neg(x)  z = Abs(h)", "(float[N,3] x) => (float[N,3] y, float[N,3] z)"
    )
    assert tail(model, "h", "y", ["x"]) is None
    assert between(model, ["x"], "z") == {"x", "h", "z"}
    assert between(model, ["h"], "y") == frozenset()
    with pytest.raises(KeyError):
        tail(model, "nowhere", "y", ["x"])


def test_what_separates() -> None:
    model = residual()
    assert [name for name in "arbst" if separates(model, ["x"], [name], "y")] == ["a", "s", "t"]
    assert not separates(model, ["x"], ["a", "t"], "y"), "in series: two are met"
    fires = fire()
    assert separates(fires, ["x"], ["ra", "rb"], "y")
    assert separates(fires, ["x"], ["a", "rb"], "y")
    assert not separates(fires, ["x"], ["a", "ra", "rb"], "y")
    assert not separates(fires, ["x"], ["ra"], "y")


def test_ways_through_integers_do_not_count() -> None:
    model = net(
        "h = Relu(x)  c = Greater(x, zero)  f = Cast<to = 1>(c)  y = Mul(h, f)",
        "(float[N,3] x) => (float[N,3] y)",
        zero=F(0),
    )
    assert separates(model, ["x"], ["h"], "y")


def test_cuts_of_branches() -> None:
    assert cuts_among(fire(), ["x"], ["q", "s", "a", "ra", "b", "rb", "j"], "y") == [
        ("q",),
        ("s",),
        ("j",),
        ("a", "b"),
        ("ra", "rb"),
    ]
    names = [f"{kind}{i}" for i in range(4) for kind in "cr"]
    assert cuts_among(branches(4), ["x"], names, "y") == [
        ("c0", "c1", "c2", "c3"),
        ("r0", "r1", "r2", "r3"),
    ]
    assert cuts_among(residual(), ["x"], ["r", "b"], "y") == []


def test_cuts_of_unequal_and_nested_branches() -> None:
    model = net(
        """a = Relu(x)  b = Relu(a)  c = Relu(b)
        d = Neg(x)  e = Relu(d)  f = Abs(d)  g = Add(e, f)  s = Add(c, g)  y = Relu(s)""",
        "(float[N,3] x) => (float[N,3] y)",
    )
    found = cuts_among(model, ["x"], ["a", "b", "c", "e", "f"], "y")
    covered = {name for members in found for name in members}
    assert covered == {"a", "b", "c", "e", "f"}
    assert all(separates(model, ["x"], members, "y") for members in found)
    nested = cuts_among(model, ["x"], ["a", "d", "e", "f"], "y")
    assert ("a", "d") in nested
    assert ("a", "e", "f") in nested


def test_dense_connections_have_no_cut_inside() -> None:
    model = net(
        """a = Conv(x, w)  j = Concat<axis = 1>(x, a)  b = Conv(j, v)
        k = Concat<axis = 1>(x, a, b)  c = Conv(k, u)  y = GlobalAveragePool(c)""",
        "(float[N,2,3,3] x) => (float[N,2,1,1] y)",
        w=normal(1, 2, 2, 1, 1),
        v=normal(2, 2, 4, 1, 1),
        u=normal(3, 2, 6, 1, 1),
    )
    assert cuts_among(model, ["x"], ["a", "j", "b", "k", "c"], "y") == [("k",), ("c",)]


def test_densenet_is_cut_in_a_moment(tmp_path: Path) -> None:
    model = loaded(light("densenet121"))
    (source,), (output,) = model.inputs, model.outputs
    names = [layer.name for layer in units.layers(model)]
    started = time.monotonic()
    found = cuts_among(model, [source.name], names, output.name)
    assert time.monotonic() - started < 5
    assert len(names) > 100
    assert len(found) > 3
