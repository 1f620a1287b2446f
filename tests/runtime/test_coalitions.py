"""V of coalitions against plain accuracy and against models edited by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graph.nets import net, normal, run
from mho.errors import InvalidData
from mho.evaluation import CoalitionEvaluator, Player
from mho.graph.model import Model
from mho.runtime.coalitions import MaskedCoalitions
from mho.value import Asked, Samples, Value
from mho.values.accuracy import Accuracy
from mho.values.cross_entropy import CrossEntropy
from mho.values.gap import Gap
from mho.values.logit import Logit
from mho.values.precision import Precision
from mho.values.recall import Recall
from mho.values.squared_error import SquaredError
from runtime.bound import SETTINGS, data, problem

F = np.float32
W1, W2, V = normal(1, 5, 2, 3, 3), normal(2, 4, 5, 1, 1), normal(3, 4, 3)
X = normal(4, 12, 2, 6, 6)
LABELS = np.random.default_rng(5).integers(0, 3, 12)
KNOWN = Samples(LABELS, {"a": np.arange(12) < 5, "b": np.arange(12) > 6}, normal(9, 12, 3))
MEANS = {"r": normal(6, 5) ** 2, "s": normal(7, 4) ** 2}


def cnn() -> Model:
    return net(
        """a = Conv(x, w)  r = Relu(a)  b = Conv(r, u)  s = Relu(b)
        g = GlobalAveragePool(s)  f = Flatten(g)  z = Gemm(f, v)  y = Softmax(z)""",
        "(float[N,2,6,6] x) => (float[N,3] y)",
        w=W1,
        u=W2,
        v=V,
    )


def players() -> list[Player]:
    return [Player(f"{n}:{i}", {n: (i,)}) for n, k in (("r", 5), ("s", 4)) for i in range(k)]


def game(
    value: Value, *, memory: int = SETTINGS.memory_bytes, single: bool = False
) -> MaskedCoalitions:
    made = problem(
        cnn(), data(X, LABELS), "r", "s", settings=replace(SETTINGS, memory_bytes=memory),
        single=single,
    )  # fmt: skip
    return MaskedCoalitions(made, players(), MEANS, value, KNOWN)


def edited(coalition: np.ndarray) -> np.ndarray:
    """Logits of the model in which the removed channels are constants, by a Where in the graph."""

    def edit(copy: ir.Model) -> None:
        graph = copy.graph
        for name, keep in (("r", coalition[:5]), ("s", coalition[5:])):
            tensor = next(v for n in graph for v in n.outputs if v.name == name)
            uses = list(tensor.uses())
            values = []
            for part, array in (("keep", keep), ("mean", MEANS[name])):
                made = ir.tensor(array.reshape(-1, 1, 1), name=f"{name}/{part}")
                value = ir.Value(
                    name=made.name, const_value=made, type=ir.TensorType(made.dtype),
                    shape=ir.Shape(made.shape),
                )  # fmt: skip
                graph.register_initializer(value)
                values.append(value)
            node = ir.node("Where", [values[0], tensor, values[1]])
            node.outputs[0].name = f"{name}/edited"
            graph.append(node)
            for user, position in uses:
                user.replace_input_with(position, node.outputs[0])
        graph.outputs[:] = [next(v for n in graph for v in n.outputs if v.name == "z")]
        graph.sort()

    return run(cnn().rewritten(edit), x=X)["z"]


def test_it_is_a_coalition_evaluator() -> None:
    assert isinstance(game(Accuracy()), CoalitionEvaluator)


def test_the_full_coalition_is_the_model() -> None:
    full = np.ones((1, 9), dtype=bool)
    plain = run(cnn(), x=X)["y"]
    accuracy = (plain.argmax(axis=1) == LABELS).mean()
    assert game(Accuracy()).values(full) == [accuracy]
    likelihood = np.log(plain[np.arange(12), LABELS]).mean()
    np.testing.assert_allclose(game(CrossEntropy()).values(full), likelihood, rtol=1e-5)


VALUES = [
    Accuracy(),
    CrossEntropy(),
    Logit(),
    Recall(Asked(classes=(0, 2))),
    Precision(Asked(classes=(1,))),
    Gap(Asked(subgroups=("a", "b"))),
    SquaredError(),
]


def coalitions(count: int = 6) -> np.ndarray:
    drawn = np.random.default_rng(8).integers(0, 2, (count, 9)).astype(bool)
    drawn[0], drawn[1] = False, True
    return drawn


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_any_coalition_is_a_model_edited_by_hand(value: Value) -> None:
    weights = value.weights(KNOWN)
    for found, coalition in zip(game(value).values(coalitions()), coalitions(), strict=True):
        expected = value.worth(edited(coalition)[None], KNOWN, weights[None])
        np.testing.assert_allclose(found, expected[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_minibatches_are_the_inputs_that_are_named(value: Value) -> None:
    """Each coalition over its own, weighted so that V over all is met on average."""
    played = game(value)
    matter = np.flatnonzero(value.weights(KNOWN))
    assert played.samples == len(matter)
    generator = np.random.default_rng(3)
    chosen = np.stack([generator.permutation(played.samples)[:3] for _ in coalitions()])
    found = played.values(coalitions(), chosen)
    for worth, coalition, rows in zip(found, coalitions(), matter[chosen], strict=True):
        weights = value.weights(KNOWN)[rows] * len(matter) / 3
        expected = value.worth(edited(coalition)[None, rows], KNOWN.take(rows), weights[None])
        np.testing.assert_allclose(worth, expected[0], rtol=1e-5, atol=1e-7)


def test_minibatches_that_cover_all_inputs_once_average_to_v() -> None:
    played = game(VALUES[3])
    parts = np.random.default_rng(3).permutation(played.samples).reshape(-1, 2)
    full = np.ones((len(parts), 9), dtype=bool)
    np.testing.assert_allclose(
        played.values(full, parts).mean(), played.values(full[:1])[0], rtol=1e-12
    )


def test_inputs_without_weight_are_never_run() -> None:
    """One of them would give NaN."""
    broken = X.copy()
    broken[LABELS == 1] = np.nan
    made = problem(cnn(), data(broken, LABELS), "r", "s")
    value = Recall(Asked(classes=(0, 2)))
    found = MaskedCoalitions(made, players(), MEANS, value, KNOWN)
    assert found.samples == int((LABELS != 1).sum())
    np.testing.assert_array_equal(found.values(coalitions()), game(value).values(coalitions()))
    assert np.isfinite(found.linearised(np.ones((1, 9)))).all()


@pytest.mark.parametrize(("memory", "single"), [(1, False), (40_000, False), (10**9, True)])
def test_batches_do_not_matter(memory: int, single: bool) -> None:
    narrow = game(Logit(), memory=memory, single=single)
    assert narrow.chunk >= 1
    np.testing.assert_allclose(
        narrow.values(coalitions(5)), game(Logit()).values(coalitions(5)), rtol=1e-5
    )


def test_players_of_several_units_and_units_that_do_not_play() -> None:
    made = problem(cnn(), data(X, LABELS), "r", "s")
    group = Player("group", {"r": (0, 2), "s": (3,)})
    found = MaskedCoalitions(made, [group], MEANS, Logit(), KNOWN)
    removed = np.ones(9, dtype=bool)
    removed[[0, 2, 5 + 3]] = False
    expected = Logit().per_sample(edited(removed), KNOWN).mean()
    np.testing.assert_allclose(found.values(np.array([[False]])), expected, rtol=1e-5)
    assert found.layers == made.layers


def test_no_coalitions() -> None:
    assert game(Accuracy()).values(np.zeros((0, 9), dtype=bool)).shape == (0,)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_whether_it_is_a_sum_over_inputs_is_what_the_value_says(value: Value) -> None:
    assert game(value).linear == (value.name != "precision")


def test_scores_that_are_not_finite_are_no_value() -> None:
    model = net(
        "r = Relu(x)  s = ReduceSum(r, one)  l = Log(s)  n = Neg(l)  y = Concat<axis = 1>(l, n)",
        "(float[N,2] x) => (float[N,2] y)",
        one=np.array([1]),
    )
    made = problem(model, data(np.ones((3, 2), F)), "r")
    two = [Player("a", {"r": (0,)}), Player("b", {"r": (1,)})]
    found = MaskedCoalitions(made, two, {"r": np.zeros(2)}, Logit(), Samples(np.zeros(3, np.int64)))
    assert np.isfinite(found.values(np.array([[True, False]]))).all()
    with pytest.raises(
        InvalidData, match="with 2 of 2 players removed, the model's score of input 'input0' is not"
    ):
        found.values(np.array([[True, True], [False, False]]))
    with pytest.raises(InvalidData, match=r"slope of the value .* is not finite for .*t0"):
        found.linearised(np.zeros((1, 2)))


@pytest.mark.parametrize("kind", ["float16", "double"])
def test_other_floats(kind: str) -> None:
    dtype = np.float16 if kind == "float16" else np.float64
    model = net(
        "h = Gemm(x, w)  r = Relu(h)  y = Gemm(r, v)", f"({kind}[N,3] x) => ({kind}[N,3] y)",
        w=normal(1, 3, 3, dtype=dtype), v=normal(2, 3, 3, dtype=dtype),
    )  # fmt: skip
    x = normal(3, 4, 3, dtype=dtype)
    made = problem(model, data(x), "r")
    three = [Player(str(i), {"r": (i,)}) for i in range(3)]
    found = MaskedCoalitions(
        made, three, {"r": np.ones(3)}, Logit(), Samples(np.zeros(4, np.int64))
    )
    r = np.maximum(x.astype(F) @ normal(1, 3, 3), 0)
    r[:, 1] = 1
    expected = (r @ normal(2, 3, 3))[:, 0].mean()
    value = found.values(np.array([[True, False, True]]))
    np.testing.assert_allclose(value, expected, rtol=1e-2)


def test_files_are_not_written(tmp_path: Path) -> None:
    game(Accuracy()).values(np.ones((1, 9), dtype=bool))
    assert not list(tmp_path.iterdir())
