"""What a value function V is: the score of a model's outputs, from which games are made.

A value function sees the outputs of the network for every (coalition, sample) pair and the labels,
and returns one number per pair; V of a coalition is the mean over the samples. Higher is better,
always: a positive Shapley value means that the unit helps.

To add one: put a file in ``values/`` with one subclass of ``Value`` and a row in
``tests/values/test_values.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mho.types import Float32Array, FloatArray, IntArray


class Value(ABC):
    """One value function. ``name`` is what users write; ``summary`` is one line for the help."""

    name: ClassVar[str]
    summary: ClassVar[str]
    needs_labels: ClassVar[bool] = True
    """Whether every sample must have a label (its class index)."""

    @abstractmethod
    def per_sample(self, scores: Float32Array, labels: IntArray) -> FloatArray:
        """The value of each row, ``(rows,)``.

        scores: ``(rows, classes)``, the model's scores before softmax, or its probabilities where
            the run asks for them.
        labels: ``(rows,)``, the class that each row is judged by: the sample's label, or the target
            that the run asks for.
        """
