"""The inputs of one request, which come in memory: arrays or encoded pictures -> a data set.

Checked as those of files are (``dataset.py``). What comes out has no digest: nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mho.data import images, labels, pictures
from mho.data.dataset import Dataset, check_looks_preprocessed
from mho.data.preprocess import EXAMPLE, Preprocess, parse
from mho.data.signature import common_length, fitted
from mho.errors import InvalidData, InvalidOption
from mho.types import Array, Float32Array, IntArray, TensorSpec


def from_arrays(
    arrays: Mapping[str, Array],
    signature: Sequence[TensorSpec],
    preprocess: str = "",
    *,
    labels: Sequence[int] = (),
) -> Dataset:
    """Arrays by graph input; "" stands for the only one. InvalidData names what does not fit."""
    wanted = [spec.name for spec in signature]
    if list(arrays) == [""] and len(wanted) == 1:
        arrays = {wanted[0]: arrays[""]}
    for name in arrays:
        if name not in wanted:
            called = f"'{name[:80]}'" if name else "no name"
            raise InvalidData(
                f"an input has {called}, which is none of the model's: {', '.join(wanted)}",
                subject="inputs",
            )
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise InvalidData(
            f"there is no array for the model's input '{missing[0]}'; give "
            f"{', '.join(wanted)} under these names",
            subject="inputs",
        )
    inputs = {spec.name: fitted(arrays[spec.name], spec, "the array") for spec in signature}
    count = common_length(inputs)
    spec = parse(preprocess, files=False) if preprocess else None
    if spec is not None:
        check_looks_preprocessed(inputs, signature, spec)
    return _dataset(inputs, count, spec, labels)


def from_images(
    contents: Sequence[bytes],
    signature: Sequence[TensorSpec],
    preprocess: str,
    *,
    labels: Sequence[int] = (),
    max_bytes: int,
    max_pixels: int,
) -> Dataset:
    """Encoded pictures, preprocessed. max_bytes: of the arrays that they become."""
    if len(signature) != 1:
        raise InvalidData(
            f"the model has {len(signature)} inputs, but images feed one; give arrays by name",
            subject="images",
        )
    if not preprocess:
        raise InvalidOption(
            f"how the images become the model's input is not known; set preprocess, as with "
            f"{EXAMPLE}",
            subject="preprocess",
        )
    (spec,) = signature
    pictures.check_takes_pictures(spec)
    how = parse(preprocess, files=False)
    rows: list[Float32Array] = []
    for index, content in enumerate(contents):
        name = f"images[{index}]"
        array = how.apply(images.read(content, name, max_pixels=max_pixels), name)
        pictures.check_fits(array, name, how, spec)
        if rows and array.shape != rows[0].shape:
            raise InvalidData(
                f"{name} becomes {array.shape} where images[0] became {rows[0].shape}; add "
                "'resize: [height, width]' or a 'crop' to the preprocess spec",
                subject="images",
            )
        if len(contents) * array.nbytes > max_bytes:
            raise InvalidData(
                f"{len(contents)} images of shape {array.shape} become "
                f"{len(contents) * array.nbytes} bytes; at most {max_bytes} are taken in one call",
                subject="images",
            )
        rows.append(array)
    batch = np.stack(rows).astype(spec.dtype, copy=False)
    return _dataset({spec.name: batch}, len(rows), how, labels)


def joined(parts: Sequence[Dataset]) -> Dataset:
    """The inputs of all ``parts``, one behind the other; they have the same names and shapes, and
    all of them have labels, or none."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    known = [part.labels for part in parts if part.labels is not None]
    return replace(
        first,
        inputs={
            name: np.concatenate([part.inputs[name] for part in parts]) for name in first.inputs
        },
        labels=np.concatenate(known) if known else None,
        names=tuple(str(index) for index in range(sum(map(len, parts)))),
    )


def _dataset(
    inputs: Mapping[str, Array], count: int, preprocess: Preprocess | None, given: Sequence[int]
) -> Dataset:
    known: IntArray | None = None
    if given:
        known = labels.checked(np.asarray(given, np.int64), count, "the labels")
    return Dataset(
        inputs=inputs,
        labels=known,
        groups={},
        concepts={},
        names=tuple(str(index) for index in range(count)),
        preprocess=preprocess,
    )
