"""The gap in accuracy between two subgroups of the data."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.types import BoolArray, Float32Array, FloatArray
from mho.value import Asked, Needs, Samples, Surrogate, Value, among, quoted


class Gap(Value):
    """Accuracy over the first of two ``subgroups`` minus that over the second, or, where one is
    named, over all inputs that are not in it.

    The gap keeps its sign: it is a sum over the inputs, so that minibatches, slopes and the
    efficiency of Shapley values hold, which minus its absolute value is not. The subgroup that is
    treated worse is to be named first. V is then below 0, a closed gap is 0, and a positive score
    is that of a unit which serves the first subgroup more than the second; a remark says so where
    the unchanged model treats the first one better. A unit that serves both alike scores 0, so the
    gap is best read beside the accuracy.
    """

    name: ClassVar[str] = "gap"
    summary: ClassVar[str] = (
        "accuracy over the first of --subgroups minus that over the second, or over all others"
    )
    needs: ClassVar[frozenset[Needs]] = frozenset({Needs.LABELS, Needs.SUBGROUPS})
    takes: ClassVar[frozenset[str]] = frozenset({"subgroups"})
    surrogate: ClassVar[Surrogate] = Surrogate.PROBABILITY

    def __init__(self, asked: Asked | None = None) -> None:
        super().__init__(asked)
        if len(self.asked.subgroups) > 2:
            raise InvalidOption(
                f"value '{self.name}' lies between two subgroups, but --subgroups names "
                f"{len(self.asked.subgroups)}; name two, or one to compare it with all others",
                subject="subgroups",
            )

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        return np.asarray(np.argmax(scores, axis=1) == samples.judged, dtype=np.float64)

    def weights(self, samples: Samples) -> FloatArray:
        """They add up to 0. An input that is in both subgroups counts on both sides."""
        (first, where), (second, elsewhere) = self._sides(samples)
        found = among(first, where) - among(second, elsewhere)
        if not found.any():
            raise InvalidOption(
                f"the inputs {where} and those {elsewhere} are the same, so that there is no gap; "
                "name other --subgroups",
                subject="subgroups",
            )
        return found

    def remarks(self, scores: Float32Array, samples: Samples) -> tuple[str, ...]:
        right = self.per_sample(scores, samples)
        (first, where), (second, elsewhere) = self._sides(samples)
        gap = float(right[first].mean() - right[second].mean())
        if gap <= 0:
            return ()
        return (
            f"the unchanged model is better by {gap:.3g} on inputs {where} than on those "
            f"{elsewhere}: units with positive scores widen this gap; name the subgroup that is "
            "treated worse first to have it the other way round",
        )

    def _sides(self, samples: Samples) -> tuple[tuple[BoolArray, str], tuple[BoolArray, str]]:
        """The members of both sides ``(samples,)``, and where these are."""
        names = self.asked.subgroups
        first = samples.subgroups[names[0]]
        if len(names) == 1:
            return (first, f"in {quoted(names)}"), (~first, f"outside {quoted(names)}")
        second = samples.subgroups[names[1]]
        return (first, f"in {quoted(names[:1])}"), (second, f"in {quoted(names[1:])}")

    @property
    def words(self) -> str:
        names = self.asked.subgroups
        other = quoted(names[1:]) if len(names) > 1 else "all others"
        return f"accuracy over {quoted(names[:1])} minus that over {other}"
