"""Names for the arrays that pass between the rooms; each says shape and unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

JSON = None | bool | int | float | str | list[Any] | dict[str, Any]
"""What JSON can hold."""

Array = NDArray[Any]
"""Any array."""

FloatArray = NDArray[np.float64]
"""Scores and values, summed in double precision."""

Float32Array = NDArray[np.float32]
"""Tensors that go into or come out of a model."""

IntArray = NDArray[np.int64]
"""Indices: of inputs, paths, units, players."""

BoolArray = NDArray[np.bool_]
"""Coalitions ``(coalitions, players)``, True where the player is kept; or masks."""

Feeds = Mapping[str, Array]
"""Graph input name -> batch, leading axis ``batch``."""


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output.

    dtype: NumPy's name of it. shape: with None or a name for a dimension that is not fixed.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
