"""Integrals over intervals against float64 done by hand, and the cuts that steer them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidData
from mho.evaluation import Intervals
from mho.graph.model import Model
from mho.methods.conductance import Conductance
from mho.runtime import session
from runtime.bound import SETTINGS, bound, data, finished
from runtime.mlp import U, V, W, X, mlp

F = np.float32


def evaluator(model: Model | None = None, x: np.ndarray = X, **options: object):  # type: ignore[no-untyped-def]
    extra = {key: options.pop(key) for key in ("single", "settings") if key in options}
    options.setdefault("engine", "finite_difference")
    return bound(Conductance(**options), model or mlp(), data(x), **extra).evaluator  # type: ignore[arg-type]


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
    method = Conductance(layers=("r", "b"), tolerance=1e-3, target="0", engine="finite_difference")
    found = bound(method, model, data(X))
    assert [group.cuts[0].complete for group in found.evaluator.groups] == [False, False]
    whole = Intervals(np.zeros(64, np.int64), np.arange(64) / 64, np.arange(1, 65) / 64)
    sums = found.evaluator.interval_sums(0, whole)
    change = found.evaluator.values(np.array([0, 0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(sums.flow.sum(), change[1] - change[0], rtol=1e-3)
    assert abs(sums.scores["r"].sum() - sums.flow.sum()) > 1e-3, "not complete by itself"
    result = finished(method, found.evaluator)
    assert result.completeness == []


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
