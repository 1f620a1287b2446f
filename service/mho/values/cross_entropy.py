"""Cross-entropy, with the sign that makes higher better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray, IntArray
from mho.value import Value


class CrossEntropy(Value):
    """Log-probability of the label under softmax: minus the cross-entropy, as higher is better.

    Takes scores before softmax; the run refuses probabilities for it.
    """

    name: ClassVar[str] = "cross_entropy"
    summary: ClassVar[str] = "minus the mean cross-entropy (mean log-probability of the label)"

    def per_sample(self, scores: Float32Array, labels: IntArray) -> FloatArray:
        wide = scores.astype(np.float64)
        shifted = wide - wide.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=1))
        return np.asarray(shifted[np.arange(len(labels)), labels] - log_sum)
