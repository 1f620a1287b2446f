"""The probability of the target class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray
from mho.value import Needs, Samples, Surrogate, Value, in_words


class Probability(Value):
    """The probability of the class that ``--target`` names, or that of ``classes`` together.

    It is made of the scores by softmax, and by the logistic function for a single output. With
    ``--score probability`` it is the model's own, which for independent labels (a closing Sigmoid)
    is another.
    """

    name: ClassVar[str] = "probability"
    summary: ClassVar[str] = "mean probability of the target class, or of --classes together"
    needs: ClassVar[frozenset[Needs]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset({"target", "classes", "score"})
    grouped: ClassVar[bool] = True
    compares: ClassVar[bool] = False
    surrogate: ClassVar[Surrogate] = Surrogate.PROBABILITY
    smooth: ClassVar[bool] = True

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        chances = scores.astype(np.float64)
        if not self.asked.probabilities:
            chances = _probabilities(chances)
        return np.asarray((chances * self.wanted(samples, scores.shape[1])).sum(axis=1))

    @property
    def words(self) -> str:
        asked = self.asked.classes
        return f"{self.name} of {in_words(asked)}" if asked else self.name


def _probabilities(scores: FloatArray) -> FloatArray:
    """``(rows, classes)``, without overflow."""
    if scores.shape[1] == 1:
        return np.asarray(0.5 * (1 + np.tanh(scores / 2)))
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
