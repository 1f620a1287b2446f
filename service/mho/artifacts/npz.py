"""Arrays by name -> an .npz that any numpy reads.

``numpy.savez`` takes the names as keyword arguments, so that a tensor called ``file`` would break
it; and it writes the time of day, so that equal results would be unequal files.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from mho.types import Array

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment a ZIP can tell


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write ``arrays``, uncompressed, in the order given; equal arrays give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            with archive.open(entry, "w", force_zip64=True) as stream:
                npy.write_array(stream, np.asanyarray(array), allow_pickle=False)
