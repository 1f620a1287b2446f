"""Which files make up a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from mho_client.errors import invalid
from mho_client.external_data import external_files
from mho_client.files import LocalFile, existing

_SUFFIX = ".onnx"


def model_files(
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
) -> tuple[str, list[LocalFile]]:
    """(name of the ONNX file, all files under names relative to its folder).

    path: the file itself, whose external data are found beside it; a folder of one .onnx and its
    data; or all the files. MhoClientError where there is no or more than one .onnx.
    """
    if isinstance(path, (str, PathLike)):
        found = existing(path, "model")
        if found.is_file():
            names = [found.name, *external_files(found)]
            return found.name, [LocalFile(name, found.parent / name) for name in names]
        files = sorted(
            file for file in found.rglob("*") if file.is_file() and not file.name.startswith(".")
        )
        what = f"the folder '{found}'"
    else:
        files = [existing(file, "model") for file in path]
        what = "the list of files"
    mains = [file for file in files if file.suffix == _SUFFIX]
    if len(mains) != 1:
        named = ", ".join(file.name for file in mains[:5]) or "none"
        raise invalid(
            f"{what} must hold exactly one {_SUFFIX} file, and holds {named}; give the path of the "
            "model itself",
            "model",
            "INVALID_MODEL",
        )
    root = mains[0].parent
    named_files = [LocalFile(_relative(file, root), file) for file in files]
    return mains[0].name, named_files


def _relative(file: Path, root: Path) -> str:
    name = Path(os.path.relpath(file, root)).as_posix()
    if name.startswith("../"):
        raise invalid(
            f"the file '{file}' does not lie in the folder of the model, '{root}'; a model's files "
            "are found from there",
            "model",
            "INVALID_MODEL",
        )
    return name
