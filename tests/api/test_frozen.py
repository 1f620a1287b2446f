"""mho.v1 keeps what was promised; by our own comparison always, and by buf where it can be had."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

PROTO = Path(__file__).parents[2] / "proto"
BUF = shutil.which("buf") or shutil.which("buf", path=Path(sys.executable).parent)

needs_buf = pytest.mark.skipif(BUF is None, reason="buf cannot be had: pip install buf-bin")


@pytest.fixture(scope="module")
def frozen() -> ModuleType:
    """``proto/frozen.py``, which belongs to no package."""
    sys.path.insert(0, str(PROTO))
    try:
        return importlib.import_module("frozen")
    finally:
        sys.path.remove(str(PROTO))


@pytest.fixture(scope="module")
def promised(frozen: ModuleType) -> FileDescriptorSet:
    return FileDescriptorSet.FromString(frozen.FROZEN.read_bytes())


def test_no_client_breaks(frozen: ModuleType, promised: FileDescriptorSet) -> None:
    assert frozen.breaks(promised, FileDescriptorSet.FromString(frozen.current())) == []


def file(files: FileDescriptorSet, name: str) -> FileDescriptorProto:
    return next(each for each in files.file if each.name == f"mho/v1/{name}.proto")


def message(files: FileDescriptorSet, name: str) -> DescriptorProto:
    return next(m for each in files.file for m in each.message_type if m.name == name)


def without_field(files: FileDescriptorSet) -> None:
    del message(files, "File").field[1]


def renumbered(files: FileDescriptorSet) -> None:
    message(files, "File").field[1].number = 9


def renamed(files: FileDescriptorSet) -> None:
    message(files, "File").field[1].name = "digest"


def retyped(files: FileDescriptorSet) -> None:
    message(files, "File").field[1].type = FieldDescriptorProto.TYPE_BYTES


def relabelled(files: FileDescriptorSet) -> None:
    message(files, "File").field[1].label = FieldDescriptorProto.LABEL_REPEATED


def out_of_oneof(files: FileDescriptorSet) -> None:
    message(files, "Finding").field[2].ClearField("oneof_index")


def without_message(files: FileDescriptorSet) -> None:
    del file(files, "files").message_type[0]


def without_value(files: FileDescriptorSet) -> None:
    del file(files, "jobs").enum_type[0].value[1]


def renumbered_value(files: FileDescriptorSet) -> None:
    file(files, "jobs").enum_type[0].value[1].number = 77


def without_call(files: FileDescriptorSet) -> None:
    del file(files, "blobs").service[0].method[0]


def streaming(files: FileDescriptorSet) -> None:
    file(files, "blobs").service[0].method[0].server_streaming = True


def without_service(files: FileDescriptorSet) -> None:
    del file(files, "blobs").service[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_field, "field mho.v1.File.sha256 (2) is gone"),
        (renumbered, "field mho.v1.File.sha256 (2) has the number 9 now"),
        (renamed, "field mho.v1.File.sha256 (2) is called digest now"),
        (retyped, "field mho.v1.File.sha256 (2) was of type string and is of type bytes now"),
        (relabelled, "field mho.v1.File.sha256 (2) is repeated now"),
        (out_of_oneof, "was one of kind and is by itself now"),
        (without_message, "message mho.v1.File is gone"),
        (without_value, "JOB_STATE_QUEUED of enum mho.v1.JobState is gone"),
        (renumbered_value, "JOB_STATE_QUEUED of enum mho.v1.JobState was 1 and is 77 now"),
        (without_call, "call mho.v1.Blobs.QueryMissingBlobs is gone"),
        (streaming, "call mho.v1.Blobs.QueryMissingBlobs was ("),
        (without_service, "service mho.v1.Blobs is gone"),
    ],
)
def test_what_breaks_is_said_in_words(
    frozen: ModuleType,
    promised: FileDescriptorSet,
    change: Callable[[FileDescriptorSet], None],
    words: str,
) -> None:
    after = FileDescriptorSet()
    after.CopyFrom(promised)
    change(after)
    (found,) = frozen.breaks(promised, after)
    assert words in found


def test_what_is_added_breaks_nothing(frozen: ModuleType, promised: FileDescriptorSet) -> None:
    after = FileDescriptorSet()
    after.CopyFrom(promised)
    finding = message(after, "Finding")
    kind = finding.field.add(name="patch", number=12, type=FieldDescriptorProto.TYPE_MESSAGE)
    kind.type_name, kind.oneof_index = ".mho.v1.Image", 0
    file(after, "jobs").enum_type[0].value.add(name="JOB_STATE_PAUSED", number=50)
    file(after, "blobs").service[0].method.add(name="DeleteBlob")
    assert frozen.breaks(promised, after) == []


@needs_buf
def test_buf_finds_nothing_to_object_to() -> None:
    buf("lint", str(PROTO))


@needs_buf
def test_buf_finds_nothing_that_breaks(frozen: ModuleType) -> None:
    buf("breaking", str(PROTO), "--against", str(frozen.FROZEN))


def buf(*arguments: str) -> None:
    assert BUF is not None
    done = subprocess.run([BUF, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
