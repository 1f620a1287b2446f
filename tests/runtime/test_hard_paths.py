"""Paths on which a slope does not exist, nothing moves, F jumps, or float32 sees no change."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from methods.solving import solve
from mho.errors import InvalidData, InvalidOption
from mho.methods.conductance import Conductance
from mho.methods.grad_cam import GradCam
from mho.methods.internal_influence import InternalInfluence
from mho.methods.layer_integrated_gradients import LayerIntegratedGradients
from runtime.bound import bound, data, finished
from runtime.mlp import X, mlp

W, V = normal(1, 3, 4), normal(2, 4, 2)


def test_units_are_resolved_as_finely_as_what_happens_below_them_needs() -> None:
    """The flow through t closes at once; the kinks of a lie below it."""
    model = net(
        "h = MatMul(x, w)  a = Relu(h)  t = Tanh(a)  y = MatMul(t, v)",
        "(float[N,6] x) => (float[N,2] y)",
        w=normal(1, 6, 3),
        v=normal(3, 3, 2),
    )
    method = Conductance(units=("t:0", "t:1", "t:2"), target="0", tolerance=0.01)
    given = data(normal(2, 2, 6) * 2)
    result = finished(method, bound(method, model, given).evaluator)
    plain = Conductance(layers=("t",), target="0", tolerance=0.01)
    totals = finished(plain, bound(plain, model, given).evaluator).scores["t"]
    scale = np.abs(totals).sum(axis=1, keepdims=True)
    assert np.all(np.abs(result.scores["t"].sum(axis=2) - totals) <= 0.011 * scale)
    assert not result.notes


def test_a_root_has_no_slope_at_the_baseline_and_its_units_are_resolved_all_the_same() -> None:
    model = net(
        "r = Sqrt(x)  h = MatMul(r, w)  a = Relu(h)  y = MatMul(a, v)",
        "(float[N,3] x) => (float[N,2] y)",
        w=W,
        v=V,
    )
    method = Conductance(units=("a:0", "a:1"), target="0", tolerance=0.02)
    result = finished(method, bound(method, model, data(np.abs(X))).evaluator)
    assert np.isfinite(result.scores["a"]).all()
    assert result.scores["a"].any()


def test_influence_of_what_the_path_does_not_move() -> None:
    model = net(
        "h = MatMul(x, w)  g = MatMul(z, w)  p = Mul(h, g)  y = MatMul(p, v)",
        "(float[N,3] x, float[N,3] z) => (float[N,2] y)",
        w=W,
        v=V,
    )
    z = normal(9, 5, 3)
    method = InternalInfluence(path_input="x", layers=("h", "g"), target="1")
    result = finished(method, bound(method, model, data({"x": X, "z": z})).evaluator)
    np.testing.assert_allclose(result.scores["h"], (z @ W) * V[:, 1], atol=1e-5)
    np.testing.assert_allclose(result.scores["g"], (X @ W) / 2 * V[:, 1], atol=1e-4)


@pytest.mark.parametrize("engine", ["gradient", "finite_difference"])
def test_a_line_of_its_own_for_a_layer_on_flattened_tokens(engine: str) -> None:
    table, u = normal(3, 7, 3), normal(4, 4, 2)
    model = net(
        """e = Gather(table, ids)  s = Reshape(e, flat)  g = Gemm(s, w)  a = Tanh(g)
        b = Reshape(a, back)  m = ReduceMean<keepdims = 0>(b, one)  y = MatMul(m, u)""",
        "(int64[N,5] ids) => (float[N,2] y)",
        table=table,
        w=W,
        u=u,
        flat=np.array([-1, 3]),
        back=np.array([-1, 5, 4]),
        one=np.array([1]),
    )
    ids = np.array([[0, 1, 2, 3, 4], [6, 5, 4, 3, 2], [1, 1, 1, 2, 2]])
    method = LayerIntegratedGradients(layers=("a",), target="0", engine=engine)
    result = finished(method, bound(method, model, data({"ids": ids})).evaluator)
    expected = np.tanh(table[ids] @ W).mean(axis=1) * u[:, 0]
    np.testing.assert_allclose(result.scores["a"], expected, atol=1e-4)


def test_a_slope_that_exists_nowhere_is_one_clear_error() -> None:
    model = net(
        """a, b = Split<axis = 1, num_outputs = 2>(x)  r = Sqrt(b)  h = MatMul(a, w)  q = Relu(h)
        g = MatMul(r, w)  t = Tanh(g)  s = Add(q, t)  y = MatMul(s, v)""",
        "(float[N,6] x) => (float[N,2] y)",
        w=W,
        v=V,
    )
    x = np.abs(normal(6, 2, 6))
    x[:, 4] = 0
    method = Conductance(layers=("q",), target="0")
    with pytest.raises(InvalidData, match="is not finite somewhere on the path"):
        finished(method, bound(method, model, data(x)).evaluator)


def test_units_behind_a_step_have_nothing() -> None:
    model = net(
        "h = MatMul(x, w)  s = Floor(h)  k = Mul(s, h)  y = MatMul(k, v)",
        "(float[N,3] x) => (float[N,2] y)",
        w=W,
        v=V,
    )
    method = Conductance(units=("s:0",), target="0", tolerance=0.5)
    result = finished(method, bound(method, model, data(X)).evaluator)
    assert not result.scores["s"].any()


def test_a_pattern_names_no_unit() -> None:
    with pytest.raises(InvalidOption, match=r"units names the layer 'r\*'"):
        bound(Conductance(units=("r*:0",)), mlp(), data(X))


def test_jumps_end_the_refinement_and_are_told() -> None:
    """Straight-through gradients of a quantised layer do not add up to F, however fine the path."""
    model = net(
        """h = MatMul(x, w)  q = QuantizeLinear(h, scale, zero)
        d = DequantizeLinear(q, scale, zero)  a = Relu(d)  y = MatMul(a, v)""",
        "(float[N,3] x) => (float[N,2] y)",
        w=W,
        v=V,
        scale=np.float32(0.7),
        zero=np.int8(0),
    )
    method = Conductance(layers=("h",), target="0", engine="gradient")
    result = finished(method, bound(method, model, data(X[:2])).evaluator)
    assert result.evaluations["gradient"] < 2**14
    assert any("was not reached" in note for note in result.notes)


def test_changes_that_float32_does_not_see_are_not_refined() -> None:
    model = net(
        "h = MatMul(x, w)  a = Tanh(h)  z = MatMul(a, v)  y = Add(z, far)",
        "(float[N,3] x) => (float[N,2] y)",
        w=W,
        v=V * np.float32(1e-5),
        far=np.array([100.0, 100.0], np.float32),
    )
    method = Conductance(layers=("a",), target="0", engine="gradient")
    result = finished(method, bound(method, model, data(X)).evaluator)
    assert result.evaluations["gradient"] <= 9 * len(X)


def test_evaluations_are_all_counted_after_a_restart() -> None:
    method = LayerIntegratedGradients(layers=("r", "s"), target="0")
    whole = solve(method, bound(method, mlp(), data(X)).evaluator)
    for stop in (1, 2, 4):
        state = method.init(bound(method, mlp(), data(X)).evaluator)
        first = bound(method, mlp(), data(X)).evaluator
        for _ in range(stop):
            state = method.step(state, first)
        second = bound(method, mlp(), data(X)).evaluator
        while not method.done(state):
            state = method.step(state, second)
        assert method.result(state, second).evaluations == whole.evaluations


def test_a_layer_without_positions_that_was_named_is_not_dropped() -> None:
    model = net(
        "a = Conv(x, k)  r = Relu(a)  g = GlobalAveragePool(r)  f = Flatten(g)  y = Gemm(f, v)",
        "(float[N,2,6,6] x) => (float[N,2] y)",
        k=normal(1, 4, 2, 3, 3),
        v=V,
    )
    with pytest.raises(InvalidOption, match="layer 'y' has no positions"):
        bound(GradCam(layers=("r", "y")), model, data(normal(5, 3, 2, 6, 6)))


def test_a_normalisation_of_zeros_gives_no_absurd_scores() -> None:
    """Its slope at the baseline is 1/sqrt(epsilon), where F jumps; that is told."""
    model = net(
        "n = LayerNormalization<epsilon = 1e-12>(x, scale)  h = MatMul(n, w)  y = MatMul(h, v)",
        "(float[N,3] x) => (float[N,2] y)",
        scale=np.ones(3, np.float32),
        w=W,
        v=V,
    )
    for granularity in ("channel", "neuron"):
        method = Conductance(
            layers=("h", "x"), target="0", engine="gradient", granularity=granularity
        )
        result = finished(method, bound(method, model, data(X)).evaluator)
        assert np.abs(result.scores["x"]).max() < 100
        assert any(
            note.startswith("x: the tolerance of 0.01 was not reached") for note in result.notes
        )
