"""Labels, and a regressor's targets: a .npy of whole numbers, a .npy of floats, or a table of
tab-separated values, aligned with the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from mho.data.arrays import NPY_MAGIC, check_finite, read_npy
from mho.errors import InvalidData
from mho.types import Array, FloatArray, IntArray

_MAX_BYTES = 256 * 1024 * 1024
_MAX_LABEL = 2**31 - 1


@dataclass(frozen=True)
class Labels:
    """labels: ``(inputs,)``, each >= 0; None where the file has targets. class_names: from the
    table's ``name`` column. truth: ``(inputs, outputs)``, the targets of a regressor, or None.
    """

    labels: IntArray | None
    class_names: Mapping[int, str] = field(default_factory=dict)
    truth: FloatArray | None = None


def read(path: Path, names: Sequence[str], *, by_file: bool) -> Labels:
    """The labels of ``names``; .npy is told from a table by its content, and targets from labels by
    the type of the numbers.

    by_file: a table is looked up by file name (images) instead of taken in order (arrays).
    InvalidData where a label is missing, no whole number or negative, for too few or too many, and
    for floats ``(inputs,)`` that are all whole: they may be either.
    """
    where = f"the labels {path}"
    try:
        with path.open("rb") as stream:
            start = stream.read(len(NPY_MAGIC))
            rest = b"" if start == NPY_MAGIC else stream.read(_MAX_BYTES)
    except OSError as error:
        raise InvalidData(
            f"{where} cannot be read: {error.strerror or error}", subject="labels"
        ) from error
    if start == NPY_MAGIC:
        array = read_npy(path, max_bytes=_MAX_BYTES)
        if array.dtype.kind != "f":
            return Labels(checked(array, len(names), where))
        if array.ndim == 1 and np.array_equal(array, np.round(array)):
            raise InvalidData(
                f"{where} are {array.dtype}, but all are whole numbers, so that they may be "
                "classes or the targets of a regressor; convert classes with .astype(numpy.int64), "
                "and give targets the shape (inputs, 1), as by array[:, None]",
                subject="labels",
            )
        return Labels(None, truth=targets(array, len(names), where))
    return parse_table(start + rest, names, where, by_file=by_file)


def targets(array: Array, inputs: int, where: str) -> FloatArray:
    """``array`` as a regressor's targets for so many inputs: finite numbers ``(inputs, ...)``,
    brought to ``(inputs, outputs)`` in C order, as the model's output is."""
    if array.dtype.kind not in "fiu" or array.ndim < 1 or len(array) != inputs or not array.size:
        raise InvalidData(
            f"{where} are {array.dtype} {array.shape}; the targets of a regressor are numbers of "
            f"shape ({inputs}, outputs) for {inputs} inputs",
            subject="labels",
        )
    check_finite(array, where)
    return array.reshape(inputs, -1).astype(np.float64)


def checked(array: Array, inputs: int, where: str) -> IntArray:
    """``array`` as labels of so many inputs: ``(inputs,)`` whole numbers >= 0."""
    if array.dtype.kind not in "iu":
        raise InvalidData(
            f"{where} are {array.dtype}; class indices are whole numbers: convert them with "
            ".astype(numpy.int64), or call them 'targets' in the .npz if they are those of a "
            "regressor",
            subject="labels",
        )
    if array.ndim != 1 or len(array) != inputs:
        raise InvalidData(
            f"{where} have shape {array.shape} for {inputs} inputs; one class index per input, "
            f"shape ({inputs},), is needed",
            subject="labels",
        )
    wrong = (array < 0) | (array > _MAX_LABEL)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise InvalidData(
            f"{where} hold {array[index]} at index {index}; a class index lies between 0 and "
            f"{_MAX_LABEL}",
            subject="labels",
        )
    return array.astype(np.int64)


def parse_table(content: bytes, names: Sequence[str], where: str, *, by_file: bool) -> Labels:
    """Labels from a table whose first line names its columns: ``label``, and ``file`` for images.

    A ``name`` column gives the classes' names; further columns are ignored.
    """
    rows = _rows(content, where, ("file", "label") if by_file else ("label",))
    if by_file:
        rows = _aligned(rows, names, where)
    elif len(rows) != len(names):
        raise InvalidData(
            f"{where} have {len(rows)} rows for {len(names)} inputs; arrays take one row per "
            "input, in order",
            subject="labels",
        )
    labels = np.array([row.label for row in rows], np.int64)
    class_names: dict[int, str] = {}
    for row in rows:
        if row.name:
            class_names.setdefault(row.label, row.name)
    return Labels(checked(labels, len(names), where), class_names)


@dataclass(frozen=True)
class _Row:
    file: str
    label: int
    name: str


def _rows(content: bytes, where: str, needed: Sequence[str]) -> list[_Row]:
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise InvalidData(
            f"{where} are neither .npy nor UTF-8 text; give .npy, or a table of tab-separated "
            "values",
            subject="labels",
        ) from None
    header = [column.strip().lower() for column in lines[0].split("\t")]
    missing = [column for column in needed if column not in header]
    if missing:
        raise InvalidData(
            f"{where} have no column '{missing[0]}' in their first line "
            f"({', '.join(header)[:200]}); begin the table with a line that "
            f"names its columns, separated by tabs: {', '.join(needed)}",
            subject="labels",
        )
    column = {title: place for place, title in reversed(list(enumerate(header)))}
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        cells += [""] * (len(header) - len(cells))
        text = cells[column["label"]]
        if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 10:
            raise InvalidData(
                f"{where}, line {number}: the label is '{text[:40]}'; a class index (a whole "
                "number from 0) is needed",
                subject="labels",
            )
        rows.append(
            _Row(
                file=cells[column["file"]] if "file" in column else "",
                label=int(text),
                name=cells[column["name"]] if "name" in column else "",
            )
        )
    return rows


def _aligned(rows: Sequence[_Row], names: Sequence[str], where: str) -> list[_Row]:
    """One row per name: by the whole relative path, else by the file's own name."""
    by_path: dict[str, _Row] = {}
    for row in rows:
        if by_path.setdefault(row.file, row).label != row.label:
            raise InvalidData(
                f"{where} give '{row.file}' two labels, {by_path[row.file].label} and {row.label}; "
                "keep one",
                subject="labels",
            )
    found = []
    for name in names:
        match = by_path.get(name) or by_path.get(PurePosixPath(name).name)
        if match is None:
            raise InvalidData(
                f"{where} have no row for '{name}'; add one, or take the picture out of the data",
                subject="labels",
            )
        found.append(match)
    return found
