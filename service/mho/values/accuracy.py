"""Accuracy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray, IntArray
from mho.value import Value


class Accuracy(Value):
    """1 where the highest score is the label's, else 0; ties count for the first class."""

    name: ClassVar[str] = "accuracy"
    summary: ClassVar[str] = "share of inputs whose highest score is their label's"

    def per_sample(self, scores: Float32Array, labels: IntArray) -> FloatArray:
        return np.asarray(np.argmax(scores, axis=1) == labels, dtype=np.float64)
