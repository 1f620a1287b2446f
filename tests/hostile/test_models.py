"""Files that are no model, external data that leads elsewhere, graphs and shapes that do harm."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from api.running import failure
from graph.test_external import LOCATIONS, NUMBERS, written
from graph.test_load import BOMBS, BROKEN, FOREIGN, RELU, edited, model_of, nested, varint
from hostile.attacked import Attacked, refused, tensor
from mho_client.v1 import models_pb2

OPSET = '<ir_version: 8, opset_import: ["" : 18]> '


def refuse(server: Attacked, content: bytes, **beside: bytes) -> str:
    files = {"m.onnx": content, **beside}
    return refused(lambda: server.mallory.make_model(files, "m.onnx"), "INVALID_MODEL")


# ---- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_model(server: Attacked, kind: str) -> None:
    refuse(server, FOREIGN[kind][0])


def test_truncated_models(server: Attacked) -> None:
    content = model_of(RELU).SerializeToString()
    for share in (0.1, 0.5, 0.9):
        refuse(server, content[: int(share * len(content))])


def test_a_length_of_three_gigabytes_in_few_bytes(server: Attacked) -> None:
    refuse(server, b"\x08\x08\x3a" + varint(3 * 2**30) + b"\x0a\x00")


def test_weights_of_three_gigabytes_in_few_bytes(server: Attacked) -> None:
    model = model_of(OPSET + "g (float[N,3] x) => (float[N,3] y) { y = Add(x, w) }")
    weight = model.graph.initializer.add(name="w", dims=[3 * 2**28], data_type=TensorProto.FLOAT)
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="w.bin")
    assert "has 4" in refuse(server, model.SerializeToString(), **{"w.bin": b"1234"})


def test_a_model_beyond_the_limit(server: Attacked) -> None:
    model = model_of(RELU)
    model.doc_string = "x" * (65 * 2**20)
    refuse(server, model.SerializeToString())


def test_messages_nested_beyond_100(server: Attacked) -> None:
    data = b""
    for _ in range(200):  # an attribute (g) of a node of a graph, again and again
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            data = tag + varint(len(data)) + data
    refuse(server, b"\x08\x08\x3a" + varint(len(data)) + data)


def test_subgraphs_nested_beyond_the_limit(server: Attacked) -> None:
    leaf, graph = nested(0).graph, nested(0).graph
    for level in range(20):
        made = helper.make_tensor_value_info(f"y{level}", TensorProto.FLOAT, [1])
        branches = {"then_branch": graph, "else_branch": leaf}
        node = helper.make_node("If", ["c"], [f"y{level}"], **branches)
        graph = helper.make_graph([node], f"level{level}", [], [made])
    model = nested(1)
    model.graph.node[0].attribute[0].g.CopyFrom(graph)
    assert "nested" in refuse(server, model.SerializeToString())


# ---- external data ------------------------------------------------------------------------------

ELSEWHERE = (
    *("/dev/zero", "/proc/self/environ", "../../mho.sqlite", "../../lock", "../../blobs"),
    *("./../../mho.sqlite", "a/./../../w.bin", "file:///etc/passwd", "W.bin"),
)


@pytest.mark.parametrize("location", [*LOCATIONS, *ELSEWHERE])
def test_external_data_that_leads_elsewhere(
    server: Attacked, location: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("model")
    content = written(folder, location=location).read_bytes()
    weights = (folder / "w.bin").read_bytes()
    files = {"model.onnx": content, "w.bin": weights}
    refused(lambda: server.mallory.make_model(files, "model.onnx"), "INVALID_MODEL")


@pytest.mark.parametrize("fault", NUMBERS)
def test_external_data_whose_numbers_do_not_fit(
    server: Attacked, fault: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("model")
    content = written(folder, **NUMBERS[fault][0]).read_bytes()
    refuse(server, content, **{"w.bin": (folder / "w.bin").read_bytes()})


NAMES: dict[str, tuple[str, ...]] = {
    "absolute": ("/tmp/w.bin",),
    "parent": ("../w.bin",),
    "parent within": ("a/../../w.bin",),
    "dot": ("./w.bin",),
    "backslash": ("..\\w.bin",),
    "drive": ("C:/w.bin",),
    "NUL": ("w.bin\0x",),
    "newline": ("w\n.bin",),
    "empty": ("",),
    "folder": ("a/",),
    "very long": ("x" * 300,),
    "longer": ("x/" * 600 + "w.bin",),
    "twice": ("w.bin", "w.bin"),
    "case": ("w.bin", "W.BIN"),
    "Unicode form": ("\u00e9.bin", "e\u0301.bin"),
    "file and folder": ("w.bin", "w.bin/x"),
    "the model's own": ("m.onnx",),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_files(server: Attacked, kind: str) -> None:
    mallory = server.mallory
    model = mallory.file("m.onnx", model_of(RELU).SerializeToString())
    files = [model, *(mallory.file(name, b"1234") for name in NAMES[kind])]
    request = models_pb2.CreateModelRequest(
        parent=mallory.parent, model=models_pb2.Model(files=files, main="m.onnx")
    )
    refused(lambda: mallory.models.CreateModel(request), "INVALID_OPTION", "INVALID_MODEL")


# ---- graphs and shapes --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", BROKEN)
def test_graphs_that_cannot_be(server: Attacked, fault: str) -> None:
    refuse(server, edited(BROKEN[fault][0]).SerializeToString())


@pytest.mark.parametrize("name", BOMBS)
def test_constants_that_blow_up(server: Attacked, name: str) -> None:
    for size in ([2_000_000_000], [2_000_000_000] * 2):
        model = model_of(OPSET + "g (float[1] x) => (float[1] y) " + BOMBS[name])
        one = np.ones([1] * len(size), np.float32)
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(size, np.int64), "n"))
        model.graph.initializer.append(numpy_helper.from_array(one, "one"))
        refuse(server, model.SerializeToString())


def test_a_million_nodes(server: Attacked) -> None:
    model = model_of(RELU)
    node = helper.make_node("Relu", ["x"], ["v"]).SerializeToString()
    body = model.graph.SerializeToString() + (b"\x0a" + bytes([len(node)]) + node) * 10**6
    model.ClearField("graph")
    content = model.SerializeToString() + b"\x3a" + varint(len(body)) + body
    assert "nodes" in refuse(server, content)


def test_functions_that_multiply_or_call_themselves(server: Attacked) -> None:
    head = '<ir_version: 8, opset_import: ["" : 18, "mine" : 1]> g (float[N] x) => (float[N] y) '
    domain = '<domain: "mine", opset_import: ["" : 18, "mine" : 1]> '
    refuse(
        server,
        model_of(
            head + "{ y = mine.f(x) } " + domain + "f (a) => (b) { b = mine.f(a) }"
        ).SerializeToString(),
    )
    text = head + "{ y = mine.f9(x) } " + domain + "f0 (a) => (b) { b = Relu(a) } "
    for level in range(1, 10):
        calls = "  ".join(f"c{i} = mine.f{level - 1}(a)" for i in range(10))
        text += domain + f"f{level} (a) => (b) {{ {calls}  b = Sum(c0, c1) }} "
    refuse(server, model_of(text).SerializeToString())


@pytest.mark.parametrize(
    "shape", ["N,0", "0,3", "9223372036854775807,3", "4294967296,4294967296,4294967296"]
)
def test_shapes_of_inputs(server: Attacked, shape: str) -> None:
    """Taken or refused: either way nothing breaks."""
    content = model_of(RELU.replace("N,3", shape)).SerializeToString()
    try:
        made = server.mallory.make_model({"m.onnx": content})
    except grpc.RpcError:
        refuse(server, content)
    else:
        server.mallory.delete_model(made.name)


@pytest.mark.parametrize("batch", ["N", "1", "unk__7"])
def test_batches_by_name_or_fixed_at_one_serve_both(server: Attacked, batch: str) -> None:
    text = OPSET + f"g (float[{batch},3] x) => (float[{batch},3] y) {{ h = Relu(x)  y = Exp(h) }}"
    model = server.mallory.make_model({"m.onnx": model_of(text).SerializeToString()}).name
    for count in (1, 3):
        inputs = {"x": tensor(np.ones((count, 3), np.float32))}
        answer = server.mallory.attribute(model, layers=["h"], inputs=inputs)
        assert answer.layers[0].scores.dims == [count, 3]
    server.mallory.delete_model(model)


def test_an_input_of_rank_100(server: Attacked) -> None:
    model = model_of(RELU)
    for value in (model.graph.input[0], model.graph.output[0]):
        for _ in range(98):
            value.type.tensor_type.shape.dim.add(dim_value=1)
    refuse(server, model.SerializeToString())


# ---- what only harms when it runs ---------------------------------------------------------------

LOOP = (
    OPSET
    + """g (float[N,3] x) => (float[N,3] y) <int64 most = {9000000000000000000}, bool go = {1}> {
    r = Relu(x)
    y = Loop (most, go, r) <body = b (int64 i, bool c, float[N,3] a) => (bool d, float[N,3] e)
        { d = Identity(c)  e = Sin(a) }>
}"""
)
SIZED = (
    OPSET
    + """g (float[N,1,1,1] x) => (float[N,1] y) {
    r = Relu(x)  most = ReduceMax<keepdims = 0>(r)  i = Cast<to = 7>(most)
    two = Constant<value_ints = [2]>()  twice = Expand(i, two)
    one = Constant<value_ints = [1, 1]>()  sizes = Concat<axis = 0>(one, twice)
    grown = %s
    h = Sin(grown)  g = ReduceMean<keepdims = 1>(h)  y = Flatten(g)
}"""
)
GROWING = {
    "Resize": 'Resize<mode = "nearest">(r, , , sizes)',
    "Tile": "Tile(r, sizes)",
    "Expand": "Expand(r, sizes)",
}


ENDED = {
    *("DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED"),
    *("INVALID_ARGUMENT", "FAILED_PRECONDITION"),
}


def runs_into_its_end(server: Attacked, content: bytes, array: np.ndarray) -> None:
    """The model is refused, or a call that runs it is ended with a documented status."""
    mallory = server.mallory
    try:
        model = mallory.make_model({"m.onnx": content}).name
    except grpc.RpcError:
        refuse(server, content)
        return
    inputs = {"x": tensor(array)}
    code, status, _ = failure(lambda: mallory.attribute(model, "gradient", None, 3, inputs=inputs))
    assert code.name in ENDED, f"{code} {status.message}"
    mallory.delete_model(model)


def test_a_loop_without_end(server: Attacked) -> None:
    runs_into_its_end(server, model_of(LOOP).SerializeToString(), np.ones((1, 3), np.float32))


@pytest.mark.parametrize("name", GROWING)
def test_sizes_that_the_input_decides(server: Attacked, name: str) -> None:
    content = model_of(SIZED % GROWING[name]).SerializeToString()
    runs_into_its_end(server, content, np.full((1, 1, 1, 1), 1e6, np.float32))
