"""Weights kept in files beside the model: every path is checked before it is opened.

A model may name any file it likes; what is read must lie in the model's own folder and be an
ordinary file. onnxruntime itself refuses absolute paths, ``..`` and symbolic links but follows hard
links, so a file with a second link is refused here too.
"""

from __future__ import annotations

import stat
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
import onnx_ir as ir

from mho.errors import InvalidModel
from mho.graph.check import dimensions, size_in_bytes
from mho.graph.messages import elements, tensors

_MAX_OFFSET = 2**63 - 1


def locate(model: onnx.ModelProto, folder: Path) -> tuple[str, ...]:
    """Check every external tensor of ``model`` against the files in ``folder``.

    Returns the files' names relative to ``folder``, sorted. Offset and length of each tensor are
    written out in ``model``, so that nothing downstream has to guess them. Only the sizes of the
    files are looked at. InvalidModel names the tensor, what is wrong with its file, and the remedy.
    """
    sizes: dict[str, int] = {}
    for where, tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _locate(where, tensor, folder, sizes)
    spelled: dict[str, str] = {}
    for name in sizes:
        plain = unicodedata.normalize("NFC", name).casefold()
        if spelled.setdefault(plain, name) != name:
            raise InvalidModel(
                f"the external data files '{spelled[plain]}' and '{name}' differ only in case or "
                "Unicode form, which some file systems cannot tell apart; rename one",
                subject=name,
            )
    return tuple(sorted(sizes))


def _locate(where: str, tensor: onnx.TensorProto, folder: Path, sizes: dict[str, int]) -> None:
    keys = [entry.key for entry in tensor.external_data]
    for key in ("location", "offset", "length"):
        if keys.count(key) > 1:
            raise InvalidModel(f"{where}: its external data gives '{key}' twice; save it again")
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = _relative(where, entries.get("location", ""))
    if tensor.data_type == onnx.TensorProto.STRING:
        raise InvalidModel(f"{where} holds strings, which cannot be external data; embed them")
    if name not in sizes:
        sizes[name] = _regular_file(where, folder, name)
    needed = size_in_bytes(ir.DataType(tensor.data_type), elements(dimensions(where, tensor.dims)))
    offset = _number(where, "offset", entries.get("offset", "0"))
    length = _number(where, "length", entries.get("length", str(needed)))
    if length != needed:
        raise InvalidModel(
            f"{where} needs {needed} bytes by its shape {list(tensor.dims)} and type, but its "
            f"external data has the length {length}; save the model again",
            subject=name,
        )
    if offset + length > sizes[name]:
        raise InvalidModel(
            f"{where} takes bytes {offset} to {offset + length} of '{name}', which has "
            f"{sizes[name]}; the file is truncated or belongs to another model",
            subject=name,
        )
    del tensor.external_data[:]
    for key, value in (("location", name), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def _relative(where: str, location: str) -> str:
    remedy = "it must be a plain relative path inside the model's folder"
    if not location:
        raise InvalidModel(f"{where} is external data without a location; save the model again")
    if "\0" in location or not location.isprintable():
        raise InvalidModel(f"{where} has a location with control characters; {remedy}")
    windows = PureWindowsPath(location)
    if location.startswith(("/", "\\", "~")) or windows.drive or windows.root:
        raise InvalidModel(
            f"{where} has the absolute location '{location}'; {remedy}", subject=location
        )
    if "\\" in location or ".." in PurePosixPath(location).parts:
        raise InvalidModel(
            f"{where} has the location '{location}', which leads elsewhere; {remedy}",
            subject=location,
        )
    name = str(PurePosixPath(location))
    if name == ".":
        raise InvalidModel(f"{where} has the location '{location}', a folder; {remedy}")
    return name


def _regular_file(where: str, folder: Path, name: str) -> int:
    """Its size; InvalidModel where it, or a folder on the way to it, is anything but plain."""
    at = folder
    parts = PurePosixPath(name).parts
    for part in parts:
        at = at / part
        try:
            found = at.lstat()
        except OSError as error:
            raise InvalidModel(
                f"{where} is kept in '{name}', which is missing from the model's folder; "
                "put it beside the model, or save the model with its weights inside",
                subject=name,
            ) from error
        if stat.S_ISLNK(found.st_mode):
            raise InvalidModel(
                f"{where} is kept in '{name}', and '{at.name}' is a symbolic link; "
                "put a copy of the file in its place",
                subject=name,
            )
        if part is not parts[-1] and not stat.S_ISDIR(found.st_mode):
            raise InvalidModel(f"{where}: '{at.name}' in '{name}' is no folder", subject=name)
    if not stat.S_ISREG(found.st_mode):
        raise InvalidModel(
            f"{where} is kept in '{name}', which is no ordinary file (a folder, pipe or device)",
            subject=name,
        )
    if found.st_nlink > 1:
        raise InvalidModel(
            f"{where} is kept in '{name}', which has {found.st_nlink} hard links; "
            "put a copy of the file in its place",
            subject=name,
        )
    return found.st_size


def _number(where: str, key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or int(text) > _MAX_OFFSET:
        raise InvalidModel(
            f"{where}: the {key} of its external data is '{text[:40]}'; "
            "a whole number of bytes, 0 or more, is needed"
        )
    return int(text)
