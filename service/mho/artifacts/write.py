"""A result -> the files of a folder: ``result.json``, ``scores.npz``, ``index.html`` and pictures.

The files are written beside their place, flushed to disk and then moved into it one by one,
``result.json`` last. So no file is ever half written, and a folder with a ``result.json`` holds a
whole result; one that was interrupted has none and can be written again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mho.artifacts.chart import Chart
from mho.artifacts.charts import FILES as CHART_FILES
from mho.artifacts.charts import charts
from mho.artifacts.context import Context
from mho.artifacts.npz import write_npz
from mho.artifacts.page import page
from mho.artifacts.summary import FORMAT, summary, text
from mho.errors import InvalidOption, MhoError, ResourceExhausted
from mho.results import CURVES, MAPS, RANKING, STD_ERROR, Result
from mho.types import Array

SUMMARY = "result.json"
SCORES = "scores.npz"
PAGE = "index.html"

_WORK = ".mho-"  # prefix of the folder in which files are prepared
_OWN = frozenset({SUMMARY, SCORES, PAGE, *CHART_FILES})
_MODEL_FILES = ("model.onnx", "model.onnx.data")
"""Names that users' own models have too, so that they are ours only where a summary says so."""


def write(result: Result, context: Context, folder: Path) -> list[Path]:
    """Write every file of ``result`` into ``folder`` and return their paths, ``result.json`` first.

    A folder that holds an earlier result of mho is overwritten; InvalidOption for one that holds
    other things, ResourceExhausted for a full disk. Where writing fails the earlier result, or
    nothing, is left.
    """
    check_folder(folder, model=result.model is not None)
    pictures = charts(result, context)
    made = () if result.model is None else result.model.names
    files = [SUMMARY, SCORES, PAGE, *made, *(chart.file for chart in pictures)]
    found = summary(result, context, files, pictures)
    undo = folder if not folder.exists() else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=_WORK, dir=folder))
        try:
            _prepare(work, result, found, pictures)
            _clear(folder, keep=work)
            for name in [*files[1:], SUMMARY]:
                (work / name).replace(folder / name)
            _flush(folder)
            undo = None
        finally:
            shutil.rmtree(undo or work, ignore_errors=True)
    except OSError as error:
        raise _not_writable(folder, error) from error
    return [folder / name for name in files]


def check_folder(folder: Path, *, model: bool = False) -> None:
    """InvalidOption where no result can be put into ``folder``, which need not exist yet: it or
    something above it is a file or may not be written, or it holds things and no result of mho, or,
    where the result holds a ``model``, a model that is not of the earlier result.

    Leaves nothing behind. Worth calling before a long run.
    """
    try:
        nearest = folder
        while not os.path.lexists(nearest) and nearest != nearest.parent:
            nearest = nearest.parent
        if not nearest.is_dir():
            kind = "a file" if nearest.exists() else "a link to nothing"
            raise InvalidOption(
                f"{nearest} is {kind}; name a folder for --out"
                + ("" if nearest == folder else f", which {folder} cannot be"),
                subject="out",
            )
        if nearest == folder:
            _check_content(folder)
            if model:
                _check_no_model(folder)
        else:
            with suppress(FileNotFoundError):
                folder.lstat()  # of a name that is too long nothing exists, but that is not why
        # Tried, not asked: root is told that it may write to /proc and to a read-only disk.
        Path(tempfile.mkdtemp(prefix=_WORK, dir=nearest)).rmdir()
    except OSError as error:
        raise _not_writable(folder, error) from error


def _check_content(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    own = _own(folder)
    other = [name for name in names if name not in own and not name.startswith(_WORK)]
    if SUMMARY in names and not _ours(folder / SUMMARY):
        other = [SUMMARY]
    elif SUMMARY in names:
        return  # what was put beside an earlier result is left alone
    if other:
        raise InvalidOption(
            f"{folder} holds other things ({', '.join(other[:3])}) and no result of mho; name a "
            "new or empty folder for --out",
            subject="out",
        )


def _check_no_model(folder: Path) -> None:
    """A model that somebody put beside an earlier result must not be overwritten."""
    own = _own(folder)
    for name in _MODEL_FILES:
        if name not in own and os.path.lexists(folder / name):
            raise InvalidOption(
                f"{folder} holds a file {name} that is of no earlier result, and this result has "
                "one too; name another folder for --out",
                subject="out",
            )


def _own(folder: Path) -> frozenset[str]:
    """The names in ``folder`` that are ours: a model's only where the earlier result lists it, or
    one whose writing was interrupted."""
    own = set(_OWN)
    for path in (folder / SUMMARY, *folder.glob(f"{_WORK}*/{SUMMARY}")):
        if _ours(path):
            files = json.loads(path.read_text(encoding="utf-8")).get("files")
            own.update(name for name in _MODEL_FILES if name in (files or ()))
    return frozenset(own)


def _not_writable(folder: Path, error: OSError) -> MhoError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted(
            f"the disk is full while the result is written to {folder}; make room and run again",
            subject="disk",
        )
    return InvalidOption(
        f"the result cannot be written to {folder}: {error.strerror or error}; name another "
        "folder for --out, or make room",
        subject="out",
    )


def arrays(result: Result) -> dict[str, Array]:
    """What ``scores.npz`` holds: scores by layer, ``ranking/<layer>``, ``maps/<layer>``,
    ``<layer>/std_error``, ``curves/<name>``."""
    found: dict[str, Array] = dict(result.scores)
    for name, values in result.ranking.items():
        found.setdefault(RANKING + name, values)
    for name, values in result.maps.items():
        found.setdefault(MAPS + name, values)
    for name, error in result.std_error.items():
        found.setdefault(name + STD_ERROR, error)
    for name, curve in result.curves.items():
        found.setdefault(CURVES + name, curve)
    return found


def _prepare(work: Path, result: Result, found: Mapping[str, Any], pictures: list[Chart]) -> None:
    write_npz(work / SCORES, arrays(result))
    if result.model is not None:
        result.model.write(work)
    for chart in pictures:
        (work / chart.file).write_bytes(chart.png)
    (work / PAGE).write_text(page(found, pictures), encoding="utf-8")
    # a lone surrogate in a tensor's name cannot be UTF-8
    (work / SUMMARY).write_text(text(found), encoding="utf-8", errors="backslashreplace")
    for path in work.iterdir():
        _flush(path)


def _clear(folder: Path, keep: Path) -> None:
    """Remove the earlier result, its summary first, and what interrupted writing left."""
    for name in sorted(_own(folder), key=lambda name: name != SUMMARY):
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob(f"{_WORK}*"):
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)


def _ours(path: Path) -> bool:
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(written, dict) and written.get("format") == FORMAT


def _flush(path: Path) -> None:
    """Have a file or folder written to the disk itself."""
    if os.name == "nt" and path.is_dir():
        return  # Windows does not open folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
