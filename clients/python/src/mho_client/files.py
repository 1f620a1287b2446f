"""Arrays, images and folders -> files that can be uploaded.

What is written depends on the content alone (no time of day), so that the same data are the same
blob and are not uploaded twice.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mho_client.errors import invalid

Array = NDArray[Any]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a ZIP can tell


@runtime_checkable
class Image(Protocol):
    """A PIL image, or whatever saves itself like one."""

    def save(self, fp: Any, format: str | None = None) -> None: ...


PathOrArray = str | PathLike[str] | Array
Inputs = PathOrArray | Mapping[str, Array] | Sequence["Image | str | PathLike[str]"]
"""What ``upload_dataset`` takes: a file or folder, one array, arrays by graph input, or images."""


@dataclass(frozen=True)
class LocalFile:
    """A file to upload, and the name it shall have there."""

    name: str
    path: Path


def inputs_file(inputs: Inputs, folder: Path) -> LocalFile:
    """Inputs as one .npy, .npz or .zip; what has to be written goes into ``folder``."""
    if isinstance(inputs, (str, PathLike)):
        path = existing(inputs, "inputs")
        if path.is_dir():
            return _zip_of_folder(path, folder)
        return LocalFile(path.name, path)
    if isinstance(inputs, np.ndarray):
        return array_file(inputs, folder, "inputs")
    if isinstance(inputs, Mapping):
        return arrays_file(inputs, folder, "inputs")
    if isinstance(inputs, Sequence) and inputs:
        return _zip_of_images(inputs, folder)
    raise invalid(
        f"inputs are {type(inputs).__name__}"
        + (" without entries" if isinstance(inputs, Sequence) else "")
        + "; give a path, an array, a dict of arrays by graph input, or a list of images or paths",
        "inputs",
    )


def labels_file(labels: PathOrArray | Sequence[int], folder: Path) -> LocalFile:
    """Labels as .npy or .tsv; floats are the targets of a regressor, ``(inputs, outputs)``."""
    if isinstance(labels, (str, PathLike)):
        path = existing(labels, "labels")
        return LocalFile(path.name, path)
    array = np.asarray(labels)
    whole = array.dtype.kind == "f" and array.ndim < 2 and np.array_equal(array, np.round(array))
    if array.dtype.kind not in "iuf" or whole:
        raise invalid(
            f"labels are {array.dtype} of shape {array.shape}; whole numbers, one per input, are "
            "needed, or a regressor's targets: floats of shape (inputs, outputs)",
            "labels",
        )
    return array_file(array, folder, "labels")


def array_file(array: Array, folder: Path, stem: str) -> LocalFile:
    """One array as .npy."""
    path = folder / f"{stem}.npy"
    _check_numbers(array, stem)
    with path.open("wb") as stream:
        npy.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return LocalFile(path.name, path)


def arrays_file(arrays: Mapping[str, Array], folder: Path, stem: str) -> LocalFile:
    """Arrays by name as .npz."""
    path = folder / f"{stem}.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            checked = np.asarray(array)
            _check_numbers(checked, f"{stem}['{name}']")
            with archive.open(_entry(f"{name}.npy"), "w", force_zip64=True) as stream:
                npy.write_array(stream, np.ascontiguousarray(checked), allow_pickle=False)
    return LocalFile(path.name, path)


def json_file(value: Mapping[str, Any], folder: Path, stem: str) -> LocalFile:
    """A mapping as .json."""
    path = folder / f"{stem}.json"
    path.write_text(json.dumps(value, sort_keys=True), encoding="utf-8")
    return LocalFile(path.name, path)


def preprocess_text(preprocess: str | PathLike[str] | Mapping[str, Any] | None) -> str:
    """A spec as text: a preset's name, YAML or JSON text, a .yaml or .json file, or a mapping."""
    if preprocess is None:
        return ""
    if isinstance(preprocess, Mapping):
        return json.dumps(dict(preprocess), sort_keys=True)
    if isinstance(preprocess, PathLike) or preprocess.endswith((".yaml", ".yml", ".json")):
        return existing(preprocess, "preprocess").read_text(encoding="utf-8")
    return preprocess


def existing(path: str | PathLike[str], subject: str) -> Path:
    """The path, where there is something; MhoClientError otherwise."""
    found = Path(path)
    if not found.exists():
        raise invalid(f"{subject}: there is no file or folder '{found}'", subject, "INVALID_DATA")
    return found


def _check_numbers(array: Array, what: str) -> None:
    if array.dtype.hasobject or array.dtype.kind not in "biufcUS":
        raise invalid(
            f"{what} is an array of {array.dtype}; numbers are needed", what, "INVALID_DATA"
        )


def _zip_of_folder(source: Path, folder: Path) -> LocalFile:
    """All files of a folder but hidden ones, under their relative names."""
    found = sorted(
        path
        for path in source.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
    )
    if not found:
        raise invalid(f"inputs: the folder '{source}' holds no files", "inputs", "INVALID_DATA")
    names = [path.relative_to(source).as_posix() for path in found]
    return _zip(zip(names, found, strict=True), folder, f"{source.resolve().name or 'inputs'}.zip")


def _zip_of_images(images: Sequence[Any], folder: Path) -> LocalFile:
    """Images in their order, which is that of the names in the ZIP.

    Paths keep their names where these are in order; otherwise the names begin with the position.
    """
    entries: list[tuple[str, Any]] = []
    paths = [Path(image) for image in images if isinstance(image, (str, PathLike))]
    names = [path.name for path in paths]
    if len(names) == len(images) and names == sorted(set(names)):
        return _zip([(path.name, existing(path, "inputs")) for path in paths], folder, "inputs.zip")
    for position, image in enumerate(images):
        if isinstance(image, (str, PathLike)):
            path = existing(image, "inputs")
            entries.append((f"{position:06d}-{path.name}", path))
        elif isinstance(image, Image):
            entries.append((f"{position:06d}.png", image))
        else:
            raise invalid(
                f"inputs[{position}] is {type(image).__name__}; give PIL images or paths", "inputs"
            )
    return _zip(entries, folder, "inputs.zip")


def _zip(entries: Iterable[tuple[str, Any]], folder: Path, name: str) -> LocalFile:
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for entry, content in entries:
            with archive.open(_entry(entry), "w", force_zip64=True) as stream:
                if isinstance(content, Path):
                    with content.open("rb") as source:
                        while piece := source.read(1024 * 1024):
                            stream.write(piece)
                else:
                    content.save(stream, format="PNG")
    return LocalFile(path.name, path)


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, date_time=_EPOCH)
