"""The class that an input is judged by, and what scores must be like."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidData, InvalidOption, Unsupported
from mho.runtime.problem import checked_labels, judged_by
from runtime.bound import data, problem

MODEL = net("y = Gemm(x, w)", "(float[N,3] x) => (float[N,4] y)", w=normal(1, 3, 4))
X = normal(2, 6, 3)


def test_targets() -> None:
    labels = [0, 1, 2, 3, 0, 1]
    made = problem(MODEL, data(X, labels))
    np.testing.assert_array_equal(judged_by(made, "argmax"), (X @ normal(1, 3, 4)).argmax(axis=1))
    np.testing.assert_array_equal(judged_by(made, "label"), labels)
    np.testing.assert_array_equal(judged_by(made, "3"), [3] * 6)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("4", "target is 4, but the output has the classes 0 to 3"),
        ("-1", "target is -1"),
        ("cat", "must be a class index, argmax or label"),
        ("label", "needs a label for every input; pass --labels"),
    ],
)
def test_targets_that_are_none(target: str, message: str) -> None:
    with pytest.raises(InvalidOption, match=message) as error:
        judged_by(problem(MODEL, data(X)), target)
    assert error.value.subject == "target"


def test_labels_that_are_no_class() -> None:
    with pytest.raises(InvalidOption, match="label of input 2 is 4, but"):
        checked_labels(np.array([0, 3, 4, -1]), 4)
    with pytest.raises(InvalidOption, match="label of input 0 is -1, but"):
        checked_labels(np.array([-1, 3]), 4)
    assert checked_labels(np.array([0, 3], dtype=np.int32), 4).dtype == np.int64


def test_scores_that_are_nan() -> None:
    model = net("y = Sqrt(x)", "(float[N,2] x) => (float[N,2] y)")
    with pytest.raises(InvalidData, match="NaN for 1 of 3 inputs, the first is 'input1'"):
        problem(model, data(np.array([[1, 1], [-1, 1], [1, 1]], np.float32))).scores()


def test_outputs_that_have_not_a_row_for_every_input() -> None:
    model = net("y = Reshape(x, s)", "(float[N,4] x) => (float[M,2] y)", s=np.array([-1, 2]))
    with pytest.raises(Unsupported, match=r"shape \[6, 2\] for 3 inputs"):
        problem(model, data(normal(1, 3, 4))).scores()
