"""The tables of ``docs/api.md``: calls, messages, errors, from the comments of the .proto files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.rpc import code_pb2
from grpc_tools import protoc
from tables import table

from mho import errors
from mho.api.errors import CODES

PROTO = Path(__file__).resolve().parent.parent / "proto"

_GENERATED = "mho/v1/methods.proto"
"""Its messages are the options of the methods, which docs/cli.md tells."""

_AGAIN = {
    "ABORTED": "yes",
    "DEADLINE_EXCEEDED": "with more time",
    "RESOURCE_EXHAUSTED": "after a pause (`RetryInfo`, where it is there), or when there is room",
    "UNAVAILABLE": "yes, soon (`RetryInfo`)",
}
"""Status -> whether the same call may help later; not where it is not here."""


def calls() -> list[str]:
    """Every service with its calls."""
    lines: list[str] = []
    for file in _files():
        for number, service in enumerate(file.descriptor.service):
            path = (6, number)
            rows = [
                (
                    f"`{call.name}`",
                    _stream(call.input_type, streams=call.client_streaming),
                    _stream(call.output_type, streams=call.server_streaming),
                    file.comment(*path, 2, place),
                )
                for place, call in enumerate(service.method)
            ]
            lines += [f"### {service.name}", "", file.comment(*path), ""]
            lines += [*table(("call", "takes", "gives", "what it does"), rows), ""]
    return lines[:-1]


def messages() -> list[str]:
    """Every message and enum with what is in it, in the order of the files."""
    lines: list[str] = []
    for file in _files():
        if file.descriptor.name == _GENERATED:
            continue
        lines += [f"### {file.descriptor.name}", "", file.comment(12), ""]
        for number, message in enumerate(file.descriptor.message_type):
            lines += _message(file, message, (4, number), "")
        for number, enum in enumerate(file.descriptor.enum_type):
            lines += _enum(file, enum, (5, number), "")
    return lines[:-1]


def reasons() -> list[str]:
    """Every ``ErrorInfo.reason`` with its status."""
    kinds = {kind.reason: kind for kind in errors.MhoError.__subclasses__()}
    rows = []
    for reason, code in CODES.items():
        status = code_pb2.Code.Name(code)
        said = (kinds[reason].__doc__ or "").strip()
        rows.append((f"`{reason}`", f"`{status}`", said, _AGAIN.get(status, "no")))
    rows.append(
        (
            "`INTERNAL`",
            "`INTERNAL`",
            'A fault of the server; its log says more under the number in `metadata["incident"]`.',
            "no; tell its operator",
        )
    )
    return table(("reason", "status", "when", "again?"), rows)


class _File:
    """A .proto file with its comments by path, as ``SourceCodeInfo`` has them."""

    def __init__(self, descriptor: FileDescriptorProto) -> None:
        self.descriptor = descriptor
        self._comments = {
            tuple(location.path): location.leading_comments
            for location in descriptor.source_code_info.location
        }

    def comment(self, *path: int) -> str:
        """The comment over what lies at ``path``; a blank line of it ends a paragraph."""
        said = self._comments.get(path, "")
        return "\n".join(line.removeprefix(" ") for line in said.strip("\n").split("\n")).strip()


def _files() -> Iterator[_File]:
    names = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.glob("mho/**/*.proto"))
    well_known = files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        options = [f"-I{PROTO}", f"-I{well_known}", f"--descriptor_set_out={out}"]
        if protoc.main(["protoc", *options, "--include_source_info", *names]) != 0:
            raise SystemExit("protoc refused the .proto files, see above")
        found = FileDescriptorSet.FromString(out.read_bytes())
    yield from map(_File, found.file)


def _message(file: _File, message: DescriptorProto, path: tuple[int, ...], outer: str) -> list[str]:
    if message.options.map_entry:
        return []
    name = f"{outer}{message.name}"
    lines = [f"#### {name}", "", *_paragraph(file.comment(*path))]
    maps = {each.name: each for each in message.nested_type if each.options.map_entry}
    rows = [
        (
            f"`{field.name}`",
            str(field.number),
            _type(field, maps, message),
            file.comment(*path, 2, place),
        )
        for place, field in enumerate(message.field)
    ]
    if rows:
        lines += [*table(("field", "number", "type", "meaning"), rows), ""]
    for number, nested in enumerate(message.nested_type):
        lines += _message(file, nested, (*path, 3, number), f"{name}.")
    for number, enum in enumerate(message.enum_type):
        lines += _enum(file, enum, (*path, 4, number), f"{name}.")
    return lines


def _enum(file: _File, enum: object, path: tuple[int, ...], outer: str) -> list[str]:
    values: Sequence[object] = enum.value  # type: ignore[attr-defined]
    rows = [
        (f"`{value.name}`", str(value.number), file.comment(*path, 2, place))  # type: ignore[attr-defined]
        for place, value in enumerate(values)
    ]
    name: str = enum.name  # type: ignore[attr-defined]
    return [
        *(f"#### {outer}{name}", "", *_paragraph(file.comment(*path))),
        *(*table(("value", "number", "meaning"), rows), ""),
    ]


def _paragraph(text: str) -> list[str]:
    return [text, ""] if text else []


def _type(
    field: FieldDescriptorProto, maps: dict[str, DescriptorProto], message: DescriptorProto
) -> str:
    short = field.type_name.rsplit(".", 1)[-1]
    if short in maps:
        key, value = maps[short].field
        return f"map of `{_plain(key)}` to `{_plain(value)}`"
    words = f"`{_plain(field)}`"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {words}"
    if field.proto3_optional:
        return f"optional {words}"
    if field.HasField("oneof_index"):
        return f"{words}, one of `{message.oneof_decl[field.oneof_index].name}`"
    return words


def _plain(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return field.type_name.removeprefix(".mho.v1.").removeprefix(".")
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _stream(type_name: str, *, streams: bool) -> str:
    name = type_name.removeprefix(".mho.v1.").removeprefix(".google.protobuf.")
    return f"stream of `{name}`" if streams else f"`{name}`"
