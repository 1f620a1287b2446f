"""Axioms 1 to 4 and the examples of section 4.1 of the conductance paper, over every method that
scores units: each test says who satisfies it and who does not.

The models are ONNX graphs, run by the gradient graph; errata of the paper are named where they
matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graph.nets import net
from mho.evaluation import Intervals
from mho.graph.model import Model
from mho.methods.activation import Activation
from mho.methods.conductance import Conductance
from mho.methods.gradient import Gradient
from mho.methods.gradient_x_activation import GradientXActivation
from mho.methods.integrated_gradients import IntegratedGradients
from mho.methods.internal_influence import InternalInfluence
from mho.methods.layer_integrated_gradients import LayerIntegratedGradients
from mho.path_method import PathMethod
from runtime.bound import bound, data, finished

METHODS: dict[str, type[Any]] = {
    method.name: method
    for method in (
        Activation,
        Conductance,
        Gradient,
        GradientXActivation,
        InternalInfluence,
        LayerIntegratedGradients,
    )
}
every = pytest.mark.parametrize("name", METHODS)
FINE = 1e-3
"""Tolerance of the paths."""


def scores(name: str, model: Model, x: list[float], *layers: str) -> dict[str, np.ndarray]:
    """Layer -> ``(units,)`` of ``METHODS[name]`` at the one input ``x``, from zero."""
    kind = METHODS[name]
    options = {"tolerance": FINE} if issubclass(kind, PathMethod) else {}
    method = kind(layers=layers, target="0", **options)
    if name == "activation":
        method = kind(layers=layers)
    found = finished(method, bound(method, model, data(np.array([x], np.float32))).evaluator)
    return {layer: found.scores[layer][0] for layer in layers}


def value(model: Model, x: list[float]) -> float:
    """F(x)."""
    given = data(np.array([x, [0.0] * len(x)], np.float32))
    found = bound(Conductance(layers=("y",), target="0"), model, given).evaluator
    whole = Intervals(np.array([0]), np.zeros(1), np.ones(1))
    return float(found.interval_sums(0, whole).f_upper[0])


def saturated() -> Model:
    """y = 2x, F = min(y, 1) (the erratum: min, not max), at x = 1."""
    return net(
        "y = MatMul(x, two)  z = Min(y, one)",
        "(float[N,1] x) => (float[N,1] z)",
        two=np.array([[2.0]], np.float32),
        one=np.array([1.0], np.float32),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conductance", 1.0),
        ("layer_integrated_gradients", 1.0),
        ("internal_influence", 0.5),
        ("gradient", 0.0),
        ("gradient_x_activation", 0.0),
        ("activation", 2.0),
    ],
)
def test_saturation_of_section_4_1(name: str, expected: float) -> None:
    """F rises by 1 and y alone does it; gradients at the input see nothing of it."""
    found = scores(name, saturated(), [1.0], "y")["y"]
    assert found == pytest.approx([expected], abs=5e-3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conductance", 0.25),
        ("layer_integrated_gradients", 0.25),
        ("internal_influence", 0.2),
        ("gradient", 1.0),
        ("gradient_x_activation", 1.25),
        ("activation", 1.25),
    ],
)
def test_overshoot_of_section_4_1(name: str, expected: float) -> None:
    """f(x) = x, F = max(y - 1, 0) at x = 1 + e (the erratum: not 1 - e), e = 1/4: the output is e,
    gradient times activation says 1 + e."""
    model = net(
        "y = MatMul(x, eye)  s = Sub(y, one)  z = Relu(s)",
        "(float[N,1] x) => (float[N,1] z)",
        eye=np.array([[1.0]], np.float32),
        one=np.array([1.0], np.float32),
    )
    assert scores(name, model, [1.25], "y")["y"] == pytest.approx([expected], abs=2e-3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conductance", -1.0),
        ("layer_integrated_gradients", -1.0),
        ("gradient_x_activation", -1.0),
        ("activation", -1.0),
        ("internal_influence", 1.0),
        ("gradient", 1.0),
    ],
)
def test_sign_of_section_4_1(name: str, expected: float) -> None:
    """f(x) = -x, F = y: the output falls to -1; who ignores how y moves says +1."""
    model = net(
        "y = MatMul(x, minus)  z = Identity(y)",
        "(float[N,1] x) => (float[N,1] z)",
        minus=np.array([[-1.0]], np.float32),
    )
    assert scores(name, model, [1.0], "y")["y"] == pytest.approx([expected], abs=1e-4)


def product() -> Model:
    """h = (x1², x2), g = √y1 · y2, so F = x1 x2: theorem 2 with p = 2, q = 1."""
    return net(
        """x1 = Gather<axis = 1>(x, first)  x2 = Gather<axis = 1>(x, second)
        y1 = Mul(x1, x1)  y2 = Identity(x2)  r = Sqrt(y1)  z = Mul(r, y2)""",
        "(float[N,2] x) => (float[N,1] z)",
        first=np.array([0]),
        second=np.array([1]),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conductance", (1 / 2, 1 / 2)),
        ("internal_influence", (1 / 2, 1 / 2)),
        ("gradient", (1 / 2, 1.0)),
        ("gradient_x_activation", (1 / 2, 1.0)),
        ("activation", (1.0, 1.0)),
    ],
)
def test_theorem_2(name: str, expected: tuple[float, float]) -> None:
    """Conductance gives each unit 1/2. √y1 has no slope at the baseline, and the result stands."""
    found = scores(name, product(), [1.0, 1.0], "y1", "y2")
    assert (*found["y1"], *found["y2"]) == pytest.approx(expected, abs=5e-3)


def test_theorem_2_at_the_layer() -> None:
    """Integrated gradients in the space of (y1, y2) give (1/3, 2/3), with the factor 1/p that the
    proof forgets: the units are the elements of one tensor here."""
    joined = net(
        """x1 = Gather<axis = 1>(x, first)  x2 = Gather<axis = 1>(x, second)
        q = Mul(x1, x1)  y = Concat<axis = 1>(q, x2)
        y1 = Gather<axis = 1>(y, first)  y2 = Gather<axis = 1>(y, second)
        r = Sqrt(y1)  z = Mul(r, y2)""",
        "(float[N,2] x) => (float[N,1] z)",
        first=np.array([0]),
        second=np.array([1]),
    )
    layer = scores("layer_integrated_gradients", joined, [1.0, 1.0], "y")["y"]
    assert layer == pytest.approx([1 / 3, 2 / 3], abs=5e-3)
    assert scores("conductance", joined, [1.0, 1.0], "y")["y"] == pytest.approx(
        [1 / 2, 1 / 2], abs=5e-3
    )


def outer(g: str) -> Model:
    """y = (x1 x2, tanh x2, x1), F = g(y1, y2, y3)."""
    return net(
        f"""x1 = Gather<axis = 1>(x, i0)  x2 = Gather<axis = 1>(x, i1)
        p = Mul(x1, x2)  t = Tanh(x2)  y = Concat<axis = 1>(p, t, x1)
        a = Gather<axis = 1>(y, i0)  b = Gather<axis = 1>(y, i1)  c = Gather<axis = 1>(y, i2)
        {g}""",
        "(float[N,2] x) => (float[N,1] z)",
        i0=np.array([0]),
        i1=np.array([1]),
        i2=np.array([2]),
        three=np.array([3.0], np.float32),
        two=np.array([2.0], np.float32),
    )


G1, G2 = "u = Mul(a, b)  z = Mul(u, c)", "z = Exp(a)"
BOTH = "u = Mul(a, b)  v = Mul(u, c)  w = Exp(a)  m = Mul(three, v)  n = Mul(two, w)  z = Add(m, n)"


@every
def test_axiom_1_linearity(name: str) -> None:
    """Scores of 3 F1 + 2 F2 are 3 times those of F1 and twice those of F2; activation does not
    look at F."""
    x = [0.8, 1.1]
    first, second, both = (scores(name, outer(g), x, "y")["y"] for g in (G1, G2, BOTH))
    linear = np.allclose(both, 3 * first + 2 * second, atol=0.02 * np.abs(both).max())
    assert linear == (name != "activation")


@every
def test_axiom_2_insensitivity(name: str) -> None:
    """A unit on which F does not depend has no score; activation gives it one."""
    found = scores(name, outer("z = Mul(a, c)"), [0.8, 1.1], "y")["y"]
    assert (found[1] == 0.0) == (name != "activation")


@every
def test_axiom_3_completeness(name: str) -> None:
    """The scores of a layer that cuts the graph add up to F(x) - F(0)."""
    model, x = outer(G1), [0.8, 1.1]
    total = float(scores(name, model, x, "y")["y"].sum())
    complete = abs(total - value(model, x)) <= 2 * FINE
    assert complete == (name in ("conductance", "layer_integrated_gradients"))


@every
def test_axiom_4_partition_consistency(name: str) -> None:
    """Units that carry x1 alone get together what integrated gradients give x1: conductance does
    so, and in section 8's example nothing else."""
    model = product()
    method = IntegratedGradients(target="0", tolerance=FINE)
    found = bound(method, model, data(np.array([[1.5, 1.0]], np.float32)))
    share = finished(method, found.evaluator).scores["x"][0]
    own = scores(name, model, [1.5, 1.0], "y1", "y2")
    consistent = np.allclose([*own["y1"], *own["y2"]], share, atol=0.01)
    assert consistent == (name == "conductance")


def test_the_input_is_a_layer_like_any_other() -> None:
    """Theorem 1's base case: the conductance of the input is integrated gradients."""
    x = [0.8, 1.1]
    method = IntegratedGradients(target="0", tolerance=FINE)
    found = bound(method, outer(G1), data(np.array([x], np.float32)))
    share = finished(method, found.evaluator).scores["x"][0]
    np.testing.assert_allclose(share, scores("conductance", outer(G1), x, "x")["x"], atol=2 * FINE)
    assert share.sum() == pytest.approx(value(outer(G1), x), abs=2 * FINE)
