"""Squared error of a regressor, with the sign that makes higher better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.types import Float32Array, FloatArray
from mho.value import Needs, Samples, Surrogate, Value


class SquaredError(Value):
    """Minus the squared error, the mean over the outputs: 0 for a perfect regressor.

    The model's output is compared as it is; a closing Sigmoid or Softmax is part of it.
    """

    name: ClassVar[str] = "squared_error"
    summary: ClassVar[str] = "minus the mean squared error to the targets of a regressor"
    needs: ClassVar[frozenset[Needs]] = frozenset({Needs.TRUTH})
    compares: ClassVar[bool] = False
    on_output: ClassVar[bool] = True
    surrogate: ClassVar[Surrogate] = Surrogate.SQUARED_ERROR
    sign = -1.0
    smooth: ClassVar[bool] = True

    def per_sample(self, scores: Float32Array, samples: Samples) -> FloatArray:
        assert samples.truth is not None  # the value needs it, which was checked
        off = scores.astype(np.float64) - samples.truth
        return np.asarray(-(off * off).mean(axis=1))
