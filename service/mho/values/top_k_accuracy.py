"""Top-k accuracy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.types import Float32Array, FloatArray
from mho.value import Samples, Surrogate, Value


class TopKAccuracy(Value):
    """1 where the label is among the ``rank`` highest scores, else 0.

    Of equal scores that of the lower class counts as higher, so that rank 1 is ``accuracy``.
    """

    name: ClassVar[str] = "top_k_accuracy"
    summary: ClassVar[str] = "share of inputs whose label is among their --rank highest scores"
    takes: ClassVar[frozenset[str]] = frozenset({"rank"})
    surrogate: ClassVar[Surrogate] = Surrogate.PROBABILITY

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        judged = samples.judged[:, None]
        own = np.take_along_axis(scores, judged, axis=1)
        earlier = np.arange(scores.shape[1]) < judged
        ahead = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
        return np.asarray(ahead < self.asked.rank, dtype=np.float64)

    def check(self, classes: int) -> None:
        super().check(classes)
        if self.asked.rank >= classes:
            raise InvalidOption(
                f"the {self.asked.rank} highest of {classes} scores hold every label, so that V is "
                f"1 whatever is removed; give --rank from 1 to {classes - 1}",
                subject="rank",
            )

    @property
    def words(self) -> str:
        return f"top-{self.asked.rank} accuracy"
