"""Recall of a class, or of several."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import BoolArray, Float32Array, FloatArray
from mho.value import Needs, Samples, Surrogate, Value, among, in_words


class Recall(Value):
    """Accuracy over the inputs whose label is one of ``classes``; the others are never run.

    Of several classes it is the micro average: the answer must be the very label, and every input
    weighs the same.
    """

    name: ClassVar[str] = "recall"
    summary: ClassVar[str] = "share of the inputs of --classes whose highest score is their label's"
    needs: ClassVar[frozenset[Needs]] = frozenset({Needs.LABELS, Needs.CLASSES})
    takes: ClassVar[frozenset[str]] = frozenset({"classes"})
    surrogate: ClassVar[Surrogate] = Surrogate.PROBABILITY

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        return np.asarray(np.argmax(scores, axis=1) == samples.judged, dtype=np.float64)

    def weights(self, samples: Samples) -> FloatArray:
        of_them: BoolArray = np.isin(samples.judged, self.asked.classes)
        return among(of_them, f"labelled {in_words(self.asked.classes)}")
