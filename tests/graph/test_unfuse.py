"""Fused operators against their parts: onnxruntime must give the same numbers for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper, parser

from graph.fused_cases import CASES, PADDED, B, Case, D, N, S, ids, model_of, normal
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.fusion import entries
from mho.graph.load import load
from mho.graph.model import Model, serialized
from mho.graph.units import layers


def loaded(model: onnx.ModelProto, folder: Path) -> Model:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return load(path)


def run(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options).run(None, feeds)


def evaluated(model: Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    data = serialized(model.ir)
    assert data is not None
    return run(data, feeds)


def domains(model: Model) -> set[str]:
    return {node.domain for node in model.graph.all_nodes()}


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("opset", [12, 18])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_parts_come_to_the_same(case: Case, opset: int, symbolic: bool, tmp_path: Path) -> None:
    inputs = case.inputs()
    feeds = {f"x{i}": array for i, array in inputs.items() if i not in case.weights}
    model = model_of(case, inputs, opset, symbolic=symbolic)
    found = loaded(model, tmp_path)
    if case.note == "ends and starts" and symbolic:
        assert domains(found) == {"com.microsoft"}  # the mask might be in the CUDA kernel's form
        return
    assert domains(found) == {""}
    got = evaluated(found, feeds)
    if case.formula is None:
        wanted = run(model.SerializeToString(), feeds)
    else:
        options = case.attributes
        wanted = [case.formula(*(inputs[i] for i in sorted(inputs)), **options)]
    for value, expected, entry in zip(got, wanted, found.outputs, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
        assert len(entry.shape) == expected.ndim
        assert entry.shape[-1] == expected.shape[-1] or not isinstance(entry.shape[-1], int)
        if case.op != "FusedMatMul":
            assert not symbolic or entry.shape[0] == "batch"
        if not symbolic:
            assert entry.shape == expected.shape


def test_every_fused_operator_has_a_case() -> None:
    tried = {(case.domain, case.op) for case in CASES}
    assert {key for key, operator in entries().items() if not operator.at_once} == tried


ACTIVATED = {
    "with a sum": 'y = com.microsoft.FusedConv<activation = "Relu">(x, w, b, z)',
    "with parameters": (
        'y = com.microsoft.FusedConv<activation = "LeakyRelu", activation_params = [0.3], '
        "pads = [1, 1, 1, 1], strides = [2, 2]>(x, w, b)"
    ),
    "plain": "y = com.microsoft.FusedConv(x, w, b)",
}


@pytest.mark.parametrize("kind", ACTIVATED)
def test_a_convolution_is_taken_apart_in_any_opset(kind: str, tmp_path: Path) -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 11, "com.microsoft" : 1]> '
        f"g (float[N,2,5,5] x, float[N,4,3,3] z) => (float[N,4,3,3] y) {{ {ACTIVATED[kind]} }}"
    )
    rng = np.random.default_rng(0)
    for name, shape in (("w", (4, 2, 3, 3)), ("b", (4,))):
        model.graph.initializer.append(numpy_helper.from_array(normal(*shape)(rng), name))
    found = loaded(model, tmp_path)
    assert domains(found) == {""}
    feeds = {"x": normal(2, 2, 5, 5)(rng), "z": normal(2, 4, 3, 3)(rng)}
    wanted = run(model.SerializeToString(), feeds)
    np.testing.assert_allclose(evaluated(found, feeds), wanted, atol=1e-5)


def test_a_product_is_taken_apart_with_its_activation(tmp_path: Path) -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]> '
        "g (float[N,3] x) => (float[N,4] y) { y = com.microsoft.FusedGemm"
        '<activation = "Elu", activation_alpha = 0.5, alpha = 2.0, transB = 1>(x, w, b) }'
    )
    rng = np.random.default_rng(0)
    for name, shape in (("w", (4, 3)), ("b", (4,))):
        model.graph.initializer.append(numpy_helper.from_array(normal(*shape)(rng), name))
    found = loaded(model, tmp_path)
    assert [node.op_type for node in found.graph] == ["Gemm", "Elu"]
    feeds = {"x": normal(2, 3)(rng)}
    wanted = run(model.SerializeToString(), feeds)
    np.testing.assert_allclose(evaluated(found, feeds), wanted, atol=1e-5)


# what is left as it is


def unary(op: str, *more: str, **attributes: Any) -> onnx.ModelProto:
    """``op`` of x ``(batch, places, features)`` and weights, between two Relus."""
    rng = np.random.default_rng(0)
    shapes = {"g": (D,), "w": (D, 3 * D), "b": (3 * D,), "skip": (S, D)}
    outputs = attributes.pop("outputs", ["y"])
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node(
            op, ["a", *more], outputs, name="fused", domain="com.microsoft", **attributes
        ),
        *(helper.make_node("Relu", [name], [f"{name}/relu"]) for name in outputs if name),
    ]
    fed = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", S, D])]
    given = [
        helper.make_tensor_value_info(f"{name}/relu", onnx.TensorProto.FLOAT, None)
        for name in outputs
        if name
    ]
    held = [
        numpy_helper.from_array(normal(*shapes[name])(rng), name) for name in more if name in shapes
    ]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(
        helper.make_graph(nodes, "g", fed, given, held), opset_imports=imports, ir_version=8
    )


LEFT = {
    "an output that the parts lack": unary(
        "Attention", "w", "b", num_heads=N, outputs=["y", "present"]
    ),
    "an attribute that is not known": unary("Gelu", approximate="none"),
    "an input that is not known": unary("QuickGelu", "g"),
    "an activation that is not known": unary("FusedGemm", "g", activation="Mish"),
    "rotation within attention": unary("Attention", "w", "b", num_heads=N, do_rotary=1),
    "heads that do not fit": unary("Attention", "w", "b", num_heads=3),
}


@pytest.mark.parametrize("why", LEFT)
def test_what_is_not_understood_stays(why: str, tmp_path: Path) -> None:
    found = loaded(LEFT[why], tmp_path)
    before = next(node for node in LEFT[why].graph.node if node.name == "fused")
    after = next(node for node in found.graph if node.name == "fused")
    assert after.domain == "com.microsoft"
    assert [value.name for value in after.outputs] == list(before.output)
    assert not any("taken apart" in note for note in found.notes)
    assert "mho.fused" not in found.ir.opset_imports


def test_states_of_a_model_that_is_left_run_as_before(tmp_path: Path) -> None:
    model = LEFT["an output that the parts lack"]
    feeds = {"x": normal(B, S, D)(np.random.default_rng(0))}
    found = evaluated(loaded(model, tmp_path), feeds)
    for got, wanted in zip(found, run(model.SerializeToString(), feeds), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


# in a model


def test_parts_are_named_after_the_result_and_take_its_place(tmp_path: Path) -> None:
    found = loaded(unary("SkipLayerNormalization", "skip", "g"), tmp_path)
    assert [node.op_type for node in found.graph] == ["Relu", "Add", "LayerNormalization", "Relu"]
    assert [node.outputs[0].name for node in found.graph] == ["a", "y/Add", "y", "y/relu"]
    assert found.notes == ("fused operators were taken apart: SkipLayerNormalization",)


@pytest.mark.parametrize(
    "op", ["Gelu", "FastGelu", "QuickGelu", "SkipSimplifiedLayerNormalization"]
)
def test_parts_have_the_type_of_their_inputs(op: str, tmp_path: Path) -> None:
    model = unary(op, *(("skip", "g") if op.startswith("Skip") else ()))
    for entry in (*model.graph.input, *model.graph.output):
        entry.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for i, tensor in enumerate(model.graph.initializer):
        half = numpy_helper.to_array(tensor).astype(np.float16)
        model.graph.initializer[i].CopyFrom(numpy_helper.from_array(half, tensor.name))
    found = loaded(model, tmp_path)
    assert domains(found) == {""}
    feeds = {"x": normal(B, S, D)(np.random.default_rng(0))}
    single = unary(op, *(("skip", "g") if op.startswith("Skip") else ()))
    (wanted,) = run(single.SerializeToString(), feeds)
    (got,) = evaluated(found, {"x": feeds["x"].astype(np.float16)})
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, wanted, atol=2e-2)


def test_a_branch_is_looked_into(tmp_path: Path) -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
        g (float[N,3] x, bool c) => (float[N,3] y) {
            a = com.microsoft.QuickGelu(x)
            y = If(c) <
                then_branch = t () => (float[N,3] p) { p = com.microsoft.QuickGelu(a) },
                else_branch = e () => (float[N,3] q) { q = com.microsoft.FastGelu(a) }
            >
        }"""
    )
    found = loaded(model, tmp_path)
    assert domains(found) == {""}
    for c in (True, False):
        feeds = {"x": normal(2, 3)(np.random.default_rng(0)), "c": np.asarray(c)}
        wanted = run(model.SerializeToString(), feeds)
        np.testing.assert_allclose(evaluated(found, feeds), wanted, atol=1e-5)


def encoder() -> onnx.ModelProto:
    """A layer of BERT as onnxruntime's optimiser leaves it, of opset 12."""
    text = """<ir_version: 8, opset_import: ["" : 12, "com.microsoft" : 1]>
        g (int32[batch,places] ids, int32[batch,places] segments, int32[batch,places] mask)
            => (float[batch,3] logits) {
        embedded, open = com.microsoft.EmbedLayerNormalization <epsilon = 1e-12>
            (ids, segments, words, rows, kinds, g, b, mask)
        context = com.microsoft.Attention <num_heads = 2> (embedded, qkv, qkv_b, open)
        mixed = MatMul(context, square)
        first = com.microsoft.SkipLayerNormalization(mixed, embedded, g, b, b)
        wide = MatMul(first, up)
        hidden = com.microsoft.BiasGelu(wide, up_b)
        narrow = MatMul(hidden, down)
        second = com.microsoft.SkipLayerNormalization(narrow, first, g, b, b)
        zero = Constant <value = int64 {0}> ()
        pooled = Gather <axis = 1> (second, zero)
        logits = Gemm(pooled, head)
    }"""
    model = parser.parse_model(text)
    rng = np.random.default_rng(0)
    shapes = {
        "words": (7, D),
        "rows": (9, D),
        "kinds": (2, D),
        "g": (D,),
        "b": (D,),
        "qkv": (D, 3 * D),
        "qkv_b": (3 * D,),
        "square": (D, D),
        "up": (D, 4 * D),
        "up_b": (4 * D,),
        "down": (4 * D, D),
        "head": (D, 3),
    }
    for name, shape in shapes.items():
        model.graph.initializer.append(numpy_helper.from_array(normal(*shape)(rng), name))
    return model


def test_an_optimised_transformer_is_raised_and_its_layers_are_listed(tmp_path: Path) -> None:
    model = encoder()
    found = loaded(model, tmp_path)
    assert domains(found) == {""}
    assert found.notes == (
        "the model was raised from opset 12 to 18",
        "fused operators were taken apart: Attention, BiasGelu, EmbedLayerNormalization, "
        "SkipLayerNormalization",
    )
    listed = {layer.name: layer for layer in layers(found)}
    assert {"context/Add", "mixed", "first", "hidden", "second", "logits"} <= set(listed)
    assert listed["hidden"].shape == ("batch", "places", 4 * D)
    assert listed["hidden"].units == 4 * D
    rng = np.random.default_rng(1)
    feeds = {
        "ids": ids(7, B, S)(rng),
        "segments": ids(2, B, S)(rng),
        "mask": np.asarray(PADDED, np.int32),
    }
    wanted = run(model.SerializeToString(), feeds)
    np.testing.assert_allclose(evaluated(found, feeds), wanted, atol=1e-5)


def test_what_onnxruntime_fuses_is_taken_apart_again(tmp_path: Path) -> None:
    first = loaded(encoder(), tmp_path)
    data = serialized(first.ir)
    assert data is not None
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(data, options)
    saved = onnx.load(tmp_path / "optimised.onnx")
    assert {node.domain for node in saved.graph.node} == {"", "com.microsoft"}
    again = load(tmp_path / "optimised.onnx")
    assert domains(again) == {""}
    rng = np.random.default_rng(1)
    feeds = {
        "ids": ids(7, B, S)(rng),
        "segments": ids(2, B, S)(rng),
        "mask": np.asarray(PADDED, np.int32),
    }
    np.testing.assert_allclose(evaluated(again, feeds), evaluated(first, feeds), atol=1e-5)


def test_a_gradient_passes_through_an_optimised_transformer(tmp_path: Path) -> None:
    found = loaded(encoder(), tmp_path)
    blocked = obstacles(found.graph, tensor_named(found.graph, "logits"))
    assert tensor_named(found.graph, "embedded") not in blocked
