"""The margin of the target class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.types import Float32Array, FloatArray
from mho.value import Needs, Samples, Surrogate, Value


class Margin(Value):
    """The score of the class that ``--target`` names minus the highest of all others.

    Above 0 where the model answers with that class. With ``classes``, the highest score among these
    minus the highest of all others.
    """

    name: ClassVar[str] = "margin"
    summary: ClassVar[str] = (
        "mean score of the target, or of the best of --classes, minus the best other"
    )
    needs: ClassVar[frozenset[Needs]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset({"target", "classes", "score"})
    grouped: ClassVar[bool] = True
    surrogate: ClassVar[Surrogate] = Surrogate.MARGIN
    smooth: ClassVar[bool] = True

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        wanted = self.wanted(samples, scores.shape[1])
        inside = np.where(wanted, scores, -np.inf).max(axis=1)
        outside = np.where(wanted, -np.inf, scores).max(axis=1)
        return np.asarray(inside.astype(np.float64) - outside.astype(np.float64))

    def check(self, classes: int) -> None:
        super().check(classes)
        if len(self.asked.classes) == classes:
            raise InvalidOption(
                f"--classes name all {classes} classes of the output, which leaves no other to be "
                "ahead of; name fewer",
                subject="classes",
            )
