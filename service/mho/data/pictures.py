"""A folder or ZIP of images -> one preprocessed batch that fits the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from mho.data import images, labels
from mho.data.archive import Files, opened
from mho.data.labels import Labels
from mho.data.preprocess import EXAMPLE, Preprocess, parse
from mho.data.signature import mismatch, shape_text
from mho.data.source import Source
from mho.errors import InvalidData, InvalidOption
from mho.types import Float32Array, TensorSpec

LABELS_FILE = "labels.tsv"
"""Taken from the folder or ZIP itself where no labels are given."""

PREPROCESS_FILES = ("preprocess.yaml", "preprocess.yml", "preprocess.json")
"""The same for the spec."""


@dataclass(frozen=True)
class Photographs:
    """batch: ``(images, *preprocessed shape)`` in the model's dtype; names: the files, sorted."""

    batch: Float32Array
    names: tuple[str, ...]
    preprocess: Preprocess
    labels: Labels | None


def read(source: Source, spec: TensorSpec, *, max_bytes: int, max_pixels: int) -> Photographs:
    """All images of ``source.inputs``, by name, with their labels.

    InvalidOption where no preprocess spec is given; InvalidData where an image cannot be read, or
    becomes an array that the model does not take.
    """
    check_takes_pictures(spec)
    with opened(source.inputs, max_bytes=max_bytes) as files:
        names = _image_names(source.inputs, files)
        preprocess = _preprocess(source, files)
        found = _labels(source, files, names)
        batch = _batch(files, names, preprocess, spec, max_bytes, max_pixels)
    return Photographs(batch.astype(spec.dtype, copy=False), names, preprocess, found)


def check_takes_pictures(spec: TensorSpec) -> None:
    """InvalidData where a graph input is no batch of float pictures."""
    fault = ""
    if not spec.dtype.startswith("float"):
        fault = f"takes {spec.dtype}"
    elif spec.shape and len(spec.shape) != 4:
        fault = f"takes the shape {shape_text(spec)}"
    if fault:
        raise InvalidData(
            f"the model's input '{spec.name}' {fault}, but images become float arrays of rank 4; "
            "give the inputs as .npy or .npz",
            subject=spec.name,
        )


def _image_names(path: Path, files: Files) -> tuple[str, ...]:
    names = tuple(n for n in files.names if PurePosixPath(n).suffix.lower() in images.SUFFIXES)
    if not names:
        held = ", ".join(files.names[:5]) or "nothing"
        raise InvalidData(
            f"{path} holds no images (found: {held}); JPEG, PNG, WebP, BMP, GIF, TIFF and PPM are "
            "read, told by their suffix",
            subject=str(path),
        )
    return names


def _preprocess(source: Source, files: Files) -> Preprocess:
    if source.preprocess is not None:
        return parse(source.preprocess)
    for name in PREPROCESS_FILES:
        if name in files.names:
            try:
                return parse(files.read(name).decode("utf-8"), files=False)
            except UnicodeDecodeError:
                raise InvalidOption(
                    f"{name} in {source.inputs} is no UTF-8 text; it must hold YAML or JSON",
                    subject="preprocess",
                ) from None
    raise InvalidOption(
        f"{source.inputs} holds images, and how they become the model's input is not known; add "
        f"{EXAMPLE}",
        subject="preprocess",
    )


def _labels(source: Source, files: Files, names: Sequence[str]) -> Labels | None:
    given = None if source.labels is None else labels.read(source.labels, names, by_file=True)
    if LABELS_FILE not in files.names or (given is not None and given.labels is not None):
        return given
    where = f"the labels {LABELS_FILE} in {source.inputs}"
    found = labels.parse_table(files.read(LABELS_FILE), names, where, by_file=True)
    return found if given is None else replace(found, truth=given.truth)


def _batch(
    files: Files,
    names: Sequence[str],
    preprocess: Preprocess,
    spec: TensorSpec,
    max_bytes: int,
    max_pixels: int,
) -> Float32Array:
    batch: Float32Array | None = None
    for index, name in enumerate(names):
        picture = images.read(files.read(name), name, max_pixels=max_pixels)
        array = preprocess.apply(picture, name)
        if batch is None:
            check_fits(array, name, preprocess, spec)
            if len(names) * array.nbytes > max_bytes:
                raise InvalidData(
                    f"{len(names)} images of shape {array.shape} need {len(names) * array.nbytes} "
                    f"bytes; at most {max_bytes} are allowed: take fewer, or raise the setting "
                    "max_data_bytes",
                    subject=spec.name,
                )
            batch = np.empty((len(names), *array.shape), np.float32)
        elif array.shape != batch.shape[1:]:
            raise InvalidData(
                f"{name} becomes {array.shape} where {names[0]} became {batch.shape[1:]}; add "
                "'resize: [height, width]' or a 'crop' to the preprocess spec",
                subject=name,
            )
        batch[index] = array
    assert batch is not None  # there is at least one name
    return batch


def check_fits(array: Float32Array, name: str, preprocess: Preprocess, spec: TensorSpec) -> None:
    """InvalidData, with a remedy, where a preprocessed picture is not what the model takes."""
    if not mismatch((1, *array.shape), spec):
        return
    raise InvalidData(
        f"{name} becomes {_one(array.shape)} where the model's input '{spec.name}' takes "
        f"{shape_text(spec)}; {_remedy(array.shape, preprocess, spec)}",
        subject=spec.name,
    )


def _one(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['batch', *map(str, shape)])})"


def _remedy(shape: tuple[int, ...], preprocess: Preprocess, spec: TensorSpec) -> str:
    """What to change in the spec, as far as it can be told from the shapes."""
    channels = shape[0] if preprocess.layout == "NCHW" else shape[-1]
    wanted = spec.shape[1:]
    for layout in ("NCHW", "NHWC"):
        place = 0 if layout == "NCHW" else 2
        spatial = wanted[1:] if layout == "NCHW" else wanted[:2]
        if wanted[place] == channels and not all(size == channels for size in wanted):
            if layout != preprocess.layout:
                return f"add 'layout: {layout}' to the preprocess spec"
            if all(isinstance(size, int) for size in spatial):
                height, width = spatial
                return f"change the preprocess spec to 'crop: [{height}, {width}]' (or resize)"
    other = replace(preprocess, channels="GRAY" if channels == 3 else "RGB").channels
    return f"add 'channels: {other}' to the preprocess spec, or give the inputs as .npy"
