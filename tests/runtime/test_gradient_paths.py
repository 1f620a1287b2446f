"""Path methods on the gradient graph: against float64 by hand, against one another, and what steers
them."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidOption
from mho.evaluation import Intervals, PathEvaluator
from mho.graph.model import Model
from mho.methods.conductance import Conductance
from mho.methods.gradient import Gradient
from mho.methods.gradient_x_activation import GradientXActivation
from mho.methods.integrated_gradients import IntegratedGradients
from mho.methods.internal_influence import InternalInfluence
from mho.methods.layer_integrated_gradients import LayerIntegratedGradients
from mho.results import Result
from runtime.bound import bound, data, finished
from runtime.mlp import U, V, W, X, mlp


def solved(method: object, model: Model, x: np.ndarray = X) -> Result:
    result: Result = finished(method, bound(method, model, data(x)).evaluator)  # type: ignore[arg-type]
    return result


def layers_at(x: np.ndarray) -> dict[str, np.ndarray]:
    a = x.astype(np.float64) @ W.astype(np.float64)
    b = np.tanh(a) @ U.astype(np.float64)
    return {"a": a, "r": np.tanh(a), "b": b, "s": np.tanh(b)}


def slopes_at(x: np.ndarray, target: int) -> dict[str, np.ndarray]:
    """dF/dy for the layers of ``mlp``, and for its input."""
    at = layers_at(x)
    at_s = np.broadcast_to(V[:, target].astype(np.float64), at["s"].shape)
    at_b = at_s * (1 - at["s"] ** 2)
    at_r = at_b @ U.T.astype(np.float64)
    at_a = at_r * (1 - at["r"] ** 2)
    return {"x": at_a @ W.T.astype(np.float64), "a": at_a, "r": at_r, "b": at_b, "s": at_s}


def block() -> Model:
    """Branches of a convolution, a residual connection, pooling, and a dense layer."""
    return net(
        """q = Conv(x, w)  s = Relu(q)
        a = Conv(s, k)  ra = Relu(a)  b = Conv<pads = [1, 1, 1, 1]>(s, l)  rb = Relu(b)
        j = Concat<axis = 1>(ra, rb)  c = Conv<pads = [1, 1, 1, 1]>(j, m)  e = Add(c, s)
        t = Relu(e)  p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(t)
        g = GlobalAveragePool(p)  f = Flatten(g)  y = Gemm(f, v)""",
        "(float[N,2,6,6] x) => (float[N,2] y)",
        w=normal(1, 3, 2, 3, 3),
        k=normal(2, 3, 3, 1, 1),
        l=normal(3, 3, 3, 3, 3),
        m=normal(5, 3, 6, 3, 3),
        v=normal(4, 3, 2),
    )


IMAGES = normal(5, 3, 2, 6, 6)


def test_all_layers_of_a_run_share_their_points() -> None:
    found = bound(Conductance(target="1"), mlp(), data(X))
    evaluator = found.evaluator
    assert isinstance(evaluator, PathEvaluator)
    assert (found.engine, len(evaluator.groups)) == ("gradient", 1)
    assert found.why == "auto: every operator on the way has a derivative rule"
    assert [cut.layers for cut in evaluator.groups[0].cuts] == [(n,) for n in "arbsy"]
    intervals = Intervals(np.array([0, 0, 1]), np.array([0, 0.5, 0]), np.array([0.5, 1, 1]))
    sums = evaluator.interval_sums(0, intervals)
    assert evaluator.spent == {"gradient": 5}, "five distinct ends"
    y = (layers_at(X)["s"] @ V)[:, 1]
    np.testing.assert_allclose(sums.f_upper[1:], y[:2], rtol=1e-4)
    np.testing.assert_allclose(sums.f_lower[[0, 2]], 0, atol=1e-6)
    at = {0.0: slopes_at(0 * X[:1], 1), 0.5: slopes_at(X[:1] / 2, 1)}
    step = layers_at(X[:1] / 2)["r"] - layers_at(0 * X[:1])["r"]
    by_hand = (at[0.0]["r"] + at[0.5]["r"]) / 2 * step
    np.testing.assert_allclose(sums.scores["r"][0], by_hand[0], atol=1e-5)


def test_paths_and_intervals_may_be_mixed_and_batched_in_any_way() -> None:
    found = bound(Conductance(target="0"), mlp(), data(X)).evaluator
    path = np.array([3, 0, 3, 1, 0])
    lower, upper = np.array([0.5, 0.0, 0.0, 0.2, 0.75]), np.array([0.75, 0.1, 0.5, 0.3, 1.0])
    mixed = found.interval_sums(0, Intervals(path, lower, upper))
    for i in range(5):
        one = found.interval_sums(0, Intervals(path[i : i + 1], lower[i : i + 1], upper[i : i + 1]))
        for name in mixed.scores:
            np.testing.assert_allclose(mixed.scores[name][i], one.scores[name][0], atol=1e-6)
        np.testing.assert_allclose(mixed.flow[i], one.flow[0], atol=1e-6)


def test_integrated_gradients_are_the_conductance_of_the_input() -> None:
    result = solved(IntegratedGradients(target="1", tolerance=1e-3), mlp())
    assert result.scores.keys() == {"x"}
    alpha = (np.arange(400) + 0.5) / 400
    for row in range(len(X)):
        mean = np.mean([slopes_at(a * X[row : row + 1], 1)["x"][0] for a in alpha], axis=0)
        np.testing.assert_allclose(result.scores["x"][row], X[row] * mean, atol=5e-3)
    assert result.completeness[0].gap.max() <= 1e-3
    assert not result.maps, "a table has no positions"


def test_internal_influence_is_the_mean_gradient() -> None:
    result = solved(InternalInfluence(target="1", tolerance=1e-3), mlp())
    alpha = (np.arange(400) + 0.5) / 400
    for name in ("a", "r", "b", "s"):
        for row in range(len(X)):
            mean = np.mean([slopes_at(a * X[row : row + 1], 1)[name][0] for a in alpha], axis=0)
            np.testing.assert_allclose(result.scores[name][row], mean, atol=5e-3)
    assert not result.completeness


def test_layer_integrated_gradients_run_in_the_layers_own_space() -> None:
    result = solved(LayerIntegratedGradients(target="1", tolerance=1e-3), mlp())
    ends = layers_at(X)
    alpha = (np.arange(400) + 0.5) / 400
    for row in range(len(X)):
        b = ends["r"][row] * alpha[:, None] @ U.astype(np.float64)
        slope = (V[:, 1] * (1 - np.tanh(b) ** 2)) @ U.T.astype(np.float64)
        np.testing.assert_allclose(
            result.scores["r"][row], ends["r"][row] * slope.mean(axis=0), atol=2e-3
        )
    cuts = {entry.layers for entry in result.completeness}
    assert cuts == {(name,) for name in "arbsy"}


def test_gradients_at_the_input() -> None:
    slopes, ends = slopes_at(X, 1), layers_at(X)
    gradient = solved(Gradient(target="1"), mlp()).scores
    product = solved(GradientXActivation(target="1"), mlp()).scores
    for name in ("a", "r", "b", "s"):
        np.testing.assert_allclose(gradient[name], slopes[name], atol=1e-5)
        np.testing.assert_allclose(product[name], slopes[name] * ends[name], atol=1e-5)


def test_positions_are_summed_or_kept() -> None:
    for kind in (Gradient, GradientXActivation, Conductance, InternalInfluence):
        options = {"tolerance": 0.02} if kind in (Conductance, InternalInfluence) else {}
        channels = solved(kind(target="0", **options), block(), IMAGES).scores
        neurons = solved(kind(target="0", granularity="neuron", **options), block(), IMAGES).scores
        assert channels.keys() == neurons.keys()
        for name, values in channels.items():
            kept = neurons[name]
            summed = kept.reshape(*kept.shape[:2], -1).sum(axis=2)
            np.testing.assert_allclose(summed, values, atol=2e-5 * np.abs(values).max() + 1e-7)


def test_a_layer_beside_others_is_steered_by_what_carries_everything_above_it() -> None:
    method = Conductance(layers=("c", "a", "p"), target="0", tolerance=0.01)
    found = bound(method, block(), data(IMAGES))
    (group,) = found.evaluator.groups
    assert [(cut.layers, cut.complete) for cut in group.cuts] == [
        (("p",), True),
        (("a", "c"), False),
    ]
    assert found.evaluator._carriers[group.cuts[1]] == ("s",)
    result = finished(method, found.evaluator)
    assert [entry.layers for entry in result.completeness] == [("p",)]
    assert any(note.startswith("completeness does not apply to") for note in result.notes)
    fine = solved(Conductance(layers=("c", "a"), target="0", tolerance=5e-4), block(), IMAGES)
    for name in ("a", "c"):
        scale = np.abs(fine.scores[name]).max()
        np.testing.assert_allclose(result.scores[name], fine.scores[name], atol=0.02 * scale)


def test_units_resolved_to_the_input_add_up_to_their_conductance() -> None:
    method = Conductance(units=("ra:1", "ra:2", "t:0"), target="0", tolerance=0.002)
    result = solved(method, block(), IMAGES)
    assert {name: values.shape for name, values in result.scores.items()} == {
        "ra": (3, 2, 2, 6, 6),
        "t": (3, 1, 2, 6, 6),
    }
    assert result.maps["ra"].shape == (3, 2, 6, 6)
    np.testing.assert_allclose(result.maps["t"], result.scores["t"].sum(axis=2))
    plain = solved(Conductance(layers=("ra", "t"), target="0", tolerance=0.002), block(), IMAGES)
    scale = np.abs(plain.scores["ra"]).max()
    np.testing.assert_allclose(
        result.scores["ra"].sum(axis=(2, 3, 4)), plain.scores["ra"][:, [1, 2]], atol=0.02 * scale
    )
    account = result.report["resolved"]
    assert isinstance(account, dict)
    assert [row["unit"] for row in account["ra"]] == [1, 2]
    assert account["t"][0]["conductance"] == pytest.approx(plain.scores["t"][:, 0].mean(), abs=1e-3)


def test_a_unit_resolved_to_the_input_by_hand() -> None:
    """Eq. 2 for unit j of tanh(xW), F = tanh(tanh(xW)U)V: x_i ∫ dF/dr_j (1 - r_j²) W_ij dα."""
    result = solved(Conductance(units=("r:3",), target="1", tolerance=1e-3), mlp())
    alpha = (np.arange(800) + 0.5) / 800
    for row in range(len(X)):
        points = alpha[:, None] * X[row].astype(np.float64)
        slope = slopes_at(points, 1)["r"][:, 3] * (1 - layers_at(points)["r"][:, 3] ** 2)
        by_hand = X[row] * slope.mean() * W[:, 3]
        np.testing.assert_allclose(result.scores["r"][row, 0], by_hand, atol=3e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": ("r",)}, "a unit is named by layer and index"),
        ({"units": ("r:x",)}, "a unit is named by layer and index"),
        ({"units": ("r:6",)}, "unit 6 of layer 'r', which has the units 0 to 5"),
        ({"units": ("r:1",), "layers": ("r",)}, "leave out --layers"),
        ({"units": ("r:1",), "granularity": "neuron"}, "units are channels"),
        ({"units": ("r:1",), "engine": "finite_difference"}, "take conductance without units"),
    ],
)
def test_units_that_make_no_sense(options: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidOption, match=message):
        bound(Conductance(**options), mlp(), data(X))


def test_what_has_no_rule_is_named_and_differences_are_taken() -> None:
    model = net(
        "a = Gemm(x, w)  r = Tanh(a)  h = Hardmax(r)  s = Mul(r, h)  y = Gemm(s, v)",
        "(float[N,3] x) => (float[N,2] y)",
        w=normal(1, 3, 4),
        v=normal(2, 4, 2),
    )
    assert bound(Conductance(), model, data(X)).engine == "gradient"
    loop = net(
        """a = Gemm(x, w)  r = Tanh(a)
        s = Loop (trips, yes, r) <body = b (int64 i, bool c, float[N,4] h)
          => (bool c2, float[N,4] h2) { c2 = Identity(c)  h2 = Tanh(h) }>
        y = Gemm(s, v)""",
        "(float[N,3] x) => (float[N,2] y)",
        w=normal(1, 3, 4),
        v=normal(2, 4, 2),
        trips=np.array(2),
        yes=np.array(True),
    )
    found = bound(Conductance(), loop, data(X))
    assert found.engine == "finite_difference"
    assert "operator Loop" in found.why
    assert "s" in found.why
    for method in (Conductance(engine="gradient"), Gradient(), InternalInfluence()):
        with pytest.raises(InvalidOption, match="operator Loop"):
            bound(method, loop, data(X))


def test_the_slow_version_of_a_block() -> None:
    """Conductance of every layer, by a thousand small steps of the gradient graph itself at single
    points: what adaptive refinement finds is within a few tolerances of it."""
    found = bound(Conductance(target="0", layers=("s", "ra", "t", "p")), block(), data(IMAGES[:1]))
    edges = np.linspace(0, 1, 1001)
    whole = Intervals(np.zeros(1000, np.int64), edges[:-1], edges[1:])
    slow = found.evaluator.interval_sums(0, whole)
    method = Conductance(target="0", layers=("s", "ra", "t", "p"), tolerance=0.01)
    fast = solved(method, block(), IMAGES[:1])
    for name, values in slow.scores.items():
        reference = values.sum(axis=0)
        error = np.linalg.norm(fast.scores[name][0] - reference) / np.linalg.norm(reference)
        assert error < 0.02, (name, error)
