"""Which further files an ONNX model refers to, told from the model itself without onnx.

Only the few fields of ONNX's schema on the way to a tensor's ``external_data`` are declared here;
protobuf skips the rest.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from mho_client.errors import invalid

# message -> {field: (number, message it holds, or None for a text)}; all are repeated, which reads
# a singular field as well.
_SCHEMA: dict[str, dict[str, tuple[int, str | None]]] = {
    "Model": {"graph": (7, "Graph"), "functions": (25, "Function")},
    "Graph": {"node": (1, "Node"), "initializer": (5, "Tensor"), "sparse": (15, "Sparse")},
    "Function": {"node": (7, "Node")},
    "Node": {"attribute": (5, "Attribute")},
    "Attribute": {
        "t": (5, "Tensor"),
        "g": (6, "Graph"),
        "tensors": (10, "Tensor"),
        "graphs": (11, "Graph"),
        "sparse_tensor": (22, "Sparse"),
        "sparse_tensors": (23, "Sparse"),
    },
    "Sparse": {"values": (1, "Tensor"), "indices": (2, "Tensor")},
    "Tensor": {"external_data": (13, "Entry")},
    "Entry": {"key": (1, None), "value": (2, None)},
}


def external_files(model: Path) -> list[str]:
    """Relative paths of the files that hold the model's external data, each once, sorted.

    Empty for a file that cannot be parsed: what it is, the server says. MhoClientError where a file
    is not there, or lies outside the model's folder.
    """
    parsed = _model_class()()
    try:
        parsed.ParseFromString(model.read_bytes())
    except DecodeError:
        return []
    found: set[str] = set()
    _collect(parsed, found)
    for location in sorted(found):
        path = PurePosixPath(location)
        if path.is_absolute() or ".." in path.parts or not (model.parent / path).is_file():
            raise invalid(
                f"{model.name} keeps data in '{location}', which is no file beside it; put the "
                "file there, or save the model again with its data",
                str(model),
                "INVALID_MODEL",
            )
    return sorted(found)


def _collect(message: Any, found: set[str]) -> None:
    if message.DESCRIPTOR.name == "Entry":
        if list(message.key) == ["location"]:
            found.update(message.value)
        return
    for _, value in message.ListFields():
        for entry in value:
            _collect(entry, found)


@cache
def _model_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="mho_client/external_data.proto", package="mho_client.onnx", syntax="proto2"
    )
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, held) in fields.items():
            message.field.add(
                name=field,
                number=number,
                label="LABEL_REPEATED",
                type="TYPE_STRING" if held is None else "TYPE_MESSAGE",
                type_name=None if held is None else f".mho_client.onnx.{held}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("mho_client.onnx.Model"))
