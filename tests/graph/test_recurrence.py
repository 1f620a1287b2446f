"""What a recurrent node may leave out, and what of it is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graph.vjp_case import model_of, run_onnxruntime, run_reference, with_gradients
from graph.vjp_cases.recurrent import GATES, recurrent
from mho.graph.rule import Rule, entry_of


def gradients(op: str, dtype: type, kept: set[int]) -> dict[str, np.ndarray]:
    """Input name -> gradient, of a node that has the outputs ``kept``."""
    case = recurrent(op, "bidirectional")
    arrays = case.draw()
    model = model_of(case, arrays, dtype, symbolic=True)
    node = model.graph.node[0]
    for i, name in enumerate(list(node.output)):
        if i not in kept:
            node.output[i] = ""
            model.graph.output.remove(next(v for v in model.graph.output if v.name == name))
    made, names = with_gradients(model, [f"y{i}" for i in kept])
    rng = np.random.default_rng(0)
    shapes = [(3, 2, 2, 2), (2, 2, 2), (2, 2, 2)]
    seeds = {f"seed/y{i}": rng.standard_normal(shape) for i, shape in enumerate(shapes)}
    feeds = {f"x{i}": array for i, array in enumerate(arrays) if array is not None} | seeds
    wanted = {entry.name for entry in made.graph.input}
    given = {name: array.astype(dtype) for name, array in feeds.items() if name in wanted}
    run = run_reference if dtype is np.float64 else run_onnxruntime
    return dict(zip(names, run(made, given), strict=True))


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_single_outputs_add_up(op: str, dtype: type) -> None:
    outputs = range(3 if op == "LSTM" else 2)
    whole = gradients(op, dtype, set(outputs))
    parts = [gradients(op, dtype, {i}) for i in outputs]
    for name, gradient in whole.items():
        total = sum(part[name] for part in parts)
        np.testing.assert_allclose(gradient, total, atol=1e-5)
        assert gradient.dtype == dtype


REFUSED = {
    "clip": ({"clip": 1.0}, "clip"),
    "coupled gates": ({"input_forget": 1}, "input_forget"),
    "activations left out": ({"activations": ["Sigmoid", "Tanh"]}, "names 2"),
    "activation": ({"activations": ["Sigmoid", "Affine", "Tanh"]}, "Affine"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_refused_is_named(why: str) -> None:
    attributes, word = REFUSED[why]
    case = recurrent("LSTM", "forward", checked=True, **attributes)
    node = ir.from_proto(model_of(case, case.draw(), np.float32, symbolic=False)).graph[0]
    entry = entry_of(node)
    assert isinstance(entry, Rule)
    assert word in entry.reason(node)
    assert not entry.serves(1)


def test_a_network_of_unknown_width_is_refused() -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 18]> g (float[3,N,2] x, float w, float r) => (float y)'
        " { y = RNN(x, w, r) }"
    )
    model = onnx.parser.parse_model(text)
    for entry in model.graph.input[1:]:
        entry.type.tensor_type.ClearField("shape")
    node = ir.from_proto(model).graph[0]
    entry = entry_of(node)
    assert isinstance(entry, Rule)
    assert "hidden size" in entry.reason(node)
