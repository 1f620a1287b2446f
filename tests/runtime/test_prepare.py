"""A batch must give what single runs give, or the model is run one input at a time."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidModel, Unsupported
from mho.graph.model import Model
from mho.runtime.prepare import Prepared, prepare
from mho.runtime.session import Sessions
from runtime.bound import SETTINGS

F = np.float32
SESSIONS = Sessions(SETTINGS)


def prepared(model: Model, x: np.ndarray) -> Prepared:
    return prepare(model, SESSIONS, {"x": x})


def test_a_model_with_a_free_batch_stays_as_it_is() -> None:
    model = net("y = Relu(x)", "(float[N,3] x) => (float[N,3] y)")
    assert prepared(model, normal(1, 5, 3)) == Prepared(model, single=False)


def test_a_fixed_batch_is_freed_and_checked() -> None:
    model = net(
        "r = Reshape(x, s)  y = Relu(r)", "(float[1,4] x) => (float[1,2,2] y)",
        s=np.array([1, 2, 2]),
    )  # fmt: skip
    found = prepared(model, normal(1, 5, 4))
    assert not found.single
    assert found.notes == ("a batch of 3 was found to give what 3 single runs give",)
    x = normal(2, 7, 4)
    y = SESSIONS.get(found.model).run({"x": x})["y"]
    np.testing.assert_array_equal(y, np.maximum(x, 0).reshape(7, 2, 2))


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("batch", ["1", "N"])
@pytest.mark.parametrize("kind", ["float", "int64"])
def test_samples_that_are_mixed(count: int, batch: str, kind: str) -> None:
    body = "c = Cast<to = 1>(x)  m = ReduceMean(c, zero)  y = Sub(c, m)"
    if batch == "1":  # the mean of one is itself: only a batch shows it
        body = "c = Cast<to = 1>(x)  m = ReduceMean(c, zero)  q = Add(c, m)  y = Relu(q)"
    model = net(body, f"({kind}[{batch},3] x) => (float[{batch},3] y)", zero=np.array([0]))
    x = np.arange(1, 3 * count + 1).reshape(count, 3)
    found = prepared(model, x.astype(F if kind == "float" else np.int64))
    assert found.single
    assert found.model is model
    (note,) = found.notes
    assert note.startswith("the model is run one input at a time, which is slow: ")


def test_a_batch_that_cannot_be_followed_falls_back() -> None:
    model = net(
        "t = Transpose<perm = [1, 0]>(x)  r = Reshape(t, s)  y = ReduceSum(r, one)",
        "(float[1,4] x) => (float[2,1] y)",
        s=np.array([2, 2]),
        one=np.array([1]),
    )
    found = prepared(model, normal(1, 3, 4))
    assert found.single
    assert "one input at a time" in found.notes[0]


def test_a_batch_that_fails_when_it_is_run_falls_back() -> None:
    model = net(
        "r = Reshape(x, s)  y = Relu(r)", "(float[N,4] x) => (float[A,4] y)", s=np.array([1, 4])
    )
    found = prepared(model, normal(1, 3, 4))
    assert found.single
    assert found.model is model


def test_a_batch_of_four_is_freed_or_refused() -> None:
    x = normal(1, 3, 6)
    model = net(
        "r = Reshape(x, s)  y = Relu(r)", "(float[4,6] x) => (float[4,2,3] y)",
        s=np.array([4, 2, 3]),
    )  # fmt: skip
    found = prepared(model, x)
    assert not found.single
    y = SESSIONS.get(found.model).run({"x": x})["y"]
    np.testing.assert_array_equal(y, np.maximum(x, 0).reshape(3, 2, 3))
    mixing = net(
        "m = ReduceMean(x, zero)  y = Sub(x, m)", "(float[4,6] x) => (float[4,6] y)",
        zero=np.array([0]),
    )  # fmt: skip
    with pytest.raises(Unsupported, match="takes 4 inputs at a time and cannot be changed"):
        prepared(mixing, x)


def test_outputs_that_are_lists_or_single_numbers() -> None:
    model = net(
        "y = Relu(x)  n = Constant<value_float = 2.0>()  s = SequenceConstruct(y)",
        "(float[N,3] x) => (float[N,3] y, float n, seq(float[N,3]) s)",
    )
    assert not prepared(model, normal(1, 3, 3)).single


def test_a_model_that_cannot_be_run() -> None:
    model = net("y = Reshape(x, s)", "(float[N,3] x) => (float[A,B] y)", s=np.array([7, -1]))
    with pytest.raises(InvalidModel, match="fails when it is run"):
        prepared(model, normal(1, 3, 3))


def test_nan_is_compared_with_nan() -> None:
    model = net("y = Sqrt(x)", "(float[N,3] x) => (float[N,3] y)")
    assert not prepared(model, normal(1, 3, 3)).single
