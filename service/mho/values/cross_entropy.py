"""Cross-entropy, with the sign that makes higher better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray
from mho.value import Samples, Surrogate, Value, among, in_words


class CrossEntropy(Value):
    """Log-probability of the label under softmax: minus the cross-entropy, as higher is better.

    With ``classes``, over the inputs whose label is one of these: the smooth side of their recall.
    """

    name: ClassVar[str] = "cross_entropy"
    summary: ClassVar[str] = "minus the mean cross-entropy (mean log-probability of the label)"
    takes: ClassVar[frozenset[str]] = frozenset({"classes"})
    on_scores: ClassVar[bool] = True
    surrogate: ClassVar[Surrogate] = Surrogate.LOG_PROBABILITY
    smooth: ClassVar[bool] = True

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        wide = scores.astype(np.float64)
        shifted = wide - wide.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=1))
        return np.asarray(shifted[np.arange(len(samples)), samples.judged] - log_sum)

    def weights(self, samples: Samples) -> FloatArray:
        if not self.asked.classes:
            return super().weights(samples)
        of_them = np.isin(samples.judged, self.asked.classes)
        return among(of_them, f"labelled {in_words(self.asked.classes)}")
