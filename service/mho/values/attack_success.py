"""How often an attack succeeds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray
from mho.value import Asked, Samples, Surrogate, Value, among, in_words


class AttackSuccess(Value):
    """1 where an input is not given its label, else 0; the inputs are taken to be adversarial.

    With ``classes``, the goal of the attack: 1 where the answer is one of these, over the inputs
    that do not belong there by their label. Higher means that the attack succeeds, so a positive
    score is that of a unit through which the attack works, and removing it defends the model. An
    input that the model gets wrong without an attack counts as well.
    """

    name: ClassVar[str] = "attack_success"
    summary: ClassVar[str] = "share of adversarial inputs not given their label, or given --classes"
    takes: ClassVar[frozenset[str]] = frozenset({"classes"})
    grouped: ClassVar[bool] = True
    surrogate: ClassVar[Surrogate] = Surrogate.PROBABILITY

    def __init__(self, asked: Asked | None = None) -> None:
        super().__init__(asked)
        self.sign = 1.0 if self.asked.classes else -1.0

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        answers = np.argmax(scores, axis=1)
        if self.asked.classes:
            succeeds = np.isin(answers, self.asked.classes)
        else:
            succeeds = answers != samples.judged
        return np.asarray(succeeds, dtype=np.float64)

    def weights(self, samples: Samples) -> FloatArray:
        if not self.asked.classes:
            return super().weights(samples)
        outside = ~np.isin(samples.judged, self.asked.classes)
        return among(outside, f"labelled other than {in_words(self.asked.classes)}")

    @property
    def words(self) -> str:
        if not self.asked.classes:
            return self.name
        return f"{self.name} towards {in_words(self.asked.classes)}"
