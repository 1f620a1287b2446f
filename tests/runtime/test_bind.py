"""What a method is bound to, and what the reader is told."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidOption, UnknownLayer, Unsupported
from mho.evaluation import Intervals
from mho.graph.model import Model
from mho.methods.ablation import Ablation
from mho.methods.activation import Activation
from mho.methods.conductance import Conductance
from mho.methods.shapley import Shapley
from runtime.bound import bound, data

X = normal(1, 4, 3)
GIVEN = data(X, [0, 1, 1, 0])


def model() -> Model:
    return net(
        "h = Gemm(x, w)  r = Relu(h)  z = Gemm(r, v)  y = Softmax(z)  "
        "k = Gemm(x, w)  q = Relu(k)  e = Gemm(q, v)",
        "(float[N,3] x) => (float[N,2] y, float[N,2] e)",
        w=normal(2, 3, 4),
        v=normal(3, 4, 2),
    )


def names(found: object) -> list[str]:
    return [layer.name for layer in found.layers]  # type: ignore[attr-defined]


def test_engines() -> None:
    found = bound(Conductance(), model(), GIVEN)
    assert (found.engine, found.why) == (
        "gradient",
        "auto: every operator on the way has a derivative rule",
    )
    assert bound(Conductance(engine="gradient"), model(), GIVEN).why == "asked for"
    alone = bound(Conductance(), model(), GIVEN, single=True)
    assert alone.engine == "finite_difference"
    assert alone.why.startswith("auto: the model takes one input at a time")
    assert bound(Conductance(engine="finite_difference"), model(), GIVEN).why == "asked for"
    assert bound(Activation(), model(), GIVEN).engine == ""
    for method in (Activation, Shapley, Ablation):
        notes = bound(method(engine="gradient"), model(), GIVEN).notes
        assert any("option 'engine' was set, but has no meaning" in note for note in notes)


def test_only_layers_that_lead_to_the_score() -> None:
    assert names(bound(Conductance(), model(), GIVEN)) == ["h", "r", "z"]
    assert names(bound(Conductance(output="e"), model(), GIVEN)) == ["k", "q", "e"]
    assert names(bound(Shapley(), model(), GIVEN)) == ["r"]
    assert names(bound(Activation(), model(), GIVEN)) == ["h", "r", "z", "k", "q", "e"]
    assert names(bound(Conductance(layers=("*",)), model(), GIVEN)) == ["h", "r", "z"]
    assert names(bound(Activation(layers=("y",)), model(), GIVEN)) == ["y"]


@pytest.mark.parametrize("method", [Conductance, Shapley, Ablation])
def test_layers_that_do_not(method: type) -> None:
    for name in ("q", "y"):
        with pytest.raises(InvalidOption, match=f"layer '{name}' has no influence") as error:
            bound(method(layers=("r", name)), model(), GIVEN)
        assert error.value.subject == "layers"
    assert names(bound(method(layers=("y",), score="probability"), model(), GIVEN)) == ["y"]
    with pytest.raises(UnknownLayer, match="nowhere"):
        bound(method(layers=("nowhere",)), model(), GIVEN)


def test_outputs_and_models_that_cannot_be_attributed() -> None:
    with pytest.raises(UnknownLayer, match="no output 'q'"):
        bound(Conductance(output="q"), model(), GIVEN)
    empty = net("y = Relu(x)", "(float[N,3] x) => (float[N,3] y)")
    with pytest.raises(InvalidOption, match="no layer with units"):
        bound(Conductance(), empty, GIVEN)
    assert names(bound(Conductance(layers=("y",)), empty, GIVEN)) == ["y"]
    constant = net(
        "c = Cast<to = 7>(x)  f = Cast<to = 1>(c)  y = Gemm(f, w)",
        "(float[N,3] x) => (float[N,2] y)", w=normal(1, 3, 2),
    )  # fmt: skip
    found = bound(Conductance(path_input="f"), constant, GIVEN)
    assert found.facts["path_input"] == ["f"]
    with pytest.raises(Unsupported, match="does not depend on tensor 'x' differentiably"):
        bound(Conductance(path_input="x"), constant, GIVEN)


def test_options_without_meaning_are_told() -> None:
    found = bound(Activation(tolerance=0.5, baseline="mean"), model(), GIVEN)
    assert found.notes == tuple(
        f"option '{name}' was set, but has no meaning for activation and was not used"
        for name in ("tolerance", "baseline")
    )
    assert bound(Conductance(tolerance=0.5), model(), GIVEN).notes == ()
    assert "granularity" in bound(Shapley(granularity="neuron"), model(), GIVEN).notes[0]


def test_notes_of_loading_and_preparing_come_along() -> None:
    fixed = net(
        "h = Gemm(x, w)  y = Relu(h)", "(float[1,3] x) => (float[1,4] y)", w=normal(2, 3, 4)
    )
    notes = bound(Activation(), fixed, GIVEN).notes
    assert any("a batch of 3 was found to give" in note for note in notes)


def test_facts_of_a_path() -> None:
    facts = bound(Conductance(target="label", baseline="mean"), model(), GIVEN).facts
    assert facts["targets"] == [0, 1, 1, 0]
    assert facts["baseline"] == "mean"
    assert facts["baselines"] == 1
    assert facts["path_input"] == ["x"]


def test_inputs_that_the_output_does_not_need_are_not_fed() -> None:
    two = net(
        "h = Gemm(x, w)  y = Relu(h)  e = Gemm(z, w)",
        "(float[N,3] x, float[N,3] z) => (float[N,4] y, float[N,4] e)",
        w=normal(2, 3, 4),
    )
    found = bound(Conductance(layers=("h",)), two, data({"x": X, "z": X}))
    assert set(found.evaluator._lines.fixed) == {"mho/target"}
    whole = Intervals(np.arange(4), np.zeros(4), np.ones(4))
    assert np.isfinite(found.evaluator.interval_sums(0, whole).f_upper).all()
