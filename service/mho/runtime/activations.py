"""Activations of layers over the data, reduced over positions inside the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mho.evaluation import Layer
from mho.graph.reduce import activation_output, activations
from mho.runtime.problem import Problem
from mho.types import FloatArray, IntArray


class GraphActivations:
    """An ``ActivationEvaluator``: one run gives all layers.

    ``reduction``: ``mean``, ``sum`` or ``max`` over positions, or None for neuron granularity.
    """

    def __init__(self, problem: Problem, reduction: str | None) -> None:
        self._problem = problem
        self._batches = problem.batches(activations(problem.model, problem.layers, reduction))

    @property
    def layers(self) -> Sequence[Layer]:
        return self._problem.layers

    @property
    def inputs(self) -> int:
        return len(self._problem.data)

    @property
    def chunk(self) -> int:
        return self._batches.rows

    def activations(self, inputs: IntArray) -> Mapping[str, FloatArray]:
        data = self._problem.data.inputs
        parts: dict[str, list[FloatArray]] = {layer.name: [] for layer in self.layers}
        batches = self._batches.run(
            len(inputs), lambda a, b: {name: array[inputs[a:b]] for name, array in data.items()}
        )
        for _, _, found in batches:
            for layer in self.layers:
                value = found[activation_output(layer.name)]
                parts[layer.name].append(value.astype(np.float64))
        return {name: np.concatenate(values) for name, values in parts.items()}
