"""Precision of a class, or of several."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import BoolArray, Float32Array, FloatArray
from mho.value import Needs, Samples, Surrogate, Value, among, in_words


class Precision(Value):
    """Share of right answers among the inputs that are answered with one of ``classes``.

    Of several classes it is the micro average: an answer is right where it is the very label. A
    coalition that answers no input with one of them has V = 0: it finds nothing.

    V is a ratio of two counts that both change with the coalition and no sum over the inputs, so it
    is taken over all of them at once. What stands in for it is such a sum: the mean probability of
    the label over the inputs of these classes, minus the mean probability of the classes over all
    other inputs. For one class that is, up to a factor, the derivative of the ratio with
    probabilities in the place of counts, taken where all inputs have equal probabilities.
    """

    name: ClassVar[str] = "precision"
    summary: ClassVar[str] = "share of right answers among the inputs answered with --classes"
    needs: ClassVar[frozenset[Needs]] = frozenset({Needs.LABELS, Needs.CLASSES})
    takes: ClassVar[frozenset[str]] = frozenset({"classes"})
    linear: ClassVar[bool] = False
    surrogate: ClassVar[Surrogate] = Surrogate.PROBABILITY

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        """1 where an input is answered with one of the classes, and rightly: the numerator."""
        answers = np.argmax(scores, axis=1)
        right = (answers == samples.judged) & np.isin(answers, self.asked.classes)
        return np.asarray(right, dtype=np.float64)

    def worth(self, scores: Float32Array, samples: Samples, weights: FloatArray) -> FloatArray:
        """``weights`` only say which inputs count at all."""
        count, each, classes = scores.shape
        right = self.per_sample(scores.reshape(count * each, classes), samples)
        named = np.isin(np.argmax(scores, axis=2), self.asked.classes) & (weights != 0)
        answered = named.sum(axis=1)
        found = (right.reshape(count, each) * named).sum(axis=1)
        return np.asarray(np.where(answered > 0, found / np.maximum(answered, 1), 0.0))

    def weights(self, samples: Samples) -> FloatArray:
        """Those of the sum that stands in. InvalidOption where no input is of the classes."""
        inside = self._inside(samples)
        mean = among(inside, f"labelled {in_words(self.asked.classes)}")
        return mean if inside.all() else mean - among(~inside, "of another class")

    def wanted(self, samples: Samples, classes: int) -> BoolArray:
        """The label of inputs of the classes; the classes for all others."""
        group = np.isin(np.arange(classes), self.asked.classes)
        return np.where(self._inside(samples)[:, None], super().wanted(samples, classes), group)

    def remarks(self, scores: Float32Array, samples: Samples) -> tuple[str, ...]:
        if np.isin(np.argmax(scores, axis=1), self.asked.classes).any():
            return ()
        return (
            f"the unchanged model answers none of {len(samples)} inputs with "
            f"{in_words(self.asked.classes)}, so that its precision counts as 0",
        )

    def _inside(self, samples: Samples) -> BoolArray:
        return np.isin(samples.judged, self.asked.classes)
