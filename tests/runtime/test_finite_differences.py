"""Integrals over intervals against float64 done by hand, and the cuts that steer them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidData, InvalidOption
from mho.evaluation import Intervals, PathEvaluator
from mho.graph.model import Model
from mho.methods.conductance import Conductance
from mho.runtime import session
from runtime.bound import SETTINGS, bound, data, finished

F = np.float32
W, U, V = normal(1, 3, 6), normal(2, 6, 4), normal(3, 4, 2)
X = normal(4, 5, 3)


def mlp(batch: str = "N") -> Model:
    return net(
        "a = Gemm(x, w)  r = Tanh(a)  b = Gemm(r, u)  s = Tanh(b)  y = Gemm(s, v)",
        f"(float[{batch},3] x) => (float[{batch},2] y)",
        w=W,
        u=U,
        v=V,
    )


def exact(x: np.ndarray, target: int, steps: int = 4000) -> dict[str, np.ndarray]:
    """Conductance of the layers of ``mlp`` in float64, from zero, by the mid-point rule."""
    w, u, v = (array.astype(np.float64) for array in (W, U, V))
    alpha = np.linspace(0, 1, steps + 1)[:, None]

    def layers(t: np.ndarray) -> dict[str, np.ndarray]:
        a = t * x.astype(np.float64) @ w
        b = np.tanh(a) @ u
        return {"a": a, "r": np.tanh(a), "b": b, "s": np.tanh(b)}

    middle, ends = layers((alpha[1:] + alpha[:-1]) / 2), layers(alpha)
    at_s = np.broadcast_to(v[:, target], middle["s"].shape)
    at_b = at_s * (1 - middle["s"] ** 2)
    at_r = at_b @ u.T
    at_a = at_r * (1 - middle["r"] ** 2)
    slopes = {"a": at_a, "r": at_r, "b": at_b, "s": at_s}
    return {name: (slopes[name] * np.diff(ends[name], axis=0)).sum(axis=0) for name in ends}


def evaluator(model: Model | None = None, x: np.ndarray = X, **options: object):  # type: ignore[no-untyped-def]
    extra = {key: options.pop(key) for key in ("single", "settings") if key in options}
    options.setdefault("engine", "finite_difference")
    return bound(Conductance(**options), model or mlp(), data(x), **extra).evaluator  # type: ignore[arg-type]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("batch", ["N", "1"])
def test_conductance_of_all_layers(batch: str, single: bool) -> None:
    method = Conductance(target="1", tolerance=1e-3, engine="finite_difference")
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


def test_paths_and_intervals_may_be_mixed() -> None:
    found = evaluator(layers=("r",), target="0")
    path = np.array([3, 0, 3, 1, 0])
    lower, upper = np.array([0.5, 0.0, 0.0, 0.2, 0.75]), np.array([0.75, 0.1, 0.5, 0.3, 1.0])
    mixed = found.interval_sums(0, Intervals(path, lower, upper))
    for i in range(5):
        one = found.interval_sums(0, Intervals(path[i : i + 1], lower[i : i + 1], upper[i : i + 1]))
        np.testing.assert_allclose(mixed.scores["r"][i], one.scores["r"][0], atol=1e-6)
        np.testing.assert_allclose(mixed.flow[i], one.flow[0], atol=1e-6)
    change = found.values(path, upper) - found.values(path, lower)
    np.testing.assert_allclose(mixed.flow[:, 0], change, atol=0.02)


def test_no_intervals() -> None:
    found = evaluator(layers=("r",))
    none = np.zeros(0)
    sums = found.interval_sums(0, Intervals(none.astype(np.int64), none, none))
    assert sums.scores["r"].shape == (0, 6)
    assert sums.flow.shape == (0, 1)


def test_batches_do_not_matter() -> None:
    intervals = Intervals(np.arange(5), np.zeros(5), np.ones(5))
    wide = evaluator(layers=("r",), target="1")
    for options in ({"single": True}, {"settings": replace(SETTINGS, memory_bytes=1)}):
        narrow = evaluator(layers=("r",), target="1", **options)
        assert narrow.chunk(0) == 1
        found = narrow.interval_sums(0, intervals)
        np.testing.assert_allclose(
            found.scores["r"], wide.interval_sums(0, intervals).scores["r"], atol=1e-6
        )


def test_ends_are_exact() -> None:
    found = evaluator(baseline="mean", target="1")
    z = np.tanh(np.tanh(X @ W) @ U) @ V
    np.testing.assert_allclose(found.values(np.arange(5), np.ones(5)), z[:, 1], rtol=1e-5)
    start = found._lines.at(np.arange(5), np.zeros(5))["x"]
    np.testing.assert_array_equal(
        start, np.tile(X.mean(axis=0, dtype=np.float64).astype(F), (5, 1))
    )


def fire() -> Model:
    return net(
        """q = Conv(x, w)  s = Relu(q)
        a = Conv(s, k)  ra = Relu(a)  b = Conv<pads = [1, 1, 1, 1]>(s, l)  rb = Relu(b)
        j = Concat<axis = 1>(ra, rb)  g = GlobalAveragePool(j)  f = Flatten(g)  y = Gemm(f, v)""",
        "(float[N,2,4,4] x) => (float[N,2] y)",
        w=normal(1, 3, 2, 1, 1),
        k=normal(2, 3, 3, 1, 1),
        l=normal(3, 3, 3, 3, 3),
        v=normal(4, 6, 2),
    )


def test_parallel_branches_share_one_run_of_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    found = evaluator(fire(), normal(5, 2, 2, 4, 4))
    names = [tuple(layer.name for layer in group.layers) for group in found.groups]
    assert ("a", "b") in names
    assert ("ra", "rb") in names
    index = names.index(("ra", "rb"))
    assert found.groups[index].cuts[0].complete
    before = found.spent["head"]
    intervals = Intervals(np.array([0, 0, 1]), np.array([0, 0.5, 0]), np.array([0.5, 1, 1]))
    sums = found.interval_sums(index, intervals)
    assert found.spent["head"] - before == 5, "five distinct ends"
    change = found.values(intervals.path, intervals.upper) - found.values(
        intervals.path, intervals.lower
    )
    assert np.abs(sums.flow[:, 0] - change).max() < 0.5 * np.abs(change).max()
    total = sum(values.sum(axis=1) for values in sums.scores.values())
    np.testing.assert_allclose(total, sums.flow[:, 0], rtol=1e-6)
    ran: list[int] = []
    real = session.Session.run
    monkeypatch.setattr(session.Session, "run", lambda self, *a: ran.append(1) or real(self, *a))
    found.interval_sums(index, intervals)
    assert len(ran) == 3, "one head, and the chords of two layers"


def test_a_layer_beside_others_is_steered_by_the_whole_flow() -> None:
    model = net(
        "a = Gemm(x, w)  r = Tanh(a)  b = Gemm(r, u)  s = Mul(b, a)  t = Tanh(s)  y = Gemm(t, v)",
        "(float[N,3] x) => (float[N,2] y)",
        w=normal(1, 3, 4),
        u=normal(2, 4, 4),
        v=normal(3, 4, 2),
    )
    method = Conductance(layers=("r", "b"), tolerance=1e-3, target="0")
    found = bound(method, model, data(X))
    assert [group.cuts[0].complete for group in found.evaluator.groups] == [False, False]
    whole = Intervals(np.zeros(64, np.int64), np.arange(64) / 64, np.arange(1, 65) / 64)
    sums = found.evaluator.interval_sums(0, whole)
    change = found.evaluator.values(np.array([0, 0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(sums.flow.sum(), change[1] - change[0], rtol=1e-3)
    assert abs(sums.scores["r"].sum() - sums.flow.sum()) > 1e-3, "not complete by itself"
    result = finished(method, found.evaluator)
    assert result.completeness == []


def test_a_layer_through_which_nothing_flows_gets_zeros() -> None:
    model = net(
        "a = Gemm(x, w)  r = Relu(a)  c = Gemm(z, w)  d = Cast<to = 7>(c)  e = Cast<to = 1>(d)  "
        "y = Add(r, e)",
        "(float[N,3] x, float[N,3] z) => (float[N,4] y)",
        w=normal(1, 3, 4),
    )
    method = Conductance(layers=("a", "c"), path_input="x", granularity="neuron")
    given = data({"x": X, "z": X})
    result = finished(method, bound(method, model, given).evaluator)
    assert not result.scores["c"].any()
    assert result.scores["c"].shape == (5, 4)
    assert any("nothing flows through c" in note for note in result.notes)


def test_two_float_inputs_move_together() -> None:
    model = net(
        "a = Gemm(x, w)  b = Gemm(z, w)  s = Mul(a, b)  y = Tanh(s)",
        "(float[N,3] x, float[N,3] z) => (float[N,4] y)",
        w=normal(1, 3, 4, scale=0.3),
    )
    z = normal(6, 5, 3)
    method = Conductance(layers=("a", "b"), target="2", tolerance=1e-3)
    found = bound(method, model, data({"x": X, "z": z}))
    assert found.facts["path_input"] == ["x", "z"]
    result = finished(method, found.evaluator)
    w = normal(1, 3, 4, scale=0.3)
    f = np.tanh((X @ w) * (z @ w))[:, 2]
    # a and b grow alike along the path, so each carries half of F
    for name in ("a", "b"):
        np.testing.assert_allclose(result.scores[name][:, 2], f / 2, atol=2e-3)
    assert {part.layers for part in result.completeness} == {("a", "b")}


def test_a_set_of_baselines_makes_a_path_from_each(tmp_path) -> None:  # type: ignore[no-untyped-def]
    many = normal(8, 3, 3)
    np.save(tmp_path / "b.npy", many)
    method = Conductance(layers=("s",), baseline="b.npy", target="0", tolerance=1e-3)
    found = bound(method, mlp(), data(X), files={"baseline": tmp_path / "b.npy"})
    assert found.facts["baselines"] == 3
    assert len(found.evaluator.input_of_path) == 15
    result = finished(method, found.evaluator)

    def f(x: np.ndarray) -> np.ndarray:
        return (np.tanh(np.tanh(x @ W) @ U) @ V)[:, 0]

    np.testing.assert_allclose(result.scores["s"].sum(axis=1), f(X) - f(many).mean(), atol=5e-3)


def test_tokens_run_from_the_embedding_and_masks_stay() -> None:
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
    method = Conductance(layers=("r",), target="1", tolerance=1e-3)
    for single in (False, True):
        found = bound(method, model, data({"ids": ids, "mask": mask}), single=single)
        assert found.facts["path_input"] == ["e"]
        scores = finished(method, found.evaluator).scores["r"]
        r = np.tanh(table[ids] @ normal(2, 4, 3)) * mask[..., None]
        expected = r.sum(axis=1) * normal(3, 3, 2)[:, 1]
        np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_layers_before_the_path_input_are_refused() -> None:
    with pytest.raises(InvalidOption, match="layer 'a' does not lie between the path input"):
        evaluator(layers=("a",), path_input="r")
    found = evaluator(path_input="r")
    assert [layer.name for group in found.groups for layer in group.layers] == ["r", "b", "s", "y"]
    assert found.interval_sums(0, Intervals(np.array([0]), np.zeros(1), np.ones(1))).scores


def test_scores_that_are_not_finite_on_the_path() -> None:
    model = net(
        "h = Gemm(x, w)  y = Log(h)", "(float[N,3] x) => (float[N,3] y)", w=np.eye(3, dtype=F)
    )
    found = evaluator(model, np.abs(X))
    with pytest.raises(
        InvalidData, match="the score is -inf on the path to input 'input2', at 0 of"
    ):
        found.values(np.array([2]), np.array([0.0]))
    with pytest.raises(InvalidData, match="the score is not finite when unit"):
        found.interval_sums(0, Intervals(np.array([2]), np.array([-1.0]), np.array([1.0])))


@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_other_floats(kind: str, dtype: type) -> None:
    model = net(
        "a = Gemm(x, w)  r = Tanh(a)  y = Gemm(r, v)",
        f"({kind}[N,3] x) => ({kind}[N,2] y)",
        w=normal(1, 3, 4, dtype=dtype),
        v=normal(2, 4, 2, dtype=dtype),
    )
    method = Conductance(layers=("r",), target="0", tolerance=0.05)
    result = finished(method, bound(method, model, data(X.astype(dtype))).evaluator)
    expected = np.tanh(X @ normal(1, 3, 4)) * normal(2, 4, 2)[:, 0]
    np.testing.assert_allclose(result.scores["r"], expected, atol=0.02)
