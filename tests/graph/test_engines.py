"""Which engine serves each layer, and what the reader is told where none but differences do."""

from __future__ import annotations

import numpy as np

from graph.nets import net, normal
from mho.graph import units
from mho.graph.engines import with_engines


def test_layers_before_an_operator_without_a_rule_have_differences_alone() -> None:
    model = net(
        """a = Gemm(x, w)  r = Tanh(a)
        s = Loop (trips, yes, r) <body = b (int64 i, bool c, float[N,4] h)
          => (bool c2, float[N,4] h2) { c2 = Identity(c)  h2 = Tanh(h) }>
        b = Gemm(s, v)  t = Relu(b)  y = Gemm(t, u)""",
        "(float[N,3] x) => (float[N,2] y)",
        w=normal(1, 3, 4),
        v=normal(2, 4, 5),
        u=normal(3, 5, 2),
        trips=np.array(2),
        yes=np.array(True),
    )
    found, notes = with_engines(model, units.layers(model))
    first = {layer.name: layer.engines[0] for layer in found}
    assert first == {
        "a": "finite_difference",
        "r": "finite_difference",
        "b": "gradient",
        "t": "gradient",
        "y": "gradient",
    }
    (note,) = notes
    assert note.startswith("no gradient engine for 2 of 5 layers: operator Loop")
    assert "on the way y <- t <- b <- s" in note


def test_a_model_without_float_outputs_has_no_engine_to_speak_of() -> None:
    model = net(
        "a = Gemm(x, w)  y = ArgMax<axis = 1>(a)",
        "(float[N,3] x) => (int64[N,1] y)",
        w=normal(1, 3, 4),
    )
    found, notes = with_engines(model, units.layers(model))
    assert [layer.engines for layer in found] == [("finite_difference",)]
    assert notes == ()
