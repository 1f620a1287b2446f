""".npy and .npz, read without trust: nothing is unpickled, no header is taken at its word.

What a header claims is compared with the bytes that are there before an array is made of them.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy

from mho.data.archive import MAX_FILES, read_member
from mho.errors import InvalidData
from mho.types import Array

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"

_KINDS = "biuf"  # booleans, whole numbers, floats
_CHUNK = 1 << 22
_MAX_DIMENSIONS = 32


def read_npy(path: Path, *, max_bytes: int) -> Array:
    """The array in a .npy file, mapped into memory, read-only.

    InvalidData where it is no .npy, holds objects or text, or where bytes and shape disagree.
    """
    name = str(path)
    size = path.stat().st_size
    with path.open("rb") as stream:
        shape, fortran, dtype, offset = _header(stream, name)
    _check_size(name, shape, dtype, size - offset, max_bytes)
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    order: Literal["F", "C"] = "F" if fortran else "C"
    mapped = np.memmap(path, dtype, "r", offset, shape, order)
    return _native(np.asarray(mapped))


class NpzFile:
    """The arrays of a .npz by name, each read when it is asked for."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, max_bytes: int) -> None:
        self._path, self._archive, self._max_bytes = path, archive, max_bytes
        self._members: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            key = entry.filename.removesuffix(".npy")
            if key in self._members or key == entry.filename or entry.flag_bits & 0x1:
                raise InvalidData(
                    f"{path} is no .npz: its member '{entry.filename}' is not a .npy, is encrypted "
                    "or is there twice; write it with numpy.savez",
                    subject=str(path),
                )
            self._members[key] = entry
        total = sum(entry.file_size for entry in self._members.values())
        if total > max_bytes or len(self._members) > MAX_FILES:
            raise InvalidData(
                f"{path} unpacks to {total} bytes in {len(self._members)} arrays; at most "
                f"{max_bytes} bytes are allowed: split the data, or raise the setting "
                "max_data_bytes",
                subject=str(path),
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._members)

    def read(self, key: str) -> Array:
        """One array. InvalidData where it is damaged or its bytes and shape disagree."""
        name = f"array '{key}' in {self._path}"
        content = read_member(self._path, self._archive, self._members[key])
        stream = io.BytesIO(content)
        shape, fortran, dtype, offset = _header(stream, name)
        _check_size(name, shape, dtype, len(content) - offset, self._max_bytes)
        flat = np.frombuffer(content, dtype, count=math.prod(shape), offset=offset)
        return _native(flat.reshape(shape, order="F" if fortran else "C"))


@contextmanager
def opened_npz(path: Path, *, max_bytes: int) -> Iterator[NpzFile]:
    """The .npz at ``path``; InvalidData where it is none or claims more bytes than allowed."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InvalidData(
            f"{path} is no .npz that can be read ({error}); it may be truncated: write it anew",
            subject=str(path),
        ) from error
    with archive:
        yield NpzFile(path, archive, max_bytes)


def is_npz(path: Path) -> bool:
    """Whether a ZIP holds nothing but .npy files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return path.suffix == ".npz"
    return all(name.endswith(".npy") for name in names) and (bool(names) or path.suffix == ".npz")


def check_finite(array: Array, name: str) -> None:
    """InvalidData naming the first NaN or infinity; by chunks, so that a map stays a map."""
    if array.dtype.kind != "f":
        return
    rows = max(1, _CHUNK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array) if array.ndim else 1, rows):
        part = array[start : start + rows] if array.ndim else array
        finite = np.isfinite(part)
        if not finite.all():
            index = [int(i) for i in np.unravel_index(int(np.argmin(finite)), finite.shape)]
            number = part[tuple(index)]
            value = "NaN" if np.isnan(number) else str(number)
            if index:
                index[0] += start
            raise InvalidData(
                f"{name} holds {value} at index {tuple(index)}; every number must be finite: "
                "clean the data",
                subject=name,
            )


def converted(array: Array, dtype: str, name: str) -> Array:
    """``array`` in the model's dtype, where that loses nothing but float precision.

    Floats become other floats unless they overflow, whole numbers other whole numbers unless one
    does not fit, booleans whole numbers. Everything else is InvalidData: whether a byte is to be
    scaled before it becomes a float cannot be known here.
    """
    wanted = np.dtype(dtype)
    if array.dtype == wanted:
        return array
    have, need = array.dtype.kind, wanted.kind
    if have == "f" and need == "f":
        with np.errstate(over="ignore"):
            narrowed = array.astype(wanted)
        check_finite(narrowed, f"{name}, converted from {array.dtype} to {wanted},")
        return narrowed
    if have in "biu" and need in "iu":
        limits = np.iinfo(wanted)
        if array.size:
            low, high = int(array.min()), int(array.max())
            if low < limits.min or high > limits.max:
                raise InvalidData(
                    f"{name} is {array.dtype} with values from {low} to {high}, which do not fit "
                    f"the model's {wanted}; correct the values",
                    subject=name,
                )
        return array.astype(wanted)
    raise InvalidData(
        f"{name} is {array.dtype} where the model takes {wanted}; convert it with "
        f".astype(numpy.{wanted}), scaled as the model expects it",
        subject=name,
    )


def described(arrays: Mapping[str, Array]) -> str:
    """``x float32 (3, 4), y …`` for messages."""
    return ", ".join(f"'{key}' {value.dtype} {value.shape}" for key, value in arrays.items())


def _header(stream: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, Fortran order, dtype, and where the numbers begin."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's about headers written by Python 2
            version = npy.read_magic(stream)
            if version == (1, 0):
                shape, fortran, dtype = npy.read_array_header_1_0(stream)
            else:
                shape, fortran, dtype = npy.read_array_header_2_0(stream)
    except Exception as error:  # noqa: BLE001 - numpy parses the header as Python and raises anything
        raise InvalidData(
            f"{name} is no .npy that can be read ({_first_line(error)}); write it with numpy.save",
            subject=name,
        ) from None
    if dtype.kind not in _KINDS or dtype.fields is not None:
        held = "Python objects" if dtype.hasobject else f"values of type {dtype}"
        raise InvalidData(
            f"{name} holds {held}; only numbers and booleans are read: save it "
            "with a numeric dtype",
            subject=name,
        )
    if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape):
        raise InvalidData(f"{name} claims the impossible shape {shape}; save it anew", subject=name)
    return shape, fortran, dtype, stream.tell()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _check_size(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], found: int, max_bytes: int
) -> None:
    needed = math.prod(shape) * dtype.itemsize
    if needed > max_bytes:
        raise InvalidData(
            f"{name} claims shape {shape} of {dtype}, {needed} bytes; at most {max_bytes} are "
            "allowed: split the data, or raise the setting max_data_bytes",
            subject=name,
        )
    if needed != found:
        raise InvalidData(
            f"{name} claims shape {shape} of {dtype}, {needed} bytes, but holds {found}; it is "
            "truncated or damaged: save it anew",
            subject=name,
        )


def _native(array: Array) -> Array:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
