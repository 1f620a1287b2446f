"""Accuracy over subgroups of the data."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray
from mho.value import Needs, Samples, Surrogate, Value, among, quoted


class SubgroupAccuracy(Value):
    """Accuracy over the inputs that belong to one of ``subgroups``; the others are never run."""

    name: ClassVar[str] = "subgroup_accuracy"
    summary: ClassVar[str] = "accuracy over the members of --subgroups"
    needs: ClassVar[frozenset[Needs]] = frozenset({Needs.LABELS, Needs.SUBGROUPS})
    takes: ClassVar[frozenset[str]] = frozenset({"subgroups"})
    surrogate: ClassVar[Surrogate] = Surrogate.PROBABILITY

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        return np.asarray(np.argmax(scores, axis=1) == samples.judged, dtype=np.float64)

    def weights(self, samples: Samples) -> FloatArray:
        of_them = np.any([samples.subgroups[name] for name in self.asked.subgroups], axis=0)
        return among(of_them, f"in {quoted(self.asked.subgroups)}")

    @property
    def words(self) -> str:
        return f"accuracy over {quoted(self.asked.subgroups)}"
