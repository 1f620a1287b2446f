"""Slopes of the log-odds in a model's inputs, against torch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graph.nets import evaluate, net, normal
from mho.errors import Unsupported
from mho.graph.input_slopes import input_slope_output, input_slopes
from mho.graph.model import Model
from mho.graph.target import scored
from mho.graph.worth import ARGUMENT, WANTED, valued
from mho.value import Surrogate

W, V = normal(1, 3, 4), normal(2, 5, 4)


def model() -> Model:
    return net(
        "a = MatMul(x, w)  b = MatMul(z, v)  s = Add(a, b)  y = Tanh(s)",
        "(float[N,3] x, float[N,5] z) => (float[N,4] y)", w=W, v=V,
    )  # fmt: skip


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_slopes_in_every_input(score: str) -> None:
    x, z = normal(3, 6, 3), normal(4, 6, 5)
    wanted = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]]
    worth = valued(
        scored(model(), score=score), Surrogate.LOG_PROBABILITY, probabilities=score != "logit"
    )
    found = evaluate(input_slopes(worth, ["x", "z"]), {"x": x, "z": z, WANTED: wanted})
    given = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in (x, z)]
    y = torch.tanh(given[0] @ torch.tensor(W).double() + given[1] @ torch.tensor(V).double())
    expected = torch.logit((torch.softmax(y, dim=1) * torch.tensor(wanted)).sum(dim=1))
    slopes = torch.autograd.grad(expected.sum(), given)
    np.testing.assert_allclose(found[ARGUMENT], expected.detach().numpy(), rtol=1e-4)
    for name, slope in zip(("x", "z"), slopes, strict=True):
        np.testing.assert_allclose(
            found[input_slope_output(name)], slope.numpy(), rtol=1e-3, atol=1e-5
        )


def test_only_what_is_asked_for() -> None:
    worth = valued(scored(model()), Surrogate.LOG_PROBABILITY, probabilities=False)
    outputs = [value.name for value in input_slopes(worth, ["z"]).graph.outputs]
    assert outputs == [ARGUMENT, input_slope_output("z")]


def test_an_operator_without_a_rule() -> None:
    blocked = net("d = Det(x)  y = Unsqueeze(d, one)", "(float[N,2,2] x) => (float[N,1] y)",
                  one=np.array([1]))  # fmt: skip
    worth = valued(scored(blocked), Surrogate.SCORE, probabilities=False)
    with pytest.raises(Unsupported, match="operator Det"):
        input_slopes(worth, ["x"])
