"""The files that a method's options name: arrays, groups of units, and scores of an earlier run."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mho.data.arrays import NPY_MAGIC, ZIP_MAGIC, check_finite, opened_npz, read_npy
from mho.errors import InvalidData
from mho.results import RANKING, STD_ERROR, role_of
from mho.types import Array, FloatArray

MAX_BYTES = 4 * 1024**3
"""Arrays of one file."""

_MAX_GROUPS_BYTES = 64 * 1024**2
_SCORES_FILE = "scores.npz"


def array(
    path: Path,
    subject: str,
    *,
    max_bytes: int = MAX_BYTES,
    exempt: str = "",
) -> Array | dict[str, Array]:
    """The finite numbers in a .npy, or those in a .npz by name; told by content.

    subject: the option that names the file, for the errors. exempt: the ending of names in a
    .npz of which finite numbers are not asked. InvalidData where it is neither.
    """
    start = _start(path, subject)
    if start.startswith(NPY_MAGIC):
        found = read_npy(path, max_bytes=max_bytes)
        check_finite(found, f"the array {path} of '{subject}'")
        return found
    if start.startswith(ZIP_MAGIC):
        with opened_npz(path, max_bytes=max_bytes) as file:
            arrays = {name: file.read(name) for name in file.names}
        for name, found in arrays.items():
            if not (exempt and name.endswith(exempt)):
                check_finite(found, f"array '{name}' in {path} of '{subject}'")
        return arrays
    raise InvalidData(
        f"the file {path} of '{subject}' is neither .npy nor .npz; write it with numpy.save or "
        "numpy.savez",
        subject=subject,
    )


def digest(path: Path) -> str:
    """SHA-256 (hex) of the file; of the ``scores.npz`` in it where it is the folder of a result."""
    file = path / _SCORES_FILE if path.is_dir() else path
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def keyed(path: Path, subject: str, names: Sequence[str], wanted: str) -> dict[str, Array]:
    """The arrays of ``path`` by name: all of ``names`` and no other. A single array stands for a
    single name.

    InvalidData where one is missing, where there is one that nothing asked for, or where a single
    array is given for several names; ``wanted`` says in words what they are.
    """
    found = array(path, subject)
    if not isinstance(found, dict):
        if len(names) != 1:
            raise InvalidData(
                f"the {subject} {path.name} is one array, but {wanted}; give an .npz keyed by "
                f"{', '.join(names)[:500]}",
                subject=subject,
            )
        return {names[0]: found}
    surplus = [name for name in found if name not in names]
    if surplus:
        raise InvalidData(
            f"the file of '{subject}' holds '{surplus[0]}', which is none of "
            f"{', '.join(names)[:500]}; rename it or take it out",
            subject=subject,
        )
    for name in names:
        if name not in found:
            raise InvalidData(
                f"the {subject} {path.name} has no array '{name}'; it has {', '.join(found)}",
                subject=subject,
            )
    return found


def groups(path: Path) -> dict[str, dict[str, list[int]]]:
    """``{group: {layer's tensor name: [unit indices]}}`` from JSON or YAML.

    Whether layers and units exist is for the model to say. InvalidData for another structure, an
    empty group, an index that is negative or no whole number, and a unit that is in two groups: one
    unit cannot be two players.
    """
    written = _parsed(path)
    if not isinstance(written, dict) or not written:
        raise _bad_groups(path, "the file", written, "a mapping from group names to layers")
    found: dict[str, dict[str, list[int]]] = {}
    owner: dict[tuple[str, int], str] = {}
    for group, layers in written.items():
        if not isinstance(group, str) or not group:
            raise _bad_groups(path, "a group's name", group, "a text (put it in quotes)")
        if not isinstance(layers, dict) or not layers:
            raise _bad_groups(path, f"group '{group}'", layers, "a mapping from layers to units")
        found[group] = {}
        for layer, units in layers.items():
            if not isinstance(layer, str) or not layer:
                raise _bad_groups(path, f"a layer of group '{group}'", layer, "a tensor's name")
            found[group][layer] = _units(path, group, layer, units)
            for unit in found[group][layer]:
                other = owner.setdefault((layer, unit), group)
                if other != group:
                    raise InvalidData(
                        f"{path}: unit {unit} of '{layer}' is in the groups '{other}' and "
                        f"'{group}'; a unit can be in one group only",
                        subject="groups",
                    )
    return found


def scores(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, FloatArray]:
    """Layer name -> scores from a ``scores.npz``, or from the result folder that holds one.

    Where the result has a best guess by which to rank beside the scores, it is that. Standard
    errors, maps and curves are left out. InvalidData where there is no score in it.
    """
    file = path / _SCORES_FILE if path.is_dir() else path
    # Of players that are known by slopes alone the error is infinite.
    found = array(file, "scores", max_bytes=max_bytes, exempt=STD_ERROR)
    if not isinstance(found, dict):
        raise InvalidData(
            f"the scores {file} are one array and name no layer; give a scores.npz "
            "as mho writes it",
            subject="scores",
        )
    layers: dict[str, FloatArray] = {}
    for name, values in found.items():
        if role_of(name, found)[0] != "SCORES":
            continue
        values = found.get(RANKING + name, values)
        if values.ndim == 0 or values.dtype.kind == "b":
            raise InvalidData(
                f"the scores of '{name}' in {file} are {values.dtype} {values.shape}; an array of "
                "numbers, one per unit, is needed",
                subject="scores",
            )
        layers[name] = values.astype(np.float64)
    if not layers:
        raise InvalidData(f"{file} holds no scores of layers; give another run's", subject="scores")
    return layers


def _start(path: Path, subject: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(8)
    except OSError as error:
        raise InvalidData(
            f"the file {path} of '{subject}' cannot be read: {error.strerror or error}",
            subject=subject,
        ) from error


def _parsed(path: Path) -> Any:
    _start(path, "groups")
    if path.stat().st_size > _MAX_GROUPS_BYTES:
        raise InvalidData(
            f"the groups {path} are longer than {_MAX_GROUPS_BYTES} bytes; name fewer units",
            subject="groups",
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        try:
            return json.loads(text)  # by far the faster of the two
        except json.JSONDecodeError:
            return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise InvalidData(
            f"the groups {path} are no valid JSON or YAML"
            f"{'' if line is None else f' (line {line + 1})'}; write "
            '{"group": {"layer": [0, 1]}}',
            subject="groups",
        ) from None


def _units(path: Path, group: str, layer: str, units: Any) -> list[int]:
    where = f"'{layer}' in group '{group}'"
    if not isinstance(units, list) or not units:
        raise _bad_groups(path, where, units, "a list of unit indices, not empty")
    for unit in units:
        if isinstance(unit, bool) or not isinstance(unit, int) or not 0 <= unit < 2**31:
            raise _bad_groups(path, f"a unit of {where}", unit, "an index from 0")
    if len(set(units)) != len(units):
        raise _bad_groups(path, where, units, "a list that names every unit once")
    return list(units)


def _bad_groups(path: Path, what: str, found: Any, expected: str) -> InvalidData:
    return InvalidData(
        f"{path}: {what} is {reprlib.repr(found)[:80]}; {expected} is needed, e.g. "
        '{"group": {"layer": [0, 1]}}',
        subject="groups",
    )
