"""Loading: what runs must run as before, and what is wrong is refused in one clear sentence."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from graph.light import FOLDER, NAMES
from mho.errors import InvalidModel
from mho.graph.load import Limits, load
from mho.graph.model import Model, serialized

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

RELU = '<ir_version: 8, opset_import: ["" : 18]> g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }'


def model_of(text: str) -> onnx.ModelProto:
    return parser.parse_model(text)


def loaded(model: onnx.ModelProto, folder: Path, limits: Limits | None = None) -> Model:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return load(path, limits)


def session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options)


def run(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return session(model).run(None, feeds)


def feeds_for(running: ort.InferenceSession) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    feeds = {}
    for spec in running.get_inputs():
        shape = [d if isinstance(d, int) else 2 for d in spec.shape]
        whole = "int" in spec.type
        array = rng.integers(0, 50, shape) if whole else rng.standard_normal(shape)
        feeds[spec.name] = array.astype(np.int64 if whole else np.float32)
    return feeds


def same_outputs(model: onnx.ModelProto, folder: Path) -> Model:
    found = loaded(model, folder)
    before = session(model.SerializeToString())
    after = serialized(found.ir)
    assert after is not None
    feeds = feeds_for(before)
    for expected, got in zip(before.run(None, feeds), run(after, feeds), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    return found


def names_in(model: Model) -> set[str]:
    values = {v.name or "" for node in model.graph for v in node.outputs}
    return values | {v.name or "" for v in model.graph.inputs} | set(model.graph.initializers)


# ---- what is good -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_real_graphs_run_as_before_and_keep_their_names(name: str, tmp_path: Path) -> None:
    original = onnx.load(FOLDER / f"light_{name}.onnx")
    found = same_outputs(original, tmp_path)
    assert found.ir.opset_imports[""] == 18
    made = {value for node in original.graph.node for value in node.output if value}
    dropout_masks = {n.output[1] for n in original.graph.node if n.op_type == "Dropout"}
    assert made - names_in(found) <= dropout_masks
    assert [o.name for o in found.outputs] == [o.name for o in original.graph.output]
    assert len(found.inputs) == 1


@pytest.mark.parametrize("name", ["squeezenet1.0", "textcnn_mr"])
def test_real_models_run_as_before(name: str, tmp_path: Path) -> None:
    if not (DATA / f"{name}.onnx").exists():
        pytest.skip(f"shared/data/{name}.onnx is not there")
    found = same_outputs(onnx.load(DATA / f"{name}.onnx"), tmp_path)
    assert all(v.shape is not None for node in found.graph for v in node.outputs)


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    data = model_of(RELU).SerializeToString()
    assert loaded(model_of(RELU), tmp_path).digest == hashlib.sha256(data).hexdigest()


def test_inputs_with_a_default_are_not_asked_for(tmp_path: Path) -> None:
    model = model_of(
        '<ir_version: 3, opset_import: ["" : 9]> '
        "g (float[1,2] x, float[2] w = {1.0, 2.0}) => (float[1,2] y) { y = Mul(x, w) }"
    )
    assert [spec.name for spec in same_outputs(model, tmp_path).inputs] == ["x"]


def test_functions_are_inlined(tmp_path: Path) -> None:
    model = model_of("""
        <ir_version: 8, opset_import: ["" : 18, "mine" : 1]>
        g (float[N,3] x) => (float[N,3] y) { h = mine.twice(x)  y = mine.twice(h) }
        <domain: "mine", opset_import: ["" : 18]>
        twice (a) => (b) { c = Add(a, a)  b = Relu(c) }""")
    found = same_outputs(model, tmp_path)
    assert [node.op_type for node in found.graph] == ["Add", "Relu", "Add", "Relu"]
    assert {"x", "h", "y"} <= names_in(found)
    assert not found.ir.functions


def test_constants_become_initialisers(tmp_path: Path) -> None:
    model = model_of(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[N,3] x) => (float[N,3] y) '
        "{ c = Constant<value_floats = [1.0, 2.0, 3.0]>()  y = Add(x, c) }"
    )
    found = same_outputs(model, tmp_path)
    assert [node.op_type for node in found.graph] == ["Add"]
    assert list(found.graph.initializers) == ["c"]


def test_old_models_are_raised_to_opset_18(tmp_path: Path) -> None:
    model = model_of(
        '<ir_version: 4, opset_import: ["" : 9]> g (float[1,2,1] x) => (float[1,2] y) '
        "{ s = Squeeze<axes = [2]>(x)  y = Softmax(s) }"
    )
    found = same_outputs(model, tmp_path)
    assert found.ir.opset_imports[""] == 18
    assert "the model was raised from opset 9 to 18" in found.notes


def test_newer_models_keep_their_opset(tmp_path: Path) -> None:
    newest = onnx.defs.onnx_opset_version()
    for version in (19, newest):
        text = RELU.replace('"" : 18', f'"" : {version}').replace("ir_version: 8", "ir_version: 10")
        assert loaded(model_of(text), tmp_path).ir.opset_imports[""] == version


def test_large_weights_survive_the_upgrade(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    model = model_of(
        '<ir_version: 7, opset_import: ["" : 11]> g (float[N,64] x) => (float[N,32] y) '
        "{ y = MatMul(x, w) }"
    )
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    found = same_outputs(model, tmp_path)
    np.testing.assert_array_equal(found.graph.initializers["w"].const_value.numpy(), weight)
    assert [spec.name for spec in found.inputs] == ["x"]


def test_unsorted_nodes_are_sorted(tmp_path: Path) -> None:
    model = model_of(RELU)
    model.graph.node.insert(0, helper.make_node("Neg", ["y"], ["z"], name="late"))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 3]))
    assert [node.op_type for node in loaded(model, tmp_path).graph] == ["Relu", "Neg"]


def test_every_node_gets_a_unique_name(tmp_path: Path) -> None:
    model = model_of(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[N,3] x) => (float[N,3] y) '
        "{ a = Relu(x)  b = Relu(a)  y = Relu(b) }"
    )
    names = [node.name for node in loaded(model, tmp_path).graph]
    assert len(set(names)) == 3
    assert all(names)


def test_an_input_that_is_an_output_gets_its_own_node(tmp_path: Path) -> None:
    model = model_of(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[N,3] x) => (float[N,3] y, float[N,3] z) '
        "{ y = Relu(x)  z = Identity(x) }"
    )
    assert [o.name for o in loaded(model, tmp_path).outputs] == ["y", "z"]


def test_subgraphs_are_kept(tmp_path: Path) -> None:
    model = model_of("""
        <ir_version: 8, opset_import: ["" : 18]>
        g (float[2] x, bool c) => (float[2] y) {
          y = If (c) <then_branch = t () => (float[2] a) { a = Relu(x) },
                      else_branch = e () => (float[2] b) { k = Constant<value_float = 2.0>()
                                                           b = Mul(x, k) }>
        }""")
    found = loaded(model, tmp_path)
    data = serialized(found.ir)
    x = np.asarray([-1, 3], np.float32)
    assert data is not None
    np.testing.assert_array_equal(run(data, {"x": x, "c": np.asarray(False)})[0], [-2, 6])
    np.testing.assert_array_equal(run(data, {"x": x, "c": np.asarray(True)})[0], [0, 3])


# ---- shape arithmetic ---------------------------------------------------------------------------

FLATTENED = """
    <ir_version: 8, opset_import: ["" : 18]> g (float[BATCH,3,4,5] x) => (float[BATCH,3,20] y) {
      s = Shape(x)
      i = Constant<value_int = 0>()  j = Constant<value_int = 1>()
      n = Gather(s, i)  c = Gather(s, j)
      ax = Constant<value_ints = [0]>()
      n1 = Unsqueeze(n, ax)  c1 = Unsqueeze(c, ax)  rest = Constant<value_ints = [-1]>()
      t = Concat<axis = 0>(n1, c1, rest)
      y = Reshape(x, t)
    }"""


@pytest.mark.parametrize("batch", ["N", "1"])
def test_shape_arithmetic_is_folded_but_for_the_batch(batch: str, tmp_path: Path) -> None:
    found = same_outputs(model_of(FLATTENED.replace("BATCH", batch)), tmp_path)
    left = [node.op_type for node in found.graph]
    assert left == ["Shape", "Gather", "Unsqueeze", "Concat", "Reshape"]
    np.testing.assert_array_equal(found.graph.initializers["c1"].const_value.numpy(), [3])


def test_a_fixed_dimension_elsewhere_is_folded(tmp_path: Path) -> None:
    model = model_of(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[N,16] x) => (float[N,16] y) '
        "{ s = Shape<start = 1>(x)  f = Cast<to = 1>(s)  r = Sqrt(f)  y = Div(x, r) }"
    )
    found = same_outputs(model, tmp_path)
    assert [node.op_type for node in found.graph] == ["Div"]
    np.testing.assert_array_equal(found.graph.initializers["r"].const_value.numpy(), [4])


BOMBS = {
    "ConstantOfShape": "{ b = ConstantOfShape(n)  r = ReduceSum<keepdims = 0>(b)  y = Add(x, r) }",
    "Expand": "{ b = Expand(one, n)  r = ReduceSum<keepdims = 0>(b)  y = Add(x, r) }",
    "Tile": "{ b = Tile(one, n)  r = ReduceSum<keepdims = 0>(b)  y = Add(x, r) }",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize(
    ("size", "words"),
    [([2_000_000_000], "depend on no input"), ([2_000_000_000] * 2, "elements for one input")],
)
@pytest.mark.timeout(20)
def test_constants_that_blow_up_are_refused(
    name: str, size: list[int], words: str, tmp_path: Path
) -> None:
    model = model_of(
        f'<ir_version: 8, opset_import: ["" : 18]> g (float[1] x) => (float[1] y) {BOMBS[name]}'
    )
    one = np.ones([1] * len(size), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(size, np.int64), "n"))
    model.graph.initializer.append(numpy_helper.from_array(one, "one"))
    with pytest.raises(InvalidModel, match=words):
        loaded(model, tmp_path)


@pytest.mark.timeout(20)
def test_a_chain_of_doublings_is_cheap(tmp_path: Path) -> None:
    steps = "".join(f"v{i + 1} = Concat<axis = 0>(v{i}, v{i})  " for i in range(24))
    model = model_of(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[N] x) => (float y) '
        f"<int64[2] v0 = {{1, 2}}> {{ {steps} f = Cast<to = 1>(v24) "
        "r = ReduceSum<keepdims = 0>(f)  q = ReduceSum<keepdims = 0>(x)  y = Add(r, q) }"
    )
    found = loaded(model, tmp_path)
    assert max(v.const_value.size for v in found.graph.initializers.values()) <= 1024


@pytest.mark.timeout(20)
def test_a_range_bomb_is_not_computed(tmp_path: Path) -> None:
    model = model_of(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[N] x) => (float y) '
        "<int64 a = {0}, int64 b = {4000000000000}, int64 d = {1}> { v = Range(a, b, d) "
        "s = Shape(v)  f = Cast<to = 1>(s)  r = ReduceSum<keepdims = 0>(f) "
        "q = ReduceSum<keepdims = 0>(x)  y = Add(r, q) }"
    )
    found = loaded(model, tmp_path)  # only its length is asked for, which is known without it
    np.testing.assert_allclose(found.graph.initializers["r"].const_value.numpy(), 4e12)
    assert "Range" not in {node.op_type for node in found.graph}


# ---- what is no model ---------------------------------------------------------------------------


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


FOREIGN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "random": (np.random.default_rng(0).bytes(4000), "parsed|truncated|no graph"),
    "zeros": (bytes(1000), "parsed|truncated|no graph"),
    "ort": (b"\x1c\x00\x00\x00ORTM" + bytes(64), "ORT-format"),
    "tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite"),
    "json": (b'{"irVersion": 8, "graph": {}}', "JSON"),
    "text": (b"weights: none", "is text"),
    "onnx text": (RELU.encode(), "text form"),
    "html": (b"<!DOCTYPE html><html>", "HTML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "LFS"),
    "zip": (zipped("model.onnx"), "zip archive"),
    "torchscript": (zipped("m/data.pkl", "m/constants.pkl"), "torch.onnx.export"),
    "keras": (zipped("config.json", "model.weights.h5"), "Keras"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    "pickle": (b"\x80\x02}q\x00.", "pickle"),
    "gzip": (gzip.compress(b"x"), "gzip"),
    "safetensors": (
        b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"a": 1}        ' + bytes(9),
        "safetensors",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_onnx_is_called_by_its_name(kind: str, tmp_path: Path) -> None:
    data, words = FOREIGN[kind]
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidModel, match=words):
        load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model_is_refused(share: float, tmp_path: Path) -> None:
    data = (FOLDER / "light_squeezenet.onnx").read_bytes()
    path = tmp_path / "model.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidModel, match="truncated"):
        load(path)


def test_damaged_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    data = bytearray(model_of(FLATTENED.replace("BATCH", "1")).SerializeToString())
    path = tmp_path / "model.onnx"
    for _ in range(150):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            broken[at] = rng.integers(0, 256)
        path.write_bytes(broken)
        with contextlib.suppress(InvalidModel):
            load(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="does not exist"):
        load(tmp_path / "none.onnx")
    with pytest.raises(InvalidModel, match="is a folder"):
        load(tmp_path)


# ---- limits -------------------------------------------------------------------------------------


def test_too_many_bytes(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="at most 10 are allowed"):
        loaded(model_of(RELU), tmp_path, Limits(max_bytes=10))


def test_too_many_nodes(tmp_path: Path) -> None:
    model = model_of(RELU)
    model.graph.node.extend(helper.make_node("Relu", ["x"], [f"v{i}"]) for i in range(100))
    with pytest.raises(InvalidModel, match="more than 100 nodes"):
        loaded(model, tmp_path, Limits(max_nodes=100))


@pytest.mark.timeout(60)
def test_a_million_nodes_are_refused_soon(tmp_path: Path) -> None:
    model = model_of(RELU)
    node = helper.make_node("Relu", ["x"], ["v"]).SerializeToString()
    piece = b"\x0a" + bytes([len(node)]) + node  # field 1 of GraphProto: a node
    body = model.graph.SerializeToString() + piece * 1_000_000
    model.ClearField("graph")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString() + b"\x3a" + varint(len(body)) + body)
    with pytest.raises(InvalidModel, match="more than 200000 nodes"):
        load(path)


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def nested(depth: int) -> onnx.ModelProto:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "inner", [], [output])
    for i in range(depth):
        made = helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [1])
        node = helper.make_node("If", ["c"], [f"y{i}"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], f"level{i}", [], [made])
    graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]))
    graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_deep_subgraphs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="nested 3 deep"):
        loaded(nested(4), tmp_path, Limits(max_nesting=2))


def test_protobuf_nesting_beyond_100_is_refused(tmp_path: Path) -> None:
    data = b""
    for _ in range(200):  # an attribute (g) of a node of a graph, again and again
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            data = tag + varint(len(data)) + data
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08\x3a" + varint(len(data)) + data)
    with pytest.raises(InvalidModel, match="deeper than 100"):
        load(path)


def test_functions_that_multiply_are_refused(tmp_path: Path) -> None:
    calls = "  ".join(f"c{i} = mine.f0(a)" for i in range(10))
    text = (
        '<ir_version: 8, opset_import: ["" : 18, "mine" : 1]> '
        "g (float[N] x) => (float[N] y) { y = mine.f9(x) } "
        '<domain: "mine", opset_import: ["" : 18, "mine" : 1]> f0 (a) => (b) { b = Relu(a) } '
    )
    for level in range(1, 10):
        calls = "  ".join(f"c{i} = mine.f{level - 1}(a)" for i in range(10))
        text += (
            '<domain: "mine", opset_import: ["" : 18, "mine" : 1]> '
            f"f{level} (a) => (b) {{ {calls}  b = Sum(c0, c1) }} "
        )
    with pytest.raises(InvalidModel, match="once its functions are inlined"):
        loaded(model_of(text), tmp_path)


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 18, "mine" : 1]> '
        "g (float[N] x) => (float[N] y) { y = mine.f(x) } "
        '<domain: "mine", opset_import: ["" : 18, "mine" : 1]> f (a) => (b) { b = mine.f(a) }'
    )
    with pytest.raises(InvalidModel, match="'f' calls itself"):
        loaded(model_of(text), tmp_path)


# ---- graphs that cannot be ----------------------------------------------------------------------


def edited(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = model_of(RELU)
    change(model)
    return model


def weight(name: str = "w", **fields: object) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), name)
    for field, value in fields.items():
        if isinstance(value, list):
            tensor.ClearField(field)
            getattr(tensor, field).extend(value)
        else:
            setattr(tensor, field, value)
    return tensor


BROKEN: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "custom operator": (
        lambda m: setattr(m.graph.node[0], "domain", "acme.ops"),
        "custom operator of domain 'acme.ops'",
    ),
    "operator of no opset": (
        lambda m: setattr(m.graph.node[0], "op_type", "Relux"),
        "'Relux' does not exist in operator set 'ai.onnx' version 18",
    ),
    "operator of a later opset": (
        lambda m: setattr(m.graph.node[0], "op_type", "Gelu"),
        "'Gelu' does not exist",
    ),
    "unknown opset": (
        lambda m: setattr(m.opset_import[0], "version", 999),
        "version 999 is unknown",
    ),
    "negative opset": (
        lambda m: setattr(m.opset_import[0], "version", -1),
        "version -1 is unknown",
    ),
    "no opset": (lambda m: m.ClearField("opset_import"), "names no operator set"),
    "two opsets": (
        lambda m: m.opset_import.append(helper.make_opsetid("", 17)),
        "in versions 18 and 17",
    ),
    "microsoft without import": (
        lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"),
        "does not import",
    ),
    "no outputs": (lambda m: m.graph.ClearField("output"), "has no outputs"),
    "output from nowhere": (
        lambda m: setattr(m.graph.output[0], "name", "z"),
        "output 'z' is made by no node",
    ),
    "input from nowhere": (
        lambda m: m.graph.node[0].input.__setitem__(0, "z"),
        "reads 'z', which nothing makes",
    ),
    "duplicate names": (
        lambda m: m.graph.node.append(helper.make_node("Neg", ["x"], ["y"])),
        "the name 'y' is given to two values",
    ),
    "duplicate initialisers": (
        lambda m: m.graph.initializer.extend([weight(), weight()]),
        "the name 'w' is given to two values",
    ),
    "cycle": (
        lambda m: m.graph.node.extend(
            [helper.make_node("Neg", ["b"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
        ),
        "cycle",
    ),
    "wrong bytes": (
        lambda m: m.graph.initializer.append(weight(raw_data=b"1234")),
        "needs 12 bytes, but holds 4",
    ),
    "shape that claims a terabyte": (
        lambda m: m.graph.initializer.append(weight(dims=[1 << 40])),
        "holds 12",
    ),
    "negative dimension of a weight": (
        lambda m: m.graph.initializer.append(weight(dims=[-3])),
        "must not be negative",
    ),
    "overflowing product": (
        lambda m: m.graph.initializer.append(weight(dims=[1 << 32, 1 << 32])),
        "overflows",
    ),
    "rank 100": (
        lambda m: m.graph.initializer.append(weight(dims=[1] * 100)),
        "100 dimensions",
    ),
    "unknown element type": (
        lambda m: m.graph.initializer.append(weight(data_type=77)),
        "element type 77",
    ),
    "negative dimension of an input": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", -3),
        "must not be negative",
    ),
    "lying output shape": (
        lambda m: setattr(m.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 7),
        "contradict",
    ),
    "lying output type": (
        lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", TensorProto.INT64),
        "contradict",
    ),
    "operands that do not fit": (
        lambda m: (
            m.graph.initializer.append(weight(dims=[3])),
            m.graph.node[0].CopyFrom(helper.make_node("MatMul", ["x", "v"], ["y"])),
            m.graph.initializer.append(numpy_helper.from_array(np.ones((4, 3), np.float32), "v")),
        ),
        "contradict",
    ),
    "missing attribute": (
        lambda m: m.graph.node[0].CopyFrom(helper.make_node("Concat", ["x", "x"], ["y"])),
        "axis",
    ),
    "sparse initialiser": (
        lambda m: m.graph.sparse_initializer.append(
            helper.make_sparse_tensor(
                helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0]),
                helper.make_tensor("i", TensorProto.INT64, [1], [0]),
                [3],
            )
        ),
        "sparse",
    ),
    "no graph": (lambda m: m.ClearField("graph"), "no graph"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_graph_is_refused(fault: str, tmp_path: Path) -> None:
    change, words = BROKEN[fault]
    with pytest.raises(InvalidModel, match=words) as caught:
        loaded(edited(change), tmp_path)
    assert len(caught.value.message) < 500


def test_ai_onnx_is_the_default_domain(tmp_path: Path) -> None:
    def rename(model: onnx.ModelProto) -> None:
        model.opset_import[0].domain = "ai.onnx"
        model.graph.node[0].domain = "ai.onnx"

    assert [node.domain for node in loaded(edited(rename), tmp_path).graph] == [""]


def test_training_information_is_ignored_and_said_so(tmp_path: Path) -> None:
    found = loaded(edited(lambda m: m.training_info.add()), tmp_path)
    assert "training information in the file is ignored" in found.notes


def test_a_model_with_zero_dimensions_loads(tmp_path: Path) -> None:
    model = edited(lambda m: m.graph.initializer.append(weight(dims=[0], raw_data=b"")))
    assert loaded(model, tmp_path).ir.opset_imports[""] == 18


def test_the_graph_is_named_in_ir(tmp_path: Path) -> None:
    model = edited(lambda m: setattr(m.graph, "name", ""))
    assert isinstance(loaded(model, tmp_path).ir, ir.Model)


def test_strings_are_no_obstacle(tmp_path: Path) -> None:
    model = model_of(RELU)
    names = helper.make_tensor("names", TensorProto.STRING, [3], [b"a", b"b", b"c"])
    model.graph.initializer.append(names)
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(0, np.int64), "i"))
    model.graph.node.append(helper.make_node("Gather", ["names", "i"], ["first"]))
    model.graph.output.append(helper.make_tensor_value_info("first", TensorProto.STRING, []))
    assert loaded(model, tmp_path).outputs[1].dtype == "string"


def test_scan_of_opset_8_is_refused(tmp_path: Path) -> None:
    model = model_of(RELU.replace('"" : 18', '"" : 8'))
    body = helper.make_graph(
        [helper.make_node("Identity", ["i"], ["o"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [3])],
    )
    scan = helper.make_node("Scan", ["", "x"], ["z"], body=body, num_scan_inputs=1)
    model.graph.node.append(scan)
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    with pytest.raises(InvalidModel, match=r"Scan of opset 8|contradict"):
        loaded(model, tmp_path)


def test_the_layout_of_one_processor_is_refused(tmp_path: Path) -> None:
    model = edited(lambda m: setattr(m.graph.node[0], "domain", "com.microsoft.nchwc"))
    with pytest.raises(InvalidModel, match="as it was exported"):
        loaded(model, tmp_path)
