"""What both engines owe: the conductances that float64 gives by hand, for models of any make."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidOption
from mho.evaluation import Intervals, PathEvaluator
from mho.methods.conductance import Conductance
from runtime.bound import bound, data, finished
from runtime.mlp import U, V, W, X, exact, mlp

ENGINES = ("gradient", "finite_difference")
both = pytest.mark.parametrize("engine", ENGINES)


@pytest.mark.parametrize(
    ("engine", "single"),
    [("gradient", False), ("finite_difference", False), ("finite_difference", True)],
)
@pytest.mark.parametrize("batch", ["N", "1"])
def test_conductance_of_all_layers(engine: str, batch: str, single: bool) -> None:
    method = Conductance(target="1", tolerance=1e-3, engine=engine)
    found = bound(method, mlp(batch), data(X[:2]), single=single)
    assert isinstance(found.evaluator, PathEvaluator)
    result = finished(method, found.evaluator)
    for row in (0, 1):
        for name, expected in exact(X[row], 1).items():
            np.testing.assert_allclose(result.scores[name][row], expected, atol=2e-3)
    assert {part.layers for part in result.completeness} == {
        (n,) for n in ("a", "r", "b", "s", "y")
    }
    assert max(part.gap.max() for part in result.completeness) <= 1e-3


@both
def test_a_layer_through_which_nothing_flows_gets_zeros(engine: str) -> None:
    model = net(
        "a = Gemm(x, w)  r = Relu(a)  c = Gemm(z, w)  d = Cast<to = 7>(c)  e = Cast<to = 1>(d)  "
        "y = Add(r, e)",
        "(float[N,3] x, float[N,3] z) => (float[N,4] y)",
        w=normal(1, 3, 4),
    )
    method = Conductance(engine=engine, layers=("a", "c"), path_input="x", granularity="neuron")
    given = data({"x": X, "z": X})
    result = finished(method, bound(method, model, given).evaluator)
    assert not result.scores["c"].any()
    assert result.scores["c"].shape == (5, 4)
    assert any("nothing flows through c" in note for note in result.notes)


@both
def test_two_float_inputs_move_together(engine: str) -> None:
    model = net(
        "a = Gemm(x, w)  b = Gemm(z, w)  s = Mul(a, b)  y = Tanh(s)",
        "(float[N,3] x, float[N,3] z) => (float[N,4] y)",
        w=normal(1, 3, 4, scale=0.3),
    )
    z = normal(6, 5, 3)
    method = Conductance(engine=engine, layers=("a", "b"), target="2", tolerance=1e-3)
    found = bound(method, model, data({"x": X, "z": z}))
    assert found.facts["path_input"] == ["x", "z"]
    result = finished(method, found.evaluator)
    w = normal(1, 3, 4, scale=0.3)
    f = np.tanh((X @ w) * (z @ w))[:, 2]
    # a and b grow alike along the path, so each carries half of F
    for name in ("a", "b"):
        np.testing.assert_allclose(result.scores[name][:, 2], f / 2, atol=2e-3)
    assert {part.layers for part in result.completeness} == {("a", "b")}


@both
def test_a_set_of_baselines_makes_a_path_from_each(engine: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    many = normal(8, 3, 3)
    np.save(tmp_path / "b.npy", many)
    method = Conductance(engine=engine, layers=("s",), baseline="b.npy", target="0", tolerance=1e-3)
    found = bound(method, mlp(), data(X), files={"baseline": tmp_path / "b.npy"})
    assert found.facts["baselines"] == 3
    assert len(found.evaluator.input_of_path) == 15
    result = finished(method, found.evaluator)

    def f(x: np.ndarray) -> np.ndarray:
        return (np.tanh(np.tanh(x @ W) @ U) @ V)[:, 0]

    np.testing.assert_allclose(result.scores["s"].sum(axis=1), f(X) - f(many).mean(), atol=5e-3)


@both
def test_tokens_run_from_the_embedding_and_masks_stay(engine: str) -> None:
    table = normal(1, 6, 4)
    model = net(
        """e = Gather(table, ids)  h = MatMul(e, w)  r = Tanh(h)
        f = Cast<to = 1>(mask)  n = Unsqueeze(f, last)  m = Mul(r, n)
        s = ReduceSum<keepdims = 0>(m, one)  y = MatMul(s, v)""",
        "(int64[N,T] ids, int64[N,T] mask) => (float[N,2] y)",
        table=table,
        w=normal(2, 4, 3),
        v=normal(3, 3, 2),
        last=np.array([-1]),
        one=np.array([1]),
    )
    ids = np.array([[0, 1, 2], [5, 4, 3]])
    mask = np.array([[1, 1, 0], [1, 0, 1]])
    method = Conductance(engine=engine, layers=("r",), target="1", tolerance=1e-3)
    for single in (False, True) if engine == "finite_difference" else (False,):
        found = bound(method, model, data({"ids": ids, "mask": mask}), single=single)
        assert found.facts["path_input"] == ["e"]
        scores = finished(method, found.evaluator).scores["r"]
        r = np.tanh(table[ids] @ normal(2, 4, 3)) * mask[..., None]
        expected = r.sum(axis=1) * normal(3, 3, 2)[:, 1]
        np.testing.assert_allclose(scores, expected, atol=1e-3)


@both
def test_layers_before_the_path_input_are_refused(engine: str) -> None:
    with pytest.raises(InvalidOption, match="layer 'a' does not lie between the path input"):
        bound(Conductance(engine=engine, layers=("a",), path_input="r"), mlp(), data(X))
    found = bound(Conductance(engine=engine, path_input="r"), mlp(), data(X)).evaluator
    assert [layer.name for group in found.groups for layer in group.layers] == ["r", "b", "s", "y"]
    assert found.interval_sums(0, Intervals(np.array([0]), np.zeros(1), np.ones(1))).scores


@both
@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_other_floats(engine: str, kind: str, dtype: type) -> None:
    model = net(
        "a = Gemm(x, w)  r = Tanh(a)  y = Gemm(r, v)",
        f"({kind}[N,3] x) => ({kind}[N,2] y)",
        w=normal(1, 3, 4, dtype=dtype),
        v=normal(2, 4, 2, dtype=dtype),
    )
    method = Conductance(engine=engine, layers=("r",), target="0", tolerance=0.05)
    result = finished(method, bound(method, model, data(X.astype(dtype))).evaluator)
    expected = np.tanh(X @ normal(1, 3, 4)) * normal(2, 4, 2)[:, 0]
    np.testing.assert_allclose(result.scores["r"], expected, atol=0.02)
