"""Checkpoints: the arrays of a run after some step, in one file that is whole or not there.

The file is an .npz without pickles. Beside the arrays it holds a header with the digest of the
job's specification and the version of the state, so that a run never goes on from another run's
arrays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mho.jobs.layout import full_disk_named, sync_folder
from mho.types import Array

_FORMAT = 1
_HEADER = "header"
_ARRAY = "array/"
_NAMES = "names"


@dataclass(frozen=True)
class Checkpoint:
    """The arrays of a run after ``steps`` steps; ``task`` and ``version`` say which run's."""

    task: str
    version: str
    steps: int
    arrays: Mapping[str, Array]


def save(file: Path, checkpoint: Checkpoint) -> None:
    """Put ``checkpoint`` in the place of ``file``; on an error the old one stays.

    ResourceExhausted where the disk is full.
    """
    header = {
        "format": _FORMAT,
        "task": checkpoint.task,
        "version": checkpoint.version,
        "steps": checkpoint.steps,
    }
    # Names of arrays may hold any character, so they are kept as data and not as names in the ZIP.
    content: dict[str, Any] = {
        _HEADER: np.asarray(json.dumps(header)),
        _NAMES: np.asarray(json.dumps(list(checkpoint.arrays))),
    }
    for position, array in enumerate(checkpoint.arrays.values()):
        content[f"{_ARRAY}{position}"] = np.asarray(array)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        with full_disk_named("a checkpoint is written"):
            with temporary.open("wb") as writer:
                np.savez(writer, allow_pickle=False, **content)
                writer.flush()
                os.fsync(writer.fileno())
            temporary.replace(file)
            sync_folder(file.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def load(file: Path, *, task: str, version: str) -> tuple[Checkpoint | None, str]:
    """The checkpoint in ``file``, and "" or the sentence that says why there is none to go on from.

    A file that is damaged or belongs to another run is never an error: the run starts anew.
    """
    if not file.exists():
        return None, ""
    try:
        with file.open("rb") as reader, np.load(reader, allow_pickle=False) as content:
            header = json.loads(str(content[_HEADER]))
            if header["format"] != _FORMAT or header["version"] != version:
                return None, "the checkpoint is of another version of mho; the run starts anew"
            if header["task"] != task:
                return None, "the checkpoint belongs to another job; the run starts anew"
            names = json.loads(str(content[_NAMES]))
            arrays = {
                str(name): content[f"{_ARRAY}{position}"] for position, name in enumerate(names)
            }
            return Checkpoint(task, version, int(header["steps"]), arrays), ""
    except Exception as error:  # noqa: BLE001  # a damaged file fails in many ways
        return None, f"the checkpoint is damaged ({type(error).__name__}); the run starts anew"
