"""An edited file is the file that it was, but for what was edited; and what does not allow that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper, parser

from graph.nets import normal
from mho.errors import InvalidModel
from mho.graph import units
from mho.graph.edit import Edited, Removal, edited
from mho.graph.editable import editable, half_precision, opset_of
from mho.graph.load import Limits, load
from mho.graph.model_files import ModelFiles

TEXT = """<ir_version: {ir}, opset_import: ["" : {opset}], producer_name: "somebody",
    model_version: 7, domain: "of.ours", doc_string: "about">
    g (float[N,3] x) => (float[N,2] y) {{ {body} }}"""
BODY = "h = Gemm(x, w)  r = Relu(h)  y = Gemm(r, v)"
WEIGHTS = {"w": normal(1, 3, 200), "v": normal(2, 200, 2)}
X = normal(3, 4, 3)


def proto_of(body: str = BODY, *, opset: int = 13, ir: int = 8) -> onnx.ModelProto:
    proto = parser.parse_model(TEXT.format(ir=ir, opset=opset, body=body))
    proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in WEIGHTS.items())
    helper.set_model_props(proto, {"trained": "well"})
    return proto


def without(path: Path, layer: str = "r", value: float = 0.5) -> Edited:
    """The model at ``path`` with unit 1 of ``layer`` removed for good."""
    model = load(path)
    removal = Removal(units.layer(model, layer), (1,), np.full(200, value))
    return edited(editable(model, [layer], Limits()), [removal], known=model)


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    (folder / "given.onnx").write_bytes(proto.SerializeToString())
    return folder / "given.onnx"


def written(proto: onnx.ModelProto) -> list[tuple[object, ...]]:
    return [(n.op_type, [*n.input], [*n.output], [*n.attribute]) for n in proto.graph.node]


def run(path: Path) -> np.ndarray:
    found: np.ndarray = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"x": X}
    )[0]
    return found


def expected(value: float = 0.5) -> np.ndarray:
    r = np.maximum(X @ WEIGHTS["w"], 0)
    r[:, 1] = value
    return np.asarray(r @ WEIGHTS["v"])


def check(found: Edited, folder: Path) -> onnx.ModelProto:
    """The files are written, valid to onnx, and give what they should in plain onnxruntime."""
    folder.mkdir()
    ModelFiles(found.model).write(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(ModelFiles(found.model).names)
    onnx.checker.check_model(folder / "model.onnx", full_check=True)
    np.testing.assert_allclose(run(folder / "model.onnx"), expected(), rtol=1e-5, atol=1e-5)
    return onnx.load(folder / "model.onnx")


@pytest.mark.parametrize("opset", [9, 13, 17, 21])
def test_opset_metadata_and_all_else_survive(opset: int, tmp_path: Path) -> None:
    given = with_biases(opset)
    found = without(saved(given, tmp_path))
    assert not found.layers[0].node
    after = check(found, tmp_path / "out")
    assert opset_of(found.model) == opset
    expected_notes = (f"the edited model is of opset {opset} as its file is",)
    assert found.model.notes == (expected_notes if opset < 18 else ())
    assert written(after) == written(given)
    assert list(after.graph.input) == list(given.graph.input)
    assert list(after.graph.output) == list(given.graph.output)
    for field in ("opset_import", "metadata_props", "producer_name", "model_version", "domain"):
        assert getattr(after, field) == getattr(given, field)
    assert after.doc_string == given.doc_string


def test_weights_that_are_graph_inputs_stay_so(tmp_path: Path) -> None:
    """Files of IR version 3 have all weights among the inputs; new ones need not be."""
    given = with_biases(9)
    given.ir_version = 3
    for tensor in given.graph.initializer:
        given.graph.input.append(helper.make_tensor_value_info(tensor.name, 1, tensor.dims))
    after = check(without(saved(given, tmp_path)), tmp_path / "out")
    assert [info.name for info in after.graph.input] == ["x", "w", "v", "b", "c"]
    assert after.ir_version == 4


def test_weights_in_constant_nodes(tmp_path: Path) -> None:
    given = proto_of("h = Gemm(x, w)  r = Relu(h)  k = Identity(v)  y = Gemm(r, k)")
    constant = helper.make_node("Constant", [], ["w"], value=given.graph.initializer[0])
    del given.graph.initializer[0]
    given.graph.node.insert(0, constant)
    after = check(without(saved(given, tmp_path)), tmp_path / "out")
    assert [node.op_type for node in after.graph.node] == ["Gemm", "Relu", "Identity", "Gemm"]


def test_nodes_in_any_order(tmp_path: Path) -> None:
    given = proto_of()
    nodes = list(given.graph.node)[::-1]
    del given.graph.node[:]
    given.graph.node.extend(nodes)
    check(without(saved(given, tmp_path)), tmp_path / "out")


def test_a_node_behind_the_layer_keeps_declared_shapes(tmp_path: Path) -> None:
    given = proto_of()
    given.graph.value_info.append(helper.make_tensor_value_info("r", 1, ["N", 200]))
    found = without(saved(given, tmp_path), value=-0.5)
    assert found.layers[0].node
    (tmp_path / "out").mkdir()
    ModelFiles(found.model).write(tmp_path / "out")
    path = tmp_path / "out" / "model.onnx"
    onnx.checker.check_model(path, full_check=True)
    np.testing.assert_allclose(run(path), expected(-0.5), rtol=1e-5, atol=1e-5)
    declared = {info.name: info for info in onnx.load(path).graph.value_info}
    assert declared["r"] == given.graph.value_info[0]


def test_external_data_stay_external_under_a_name_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "given.onnx"
    onnx.save(proto_of(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    found = without(path)
    assert ModelFiles(found.model).names == ("model.onnx", "model.onnx.data")
    check(found, tmp_path / "out")
    after = onnx.load(tmp_path / "out" / "model.onnx", load_external_data=False)
    places = {t.name: [e.value for e in t.external_data] for t in after.graph.initializer}
    assert places["w"][0] == places["v"][0] == "model.onnx.data"
    again = without(path)  # the file is as it was
    np.testing.assert_array_equal(
        again.model.graph.initializers["v"].const_value.numpy(),  # type: ignore[union-attr]
        WEIGHTS["v"],
    )


def test_external_data_of_attributes_move_inside(tmp_path: Path) -> None:
    given = proto_of("h = Gemm(x, w)  r = Relu(h)  y = Gemm(r, v)")
    given.graph.node.insert(
        0, helper.make_node("Constant", [], ["v"], value=given.graph.initializer[1])
    )
    del given.graph.initializer[1]
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "given.onnx"
    onnx.save(
        given, path, save_as_external_data=True, location="w.bin", size_threshold=0,
        convert_attribute=True,
    )  # fmt: skip
    found = without(path)
    check(found, tmp_path / "out")
    for source in (tmp_path / "in").iterdir():
        source.unlink()
    np.testing.assert_allclose(run(tmp_path / "out" / "model.onnx"), expected(), rtol=1e-4)


def test_an_opset_that_means_something_else_is_raised(tmp_path: Path) -> None:
    found = without(saved(with_biases(7), tmp_path))
    after = check(found, tmp_path / "out")
    assert after.opset_import[0].version == 18
    assert "because operators of opset 7 are not edited" in found.model.notes[-1]


def with_biases(opset: int) -> onnx.ModelProto:
    """Gemm needs its third input before opset 11."""
    proto = proto_of("h = Gemm(x, w, b)  r = Relu(h)  y = Gemm(r, v, c)", opset=opset)
    for name, count in (("b", 200), ("c", 2)):
        proto.graph.initializer.append(numpy_helper.from_array(np.zeros(count, np.float32), name))
    return proto


def test_a_layer_inside_a_function_is_had_by_inlining(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        g (float[N,3] x) => (float[N,2] y) { r = local.hidden(x, w)  y = Gemm(r, v) }
        <domain: "local", opset_import: ["" : 18]>
        hidden (a, b) => (d) { c = Gemm(a, b)  d = Relu(c) }"""
    given = parser.parse_model(text)
    given.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in WEIGHTS.items())
    path = saved(given, tmp_path)
    at_top = without(path)
    assert "is no standard operator" in at_top.layers[0].why
    assert [function.name for function in check(at_top, tmp_path / "a").functions] == ["hidden"]
    inner = next(layer.name for layer in units.layers(load(path)) if layer.op_type == "Gemm")
    model = load(path)
    start = editable(model, [inner], Limits())
    assert "functions inlined" in start.notes[-1]
    found = edited(start, [Removal(units.layer(model, inner), (1,), np.full(200, 0.5))])
    assert not check(found, tmp_path / "b").functions


def test_a_file_that_has_changed_or_gone(tmp_path: Path) -> None:
    path = saved(proto_of(), tmp_path)
    model = load(path)
    saved(proto_of(opset=14), tmp_path)
    with pytest.raises(InvalidModel, match=r"given\.onnx has changed since the run began"):
        editable(model, ["r"], Limits())
    path.unlink()
    with pytest.raises(InvalidModel, match="does not exist"):
        editable(model, ["r"], Limits())


def test_half_precision_is_told(tmp_path: Path) -> None:
    assert not half_precision(load(saved(proto_of(), tmp_path)))
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[N,3] x) => (float[N,3] y)
        { a = Cast<to = 10>(x)  y = Cast<to = 1>(a) }"""
    assert half_precision(load(saved(parser.parse_model(text), tmp_path)))


def test_a_model_too_large_for_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mho.graph.model._MAX_PROTO_BYTES", 1000)
    found = without(saved(proto_of(), tmp_path))
    assert ModelFiles(found.model).names == ("model.onnx", "model.onnx.data")
    check(found, tmp_path / "out")
