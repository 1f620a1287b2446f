"""Accuracy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray
from mho.value import Samples, Surrogate, Value


class Accuracy(Value):
    """1 where the highest score is the label's, else 0; ties count for the first class."""

    name: ClassVar[str] = "accuracy"
    summary: ClassVar[str] = "share of inputs whose highest score is their label's"
    surrogate: ClassVar[Surrogate] = Surrogate.PROBABILITY

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        return np.asarray(np.argmax(scores, axis=1) == samples.judged, dtype=np.float64)
