"""The score of the target class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray
from mho.value import Needs, Samples, Surrogate, Value


class Logit(Value):
    """The score of the class that ``--target`` names, or the mean over ``classes``.

    Before softmax, unless ``--score`` says otherwise.
    """

    name: ClassVar[str] = "logit"
    summary: ClassVar[str] = "mean score of the target class, or of --classes"
    needs: ClassVar[frozenset[Needs]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset({"target", "classes", "score"})
    grouped: ClassVar[bool] = True
    compares: ClassVar[bool] = False
    surrogate: ClassVar[Surrogate] = Surrogate.SCORE
    smooth: ClassVar[bool] = True

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        if self.asked.classes:
            found = scores[:, list(self.asked.classes)].mean(axis=1, dtype=np.float64)
        else:
            found = scores[np.arange(len(samples)), samples.judged].astype(np.float64)
        return np.asarray(found)
