"""Takes over what a run has written: lists its files, and moves them to where results lie."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import stat
from pathlib import Path

from mho.errors import MhoError
from mho.jobs.job import Artifact
from mho.jobs.layout import move_folder, remove_folder, sync_tree

_MOST_FILES = 100_000
_MEDIA_TYPES = {
    ".npz": "application/x-npz",
    ".npy": "application/x-npy",
    ".onnx": "application/onnx",
    ".safetensors": "application/x-safetensors",
    ".jsonl": "application/jsonl",
}


def promote(attempt: Path, result: Path) -> list[Artifact]:
    """Make the folder of an attempt its result, durably; its files, sorted by name.

    MhoError where the folder holds anything but plain files and folders.
    """
    found = listed(attempt)
    sync_tree(attempt)
    remove_folder(result)
    move_folder(attempt, result)
    return found


def listed(folder: Path) -> list[Artifact]:
    """The files under ``folder`` with size and digest."""
    found: list[Artifact] = []
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            mode = (Path(parent) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise MhoError(f"the result holds '{name}', which is neither file nor folder")
        for name in names:
            path = Path(parent) / name
            with path.open("rb") as reader:
                digest = hashlib.file_digest(reader, "sha256").hexdigest()
            found.append(
                Artifact(
                    name=path.relative_to(folder).as_posix(),
                    size=path.stat().st_size,
                    sha256=digest,
                    media_type=_media_type(path),
                )
            )
        if len(found) > _MOST_FILES:
            raise MhoError(f"the result holds more than {_MOST_FILES} files")
    if not found:
        raise MhoError("the run ended without a result")
    return sorted(found, key=lambda artifact: artifact.name)


def _media_type(path: Path) -> str:
    known = _MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name, strict=True)[0]
    return known or "application/octet-stream"
