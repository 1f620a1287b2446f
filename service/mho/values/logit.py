"""The score of the target class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray, IntArray
from mho.value import Value


class Logit(Value):
    """The score of the class that ``--target`` names.

    Before softmax, unless ``--score`` says otherwise.
    """

    name: ClassVar[str] = "logit"
    summary: ClassVar[str] = "mean score of the target class"
    needs_labels: ClassVar[bool] = False

    def per_sample(self, scores: Float32Array, labels: IntArray) -> FloatArray:
        return scores[np.arange(len(labels)), labels].astype(np.float64)
