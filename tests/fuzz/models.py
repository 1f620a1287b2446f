"""Models that were valid: their bytes flipped, their protobuf mutated, their graphs made cyclic."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from hypothesis import strategies as st

from fuzz.messages import Pool, mutated
from fuzz.place import model_bytes

_OPERATORS = (
    *("Conv", "Relu", "Gemm", "MatMul", "Add", "Reshape", "Transpose", "Concat", "Split", "Loop"),
    *(
        "If",
        "Scan",
        "Resize",
        "Expand",
        "Tile",
        "Pad",
        "Slice",
        "Gather",
        "Cast",
        "Softmax",
        "LSTM",
    ),
    *("ConstantOfShape", "Range", "NonZero", "TopK", "Einsum", "BatchNormalization", "Identity"),
    *("GlobalAveragePool", "MaxPool", "ConvTranspose", "Where", "Unknown", "Dropout", "Flatten"),
)
_PATHS = (
    "weights.bin",
    "../weights.bin",
    "/etc/passwd",
    "a/../../b",
    "",
    "weights.bin\0x",
    "m.onnx",
)

_POOL = Pool(
    by_field={
        "op_type": _OPERATORS,
        "domain": ("", "ai.onnx", "com.microsoft", "ai.onnx.ml", "my.domain"),
        "input": ("x", "w", "v", "b", "u", "c", "r", "p", "g", "f", "d", "h", "z", "y", ""),
        "output": ("x", "w", "c", "r", "p", "g", "f", "d", "h", "z", "y", "new"),
        "name": (
            *(
                "pads",
                "strides",
                "dilations",
                "group",
                "kernel_shape",
                "axis",
                "perm",
                "to",
                "alpha",
            ),
            *("transA", "transB", "mode", "x", "y", "r", "body", "then_branch", "value", "shape"),
        ),
        "key": ("location", "offset", "length", "checksum"),
        "value": (*_PATHS, "0", "-1", "16", str(2**63), "9" * 30),
        "dim_param": ("N", "M", "batch", ""),
    },
    texts=("x", "r", "N"),
    blobs=(b"", b"\0" * 4, b"\xff" * 16, b"\0" * 432, b"location"),
)


@st.composite
def flipped(draw: st.DrawFn, content: bytes) -> bytes:
    """``content`` with bits flipped, a piece cut out, doubled or put in, or its end cut off."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        long = draw(st.sampled_from((1, 2, 4, 8, 64, 1000)))
        how = draw(
            st.sampled_from(("bit", "bit", "bit", "byte", "cut", "doubled", "put in", "end"))
        )
        if how == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "byte":
            data[at] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)))
        elif how == "cut":
            del data[at : at + long]
        elif how == "doubled":
            data[at:at] = data[at : at + long]
        elif how == "put in":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        else:
            del data[at:]
    return bytes(data)


def _cyclic(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.input]
    outputs = [name for node in model.graph.node for name in node.output]
    node = nodes[draw(st.integers(0, len(nodes) - 1))]
    node.input[draw(st.integers(0, len(node.input) - 1))] = draw(st.sampled_from(outputs))


def _lying(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    """An initializer whose dims are not those of its bytes."""
    tensor = model.graph.initializer[draw(st.integers(0, len(model.graph.initializer) - 1))]
    extreme = (0, -1, 1, 7, 2**31, 2**62, -(2**63))
    tensor.dims[draw(st.integers(0, len(tensor.dims) - 1))] = draw(st.sampled_from(extreme))


def _short(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[draw(st.integers(0, len(model.graph.initializer) - 1))]
    tensor.raw_data = tensor.raw_data[: draw(st.integers(0, len(tensor.raw_data)))]


def _elsewhere(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    """An initializer that is external."""
    tensor = model.graph.initializer[draw(st.integers(0, len(model.graph.initializer) - 1))]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=draw(st.sampled_from(_PATHS)))
    for key in ("offset", "length"):
        if draw(st.booleans()):
            value = draw(st.sampled_from(("0", "-1", "432", str(2**63), "x", "")))
            tensor.external_data.add(key=key, value=value)


def _wild(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    """Floats that are none."""
    tensor = model.graph.initializer[draw(st.integers(0, len(model.graph.initializer) - 1))]
    piece = draw(st.sampled_from((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f")))
    tensor.raw_data = piece * (len(tensor.raw_data) // 4)


_CHANGES: tuple[Callable[[st.DrawFn, onnx.ModelProto], None], ...] = (
    *(_cyclic, _lying, _short, _elsewhere, _wild),
)


@st.composite
def models(draw: st.DrawFn) -> bytes:
    """A model that was valid before it was changed."""
    content = model_bytes()
    how = draw(st.integers(0, 9))
    if how < 2:
        return draw(flipped(content))
    model = onnx.load_model_from_string(content)
    if how < 5:
        draw(st.sampled_from(_CHANGES))(draw, model)
        return model.SerializeToString()
    found: onnx.ModelProto = draw(mutated(model, _POOL, 3))
    return found.SerializeToString()
