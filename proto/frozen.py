"""Holds mho.v1 to what was promised: ``proto/frozen/v1.binpb``, a FileDescriptorSet.

    python proto/frozen.py              fails where a client that was built then would break
    python proto/frozen.py --freeze     makes what the .proto files say now the promise

``--freeze`` takes what was added since. Where something would break it refuses, unless ``--break``
is given as well; CONTRIBUTING.md says when that may be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from generate import ROOT, compile_protos
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

FROZEN = ROOT / "frozen" / "v1.binpb"


def current() -> bytes:
    """The FileDescriptorSet of the .proto files as they stand, with what they import."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        compile_protos(f"--descriptor_set_out={out}", "--include_imports")
        return out.read_bytes()


def breaks(before: FileDescriptorSet, after: FileDescriptorSet) -> list[str]:
    """What a client of ``before`` would miss or misread in ``after``, in words; empty where all is
    well."""
    return [*_messages(before, after), *_enums(before, after), *_services(before, after)]


def _messages(before: FileDescriptorSet, after: FileDescriptorSet) -> Iterator[str]:
    there = _all_messages(after)
    for name, message in _all_messages(before).items():
        if name not in there:
            yield f"message {name} is gone"
            continue
        fields = {field.number: field for field in there[name].field}
        for field in message.field:
            was = f"field {name}.{field.name} ({field.number})"
            if field.number not in fields:
                elsewhere = [each.number for each in there[name].field if each.name == field.name]
                yield f"{was} has the number {elsewhere[0]} now" if elsewhere else f"{was} is gone"
                continue
            now = fields[field.number]
            if now.name != field.name:
                yield f"{was} is called {now.name} now"
            if (now.type, now.type_name) != (field.type, field.type_name):
                yield f"{was} was of type {_type(field)} and is of type {_type(now)} now"
            if now.label != field.label:
                yield f"{was} is {'' if _repeated(now) else 'no longer '}repeated now"
            if _oneof(there[name], now) != _oneof(message, field):
                yield f"{was} was {_oneof(message, field)} and is {_oneof(there[name], now)} now"


def _enums(before: FileDescriptorSet, after: FileDescriptorSet) -> Iterator[str]:
    there = _all_enums(after)
    for name, enum in _all_enums(before).items():
        if name not in there:
            yield f"enum {name} is gone"
            continue
        values = {value.name: value.number for value in there[name].value}
        for value in enum.value:
            if value.name not in values:
                yield f"value {value.name} of enum {name} is gone"
            elif values[value.name] != value.number:
                yield (
                    f"value {value.name} of enum {name} was {value.number} and is "
                    f"{values[value.name]} now"
                )


def _services(before: FileDescriptorSet, after: FileDescriptorSet) -> Iterator[str]:
    there = _all_services(after)
    for name, service in _all_services(before).items():
        if name not in there:
            yield f"service {name} is gone"
            continue
        calls = {call.name: call for call in there[name].method}
        for call in service.method:
            if call.name not in calls:
                yield f"call {name}.{call.name} is gone"
            elif _shape(calls[call.name]) != _shape(call):
                yield (
                    f"call {name}.{call.name} was {_shape(call)} and is "
                    f"{_shape(calls[call.name])} now"
                )


def _all_messages(files: FileDescriptorSet) -> dict[str, DescriptorProto]:
    found: dict[str, DescriptorProto] = {}

    def add(message: DescriptorProto, outer: str) -> None:
        found[f"{outer}.{message.name}"] = message
        for nested in message.nested_type:
            add(nested, f"{outer}.{message.name}")

    for file in files.file:
        if file.package.startswith("mho."):
            for message in file.message_type:
                add(message, file.package)
    return found


def _all_enums(files: FileDescriptorSet) -> dict[str, EnumDescriptorProto]:
    found = {
        f"{file.package}.{enum.name}": enum
        for file in files.file
        if file.package.startswith("mho.")
        for enum in file.enum_type
    }
    for name, message in _all_messages(files).items():
        found |= {f"{name}.{enum.name}": enum for enum in message.enum_type}
    return found


def _all_services(files: FileDescriptorSet) -> dict[str, ServiceDescriptorProto]:
    return {
        f"{file.package}.{service.name}": service
        for file in files.file
        if file.package.startswith("mho.")
        for service in file.service
    }


def _type(field: FieldDescriptorProto) -> str:
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return field.type_name.removeprefix(".") or kind


def _repeated(field: FieldDescriptorProto) -> bool:
    return field.label == FieldDescriptorProto.LABEL_REPEATED


def _oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    if field.proto3_optional:
        return "optional"
    if field.HasField("oneof_index"):
        return f"one of {message.oneof_decl[field.oneof_index].name}"
    return "by itself"


def _shape(call: MethodDescriptorProto) -> str:
    taken = "stream " if call.client_streaming else ""
    given = "stream " if call.server_streaming else ""
    return f"({taken}{call.input_type[1:]}) -> ({given}{call.output_type[1:]})"


def main() -> int:
    """The command; the exit status is 1 where something breaks that is not meant to."""
    parser = argparse.ArgumentParser(description="Holds mho.v1 to what was promised.")
    parser.add_argument("--freeze", action="store_true", help="promise what stands there now")
    parser.add_argument("--break", action="store_true", dest="may_break", help="even if it breaks")
    options = parser.parse_args()
    now = current()
    found = []
    if FROZEN.exists():
        before = FileDescriptorSet.FromString(FROZEN.read_bytes())
        found = breaks(before, FileDescriptorSet.FromString(now))
    for line in found:
        sys.stderr.write(f"{line}\n")
    if options.freeze and (options.may_break or not found):
        FROZEN.parent.mkdir(exist_ok=True)
        FROZEN.write_bytes(now)
        sys.stderr.write(f"wrote {FROZEN}\n")
        return 0
    if found:
        sys.stderr.write("clients would break: see 'Changing the API' in CONTRIBUTING.md\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
