"""Where a path starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mho.data import attachments
from mho.data.arrays import check_finite
from mho.data.dataset import Dataset
from mho.errors import InvalidData, InvalidOption
from mho.types import Array, IntArray

_BLUR_SHARE = 0.08
"""Standard deviation of the blur, as a share of the longer side: shapes go, the mean colours
stay."""
_MOST_CHANNELS = 4


@dataclass(frozen=True)
class Starts:
    """values: path tensor -> ``(starts, ...)``. per_input: start ``i`` belongs to input ``i``
    alone; otherwise every input has a path from every start. name: the baseline that was taken."""

    values: Mapping[str, Array]
    per_input: bool
    name: str

    def pairs(self, inputs: int) -> tuple[IntArray, IntArray]:
        """``(start_of_path, input_of_path)``."""
        each = np.arange(inputs)
        if self.per_input:
            return each, each
        starts = len(next(iter(self.values.values())))
        return np.tile(np.arange(starts), inputs), np.repeat(each, starts)


def starts(
    baseline: str, ends: Mapping[str, Array], data: Dataset, file: Path | None, *, embedded: bool
) -> Starts:
    """The baseline of ``ends`` (path tensor -> ``(inputs, ...)``).

    ``auto`` is black for images that mho preprocessed, else zero. InvalidOption where the baseline
    means nothing for such inputs; InvalidData where the file does not fit.
    """
    images = data.preprocess is not None and not embedded
    if file is not None:
        return Starts(_from_file(file, ends), per_input=False, name=file.name)
    if baseline == "auto":
        baseline = "black" if images else "zero"
    if baseline == "zero":
        values = {name: np.zeros((1, *end.shape[1:]), end.dtype) for name, end in ends.items()}
        return Starts(values, per_input=False, name=baseline)
    if baseline == "mean":
        values = {
            name: end.mean(axis=0, dtype=np.float64, keepdims=True).astype(end.dtype)
            for name, end in ends.items()
        }
        return Starts(values, per_input=False, name=baseline)
    if baseline == "black":
        if not images:
            raise InvalidOption(
                "baseline 'black' needs images and the spec by which they were preprocessed; pass "
                "--preprocess, or take 'zero'",
                subject="baseline",
            )
        return Starts(_black(ends, data), per_input=False, name=baseline)
    if baseline == "blurred":
        values = {name: _blurred(end, name) for name, end in ends.items()}
        return Starts(values, per_input=True, name=baseline)
    raise InvalidOption(
        f"baseline is '{baseline}', which is neither auto, black, zero, mean, blurred nor a file "
        "that exists",
        subject="baseline",
    )


def _black(ends: Mapping[str, Array], data: Dataset) -> dict[str, Array]:
    assert data.preprocess is not None
    rows_first = data.preprocess.layout == "NCHW"
    values = {}
    for name, end in ends.items():
        if end.ndim != 4:
            raise InvalidOption(
                f"baseline 'black' needs images, but '{name}' has shape {end.shape}; take 'zero' "
                "or a file",
                subject="baseline",
            )
        height, width = end.shape[2:4] if rows_first else end.shape[1:3]
        values[name] = data.preprocess.black(height, width)[None].astype(end.dtype)
    return values


def _from_file(file: Path, ends: Mapping[str, Array]) -> dict[str, Array]:
    found = attachments.keyed(file, "baseline", list(ends), f"the path runs on {', '.join(ends)}")
    values = {}
    for name, end in ends.items():
        array = np.asarray(found[name])
        if array.shape == end.shape[1:]:
            array = array[None]
        if array.shape[1:] != end.shape[1:] or len(array) == 0 or array.dtype.kind not in "fiu":
            raise InvalidData(
                f"the baseline {file.name} holds {array.dtype} {array.shape} for '{name}'; numbers "
                f"of shape {end.shape[1:]} are needed, or a set {('n', *end.shape[1:])}",
                subject="baseline",
            )
        with np.errstate(over="ignore"):
            values[name] = array.astype(end.dtype)
        check_finite(values[name], f"the baseline {file.name} for '{name}' ({end.dtype})")
    lengths = {len(array) for array in values.values()}
    if len(lengths) > 1:
        raise InvalidData(
            f"the arrays of the baseline {file.name} hold {sorted(lengths)} rows; all need as many",
            subject="baseline",
        )
    return values


def _blurred(images: Array, name: str) -> Array:
    """Each image under a wide Gaussian, edges repeated; channels are where there are at most
    four."""
    if images.ndim != 4 or min(images.shape[1], images.shape[3]) > _MOST_CHANNELS:
        raise InvalidOption(
            f"baseline 'blurred' needs images of at most {_MOST_CHANNELS} channels, but '{name}' "
            f"has shape {images.shape}; take 'zero' or 'mean'",
            subject="baseline",
        )
    axes = (2, 3) if images.shape[1] <= _MOST_CHANNELS else (1, 2)
    blurred = images.astype(np.float64)
    deviation = _BLUR_SHARE * max(images.shape[axis] for axis in axes)
    reach = max(1, int(3 * deviation))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    taps /= taps.sum()
    for axis in axes:
        padding = [(0, 0)] * 4
        padding[axis] = (reach, reach)
        padded = np.pad(blurred, padding, mode="edge")
        length = images.shape[axis]
        blurred = sum(
            tap * np.take(padded, np.arange(shift, shift + length), axis=axis)
            for shift, tap in enumerate(taps)
        )
    return blurred.astype(images.dtype)
