"""What bytes that are no ONNX model look like, and what to do instead."""

from __future__ import annotations

import io
import zipfile

_TEXT_PROBE = 512


def foreign(data: bytes) -> str | None:
    """What ``data`` is, and the remedy, where it is plainly another format; None otherwise."""
    head = data[:16]
    if head[4:8] == b"ORTM":
        return (
            "it is an ORT-format model (.ort), which cannot be rewritten; "
            "give the .onnx file that it was converted from"
        )
    if head[4:8] == b"TFL3":
        return "it is a TensorFlow Lite model; convert it with 'python -m tf2onnx.convert --tflite'"
    if head.startswith(b"\x89HDF\r\n"):
        return (
            "it is an HDF5 file (a Keras .h5 model?); export the model with tf2onnx or keras.export"
        )
    if head.startswith(b"PK\x03\x04"):
        return _zip(data)
    if head.startswith(b"\x1f\x8b"):
        return "it is gzip-compressed; decompress it first"
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return (
            "it is a Python pickle (a PyTorch .pt file?); export the model with torch.onnx.export"
        )
    if head.startswith(b"GGUF"):
        return "it is a GGUF file; export the original model to ONNX"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < len(data):
        return "it is a safetensors file: weights without a graph; export the model to ONNX"
    if head.startswith(b"version https://"):
        return "it is a Git LFS pointer; fetch the file itself with 'git lfs pull'"
    return None


def text(data: bytes) -> str | None:
    """What kind of text ``data`` is, and the remedy; None where it is not text."""
    try:
        start = data[:_TEXT_PROBE].decode("utf-8").lstrip()
    except UnicodeDecodeError:
        return None
    if any(ord(c) < 32 and c not in "\t\r\n\f" for c in start):
        return None
    if start.startswith(("{", "[")):
        return "it is JSON; save the model in ONNX's binary form with onnx.save"
    if start.startswith(("<ir_version", "ir_version")):
        return "it is ONNX in its text form; save it in the binary form with onnx.save"
    if start.startswith("<"):
        return "it is XML or HTML, perhaps an error page of a download; fetch the model again"
    return "it is text; save the model in ONNX's binary form with onnx.save"


def cut_short(data: bytes) -> str | None:
    """What is missing at the end of the outermost protobuf message; None where nothing is.

    Reads only the outermost fields, so it costs nothing.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key is None:
            return "the last field is cut off"
        kind, field = key & 7, key >> 3
        if kind == 0:
            value, at = _varint(data, at)
            if value is None:
                return "the last field is cut off"
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            size, at = _varint(data, at)
            if size is None:
                return "the last field is cut off"
            if size > len(data) - at:
                return f"field {field} announces {size} bytes and {len(data) - at} follow"
            at += size
        else:
            return None
    return None if at == len(data) else "the last field is cut off"


def _zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "it is a damaged zip archive; give the .onnx file itself"
    if any(name.endswith(("data.pkl", "constants.pkl")) for name in names):
        return "it is a PyTorch file (.pt, TorchScript); export the model with torch.onnx.export"
    if "model.weights.h5" in names or "config.json" in names:
        return "it is a Keras model (.keras); export the model with tf2onnx or keras.export"
    return "it is a zip archive; unpack it and give the .onnx file inside"


def _varint(data: bytes, at: int) -> tuple[int | None, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return None, at
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    return None, at
