"""Reads ``scores.npz`` array by array and piece by piece, so that none has to fit in memory."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from mho.errors import InvalidData, InvalidOption
from mho.results import role_of

_SUFFIX = ".npy"

_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, Any]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


class StoredArray:
    """One array: what is known of it, and its elements as row-major little-endian bytes.

    role: SCORES, RANKING, MAP, STD_ERROR or CURVE. subject: the layer's or the curve's name.
    """

    def __init__(self, key: str, role: str, subject: str, stream: IO[bytes]) -> None:
        self.key = key
        self.role = role
        self.subject = subject
        self._stream = stream
        version = npy.read_magic(stream)
        if version not in _HEADERS:
            raise InvalidData(
                f"the array '{key}' is stored in .npy version {version}; 1.0 or 2.0 is expected",
                subject=key,
            )
        self.shape, columns_first, self.dtype = _HEADERS[version](stream)
        if self.dtype.hasobject:
            raise InvalidData(f"the array '{key}' holds Python objects, not numbers", subject=key)
        self._ready: memoryview | None = None
        if columns_first or self.dtype.newbyteorder("<") != self.dtype:
            self._ready = self._rewritten(columns_first)

    def read(self, most: int) -> bytes:
        """The next bytes, at most so many; empty at the end."""
        if self._ready is None:
            return self._stream.read(most)
        piece, self._ready = self._ready[:most], self._ready[most:]
        return bytes(piece)

    def skip(self, count: int) -> None:
        """Leave out the next ``count`` bytes; InvalidOption where the array does not have them."""
        size = math.prod(self.shape) * self.dtype.itemsize
        if not 0 <= count <= size:
            raise InvalidOption(
                f"offset is {count}; the array '{self.key}' has {size} bytes, so it must lie "
                f"between 0 and {size}",
                subject="offset",
            )
        if self._ready is None:
            self._stream.seek(count, 1)
        else:
            self._ready = self._ready[count:]

    def close(self) -> None:
        self._stream.close()

    def _rewritten(self, columns_first: bool) -> memoryview:
        """All the bytes in the promised order; what mho itself writes has it already."""
        count = math.prod(self.shape)
        flat = np.frombuffer(self._stream.read(count * self.dtype.itemsize), self.dtype)
        array = flat.reshape(self.shape, order="F" if columns_first else "C")
        little = np.ascontiguousarray(array, self.dtype.newbyteorder("<"))
        return memoryview(little.tobytes())


class StoredArrays:
    """The arrays of a ``scores.npz`` by key, in the order of the file."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        self.keys = [name.removesuffix(_SUFFIX) for name in self._archive.namelist()]

    def open(self, key: str) -> StoredArray:
        """The array called ``key``; its stream stays open until it is closed."""
        role, subject = role_of(key, self.keys)
        return StoredArray(key, role, subject, self._archive.open(key + _SUFFIX))

    def close(self) -> None:
        self._archive.close()
