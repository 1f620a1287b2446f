"""A loop written with terms is a Scan that onnx.reference and onnxruntime run."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graph.vjp_case import run_onnxruntime, run_reference
from mho.graph.emit import Emitter
from mho.graph.scan import Stepped, scan
from mho.graph.term import Term


@pytest.mark.parametrize("backwards", [False, True])
def test_a_loop_uses_tensors_from_outside_and_may_give_what_it_got(backwards: bool) -> None:
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 18}, name="g")
    emit = Emitter(graph, "test")
    shapes = {"start": [2], "rows": ["N", 2], "scale": [2]}
    start, rows, scale = (
        Term(emit, emit.input(name, ir.DataType.FLOAT, shape)) for name, shape in shapes.items()
    )

    def step(state: Term, row: Term, absent: None) -> Stepped:
        assert absent is None
        return [state * scale + row], [state, row]

    (last,), (before, same) = scan(step, [start], rows, None, backwards=backwards)
    for name, term in (("last", last), ("before", before), ("same", same)):
        emit.output(term.value, name, ir.DataType.FLOAT, [None] * (1 + (name != "last")))
    graph.sort()
    model = ir.to_proto(ir.Model(graph, ir_version=10))
    onnx.checker.check_model(model)

    feeds = {name: np.ones(2, np.float32) for name in ("start", "scale")}
    feeds |= {"rows": np.arange(6, dtype=np.float32).reshape(3, 2), "scale": feeds["scale"] * 2}
    states, at = [], feeds["start"]
    order = feeds["rows"][::-1] if backwards else feeds["rows"]
    for row in order:
        states.append(at)
        at = 2 * at + row
    stacked = np.stack(states[::-1] if backwards else states)
    for run in (run_reference, run_onnxruntime):
        found = run(model, feeds)
        for got, wanted in zip(found, (at, stacked, feeds["rows"]), strict=True):
            np.testing.assert_array_equal(got, wanted)
