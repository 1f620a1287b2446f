"""A data set: what is fed to the model, and what is known of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mho.data import labels as label_files
from mho.data import pictures
from mho.data.arrays import NPY_MAGIC, ZIP_MAGIC, is_npz, opened_npz, read_npy
from mho.data.preprocess import Preprocess, parse
from mho.data.signature import common_length, fitted
from mho.data.source import Source
from mho.errors import InvalidData
from mho.types import Array, BoolArray, FloatArray, IntArray, TensorSpec

_DIGEST_CHUNK = 1 << 22
_RANGE_SLACK = 16.0  # pixel values: room for noise and adversarial steps beyond 0..255


@dataclass(frozen=True)
class Dataset:
    """Inputs that fit a model, all arrays aligned along their first axis, read-only.

    inputs: graph input name -> ``(inputs, ...)`` in the model's dtype.
    labels: ``(inputs,)`` class indices, or None.
    groups: name -> ``(inputs,)``, which inputs belong to a subgroup.
    concepts: name -> ``(inputs,)`` or ``(inputs, height, width)``, where a concept is.
    names: file names of images, otherwise indices as text.
    preprocess: how the inputs were made from images; None where that is not known.
    class_names: class index -> name, as far as the labels say.
    truth: ``(inputs, outputs)``, what a regressor should answer, or None.
    digest: SHA-256 (hex) over inputs, labels, truth, groups, concepts and preprocess, independent
        of how they were stored.
    """

    inputs: Mapping[str, Array]
    labels: IntArray | None
    groups: Mapping[str, BoolArray]
    concepts: Mapping[str, BoolArray]
    names: tuple[str, ...]
    preprocess: Preprocess | None
    class_names: Mapping[int, str] = field(default_factory=dict)
    truth: FloatArray | None = None
    digest: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Input ``index`` as a picture ``(height, width, 3)`` RGB; None where it is none."""
        array = self._pixels()
        if array is None or self.preprocess is None:
            return None
        return self.preprocess.displayed(np.asarray(array[index]))

    def _pixels(self) -> Array | None:
        """The one input that is a batch of pictures in the preprocessed layout."""
        if self.preprocess is None:
            return None
        found = [
            array
            for array in self.inputs.values()
            if array.ndim == 4
            and array.dtype.kind == "f"
            and array.shape[1:] == self.preprocess.shape(*self._sides(array))
        ]
        return found[0] if len(found) == 1 else None

    def _sides(self, array: Array) -> tuple[int, int]:
        assert self.preprocess is not None
        start = 2 if self.preprocess.layout == "NCHW" else 1
        return array.shape[start], array.shape[start + 1]


def read(
    source: Source, signature: Sequence[TensorSpec], *, max_bytes: int, max_pixels: int
) -> Dataset:
    """The data set that ``source`` names, checked against the graph inputs ``signature``.

    What a file is, is told by its content. A preprocess spec is applied to images; beside arrays it
    only says how they were made, so that they can be shown and a black baseline is known, and then
    they must look like it. Every fault is InvalidData or InvalidOption and names the thing.
    """
    if not signature:
        raise InvalidData("the model has no inputs, so that nothing can be fed to it")
    kind = _kind(source.inputs)
    if kind == "images":
        return _from_images(source, signature, max_bytes, max_pixels)
    if kind == "npy":
        return _from_npy(source, signature, max_bytes)
    return _from_npz(source, signature, max_bytes)


def _kind(path: Path) -> str:
    """``images``, ``npy`` or ``npz``."""
    if path.is_dir():
        return "images"
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise InvalidData(
            f"the inputs {path} cannot be read: {error.strerror or error}", subject=str(path)
        ) from error
    if start.startswith(NPY_MAGIC):
        return "npy"
    if start.startswith((ZIP_MAGIC, b"PK\x05\x06")):  # the second is that of an empty ZIP
        return "npz" if is_npz(path) else "images"
    raise InvalidData(
        f"the inputs {path} are no .npy, .npz, folder of images or ZIP of images (the file begins "
        f"with {start!r}); a single image goes into a folder",
        subject=str(path),
    )


def _from_images(
    source: Source, signature: Sequence[TensorSpec], max_bytes: int, max_pixels: int
) -> Dataset:
    if len(signature) != 1:
        raise InvalidData(
            f"the model has {len(signature)} inputs ({_names(signature)}), but images feed one; "
            "give an .npz keyed by input name",
            subject=str(source.inputs),
        )
    found = pictures.read(source, signature[0], max_bytes=max_bytes, max_pixels=max_pixels)
    return _dataset(
        {signature[0].name: found.batch},
        labels=found.labels,
        names=found.names,
        preprocess=found.preprocess,
    )


def _from_npy(source: Source, signature: Sequence[TensorSpec], max_bytes: int) -> Dataset:
    if len(signature) != 1:
        raise InvalidData(
            f"{source.inputs} is one array, but the model has {len(signature)} inputs "
            f"({_names(signature)}); give an .npz keyed by input name",
            subject=str(source.inputs),
        )
    array = read_npy(source.inputs, max_bytes=max_bytes)
    inputs = {signature[0].name: fitted(array, signature[0], f"the array {source.inputs}")}
    return _from_arrays(source, signature, inputs, _Known())


def _from_npz(source: Source, signature: Sequence[TensorSpec], max_bytes: int) -> Dataset:
    path = source.inputs
    by_name = {spec.name: spec for spec in signature}
    inputs: dict[str, Array] = {}
    known = _Known()
    with opened_npz(path, max_bytes=max_bytes) as file:
        missing = [name for name in by_name if name not in file.names]
        if missing:
            raise InvalidData(
                f"{path} has no array for the model's input '{missing[0]}'; it holds "
                f"{', '.join(file.names)[:500] or 'nothing'}: key the arrays by input name",
                subject=missing[0],
            )
        for key in file.names:
            if key in by_name:
                inputs[key] = fitted(file.read(key), by_name[key], f"array '{key}' in {path}")
            elif key == "labels":
                known.labels = file.read(key)
            elif key == "targets":
                known.targets = file.read(key)
            elif key.startswith("groups/"):
                known.groups[key.removeprefix("groups/")] = file.read(key)
            elif key.startswith("concepts/"):
                known.concepts[key.removeprefix("concepts/")] = file.read(key)
            else:
                raise InvalidData(
                    f"{path} holds '{key}', which is neither an input of the model "
                    f"({_names(signature)}) nor labels, targets, groups/<name> or "
                    "concepts/<name>; rename it or take it out",
                    subject=key,
                )
    return _from_arrays(source, signature, inputs, known)


@dataclass
class _Known:
    """What an .npz holds beside the inputs, as it is written there."""

    labels: Array | None = None
    targets: Array | None = None
    groups: dict[str, BoolArray] = field(default_factory=dict)
    concepts: dict[str, BoolArray] = field(default_factory=dict)


def _from_arrays(
    source: Source, signature: Sequence[TensorSpec], inputs: dict[str, Array], known: _Known
) -> Dataset:
    count = common_length(inputs)
    names = tuple(str(index) for index in range(count))
    for kind, masks in (("groups", known.groups), ("concepts", known.concepts)):
        for name, mask in masks.items():
            _check_mask(mask, f"{kind}/{name}", count, (1,) if kind == "groups" else (1, 3))
    found = _labels(source, known, names)
    preprocess = None
    if source.preprocess is not None:
        preprocess = parse(source.preprocess)
        check_looks_preprocessed(inputs, signature, preprocess)
    return _dataset(
        inputs,
        labels=found,
        names=names,
        preprocess=preprocess,
        groups=known.groups,
        concepts=known.concepts,
    )


def _labels(source: Source, known: _Known, names: Sequence[str]) -> label_files.Labels:
    """Labels and targets: those of the file of their own go before those among the inputs."""
    found = label_files.Labels(None)
    if source.labels is not None:
        found = label_files.read(source.labels, names, by_file=False)
    labels, truth = found.labels, found.truth
    if labels is None and known.labels is not None:
        where = f"the labels in {source.inputs}"
        labels = label_files.checked(known.labels, len(names), where)
    if truth is None and known.targets is not None:
        where = f"the targets in {source.inputs}"
        truth = label_files.targets(known.targets, len(names), where)
    return label_files.Labels(labels, found.class_names, truth)


def _check_mask(mask: Array, name: str, inputs: int, ranks: tuple[int, ...]) -> None:
    if mask.dtype != np.bool_ or mask.ndim not in ranks or len(mask) != inputs:
        shapes = "(inputs,)" if ranks == (1,) else "(inputs,) or (inputs, height, width)"
        raise InvalidData(
            f"'{name}' is {mask.dtype} {mask.shape}; booleans of shape {shapes} for {inputs} "
            "inputs are needed: convert it with .astype(bool)",
            subject=name,
        )


def check_looks_preprocessed(
    inputs: Mapping[str, Array], signature: Sequence[TensorSpec], preprocess: Preprocess
) -> None:
    """Arrays with a spec beside them must be what the spec makes of pixels between 0 and 255."""
    if len(signature) != 1:
        raise InvalidData(
            f"a preprocess spec describes one input of pictures, but the model has "
            f"{len(signature)} ({_names(signature)}); leave --preprocess out",
            subject="preprocess",
        )
    spec, array = signature[0], inputs[signature[0].name]
    pictures.check_takes_pictures(spec)
    channels = preprocess.shape(1, 1)
    axis, length = (1, channels[0]) if preprocess.layout == "NCHW" else (3, channels[2])
    if array.ndim != 4 or array.shape[axis] != length:
        raise InvalidData(
            f"the input '{spec.name}' has shape {array.shape}, which does not fit the preprocess "
            f"spec's {preprocess.channels} in {preprocess.layout}; correct the spec or leave "
            "it out",
            subject="preprocess",
        )
    low, high = np.inf, -np.inf
    for row in array:
        pixels = preprocess.unscaled(np.asarray(row))
        low, high = min(low, float(pixels.min())), max(high, float(pixels.max()))
    if low < -_RANGE_SLACK or high > 255 + _RANGE_SLACK:
        raise InvalidData(
            f"the input '{spec.name}' does not look as if the preprocess spec had been applied "
            f"(undone, its pixels run from {low:.4g} to {high:.4g} instead of 0 to 255); "
            "arrays are fed as they are: preprocess them first, or leave --preprocess out",
            subject="preprocess",
        )


def _dataset(
    inputs: dict[str, Array],
    *,
    labels: label_files.Labels | None,
    names: tuple[str, ...],
    preprocess: Preprocess | None,
    groups: dict[str, BoolArray] | None = None,
    concepts: dict[str, BoolArray] | None = None,
) -> Dataset:
    arrays: dict[str, Array] = {f"inputs/{name}": array for name, array in inputs.items()}
    arrays |= {f"groups/{name}": array for name, array in (groups or {}).items()}
    arrays |= {f"concepts/{name}": array for name, array in (concepts or {}).items()}
    known = label_files.Labels(None) if labels is None else labels
    if known.labels is not None:
        arrays["labels"] = known.labels
    if known.truth is not None:
        arrays["targets"] = known.truth
    for array in arrays.values():
        array.flags.writeable = False
    return Dataset(
        inputs=MappingProxyType(inputs),
        labels=known.labels,
        groups=MappingProxyType(groups or {}),
        concepts=MappingProxyType(concepts or {}),
        names=names,
        preprocess=preprocess,
        class_names=MappingProxyType(dict(known.class_names)),
        truth=known.truth,
        digest=_digest(arrays, preprocess),
    )


def _digest(arrays: Mapping[str, Array], preprocess: Preprocess | None) -> str:
    """SHA-256 over the spec, and name, dtype, shape and little-endian bytes of every array."""
    digest = hashlib.sha256()

    def header(entry: Any) -> None:
        digest.update(json.dumps(entry, sort_keys=True).encode() + b"\n")

    header({"preprocess": None if preprocess is None else preprocess.to_json()})
    for name in sorted(arrays):
        array = arrays[name]
        header({"name": name, "dtype": array.dtype.name, "shape": array.shape})
        rows = max(1, _DIGEST_CHUNK // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            part = np.ascontiguousarray(array[start : start + rows])
            digest.update(part.astype(part.dtype.newbyteorder("<"), copy=False).data.cast("B"))
    return digest.hexdigest()


def _names(signature: Sequence[TensorSpec]) -> str:
    return ", ".join(spec.name for spec in signature)
