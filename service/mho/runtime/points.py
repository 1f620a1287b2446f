"""What is read off at the inputs themselves: one run gives all layers, reduced in the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np

from mho.errors import InvalidData
from mho.evaluation import Layer, PointScores, Quantity
from mho.graph.point_scores import map_output, point_scores, score_output
from mho.graph.reduce import activation_output, activations
from mho.graph.target import TARGET, targeted
from mho.runtime.problem import Problem
from mho.telemetry.figures import evaluated
from mho.types import Array, FloatArray, IntArray


class GraphPoints:
    """A ``PointEvaluator``.

    ``reduction``: ``mean``, ``sum`` or ``max`` over positions, or None for neuron granularity.
    ``judged``: ``(inputs,)``, the class whose score is F, where gradients are needed.
    """

    def __init__(
        self,
        problem: Problem,
        quantity: Quantity,
        reduction: str | None,
        judged: IntArray | None = None,
    ) -> None:
        self._problem = problem
        self._judged = judged
        self._name = activation_output if quantity is Quantity.ACTIVATION else score_output
        if quantity is Quantity.ACTIVATION:
            graph = activations(problem.model, problem.layers, reduction)
        else:
            model = targeted(problem.model)
            graph = point_scores(model, problem.layers, quantity, reduction)
        self._batches = problem.batches(graph)

    def on(self, problem: Problem, judged: IntArray | None) -> GraphPoints:
        """The same for other inputs, with the session that is there."""
        other = copy(self)
        other._problem, other._judged = problem, judged
        return other

    @property
    def layers(self) -> Sequence[Layer]:
        return self._problem.layers

    @property
    def inputs(self) -> int:
        return len(self._problem.data)

    @property
    def chunk(self) -> int:
        return self._batches.rows

    def read(self, inputs: IntArray) -> PointScores:
        """InvalidData where a gradient is not finite."""
        scores: dict[str, list[FloatArray]] = {}
        maps: dict[str, list[FloatArray]] = {}
        batches = self._batches.run(len(inputs), lambda a, b: self._feeds(inputs[a:b]))
        for start, stop, found in batches:
            for layer in self.layers:
                value = found[self._name(layer.name)]
                if self._judged is not None:
                    self._check(value, layer, inputs[start:stop])
                scores.setdefault(layer.name, []).append(value.astype(np.float64))
                if map_output(layer.name) in found:
                    seen = found[map_output(layer.name)]
                    maps.setdefault(layer.name, []).append(seen.astype(np.float64))
        evaluated("activation" if self._judged is None else "gradient", len(inputs))
        return PointScores(_joined(scores), _joined(maps))

    def _feeds(self, inputs: IntArray) -> dict[str, Array]:
        fed = {name: array[inputs] for name, array in self._problem.data.inputs.items()}
        if self._judged is not None:
            fed[TARGET] = self._judged[inputs]
        return fed

    def _check(self, value: Array, layer: Layer, inputs: IntArray) -> None:
        bad = ~np.isfinite(value.reshape(len(value), -1)).all(axis=1)
        if bad.any():
            name = self._problem.data.names[int(inputs[int(np.argmax(bad))])]
            raise InvalidData(
                f"the gradient at layer '{layer.name}' is not finite for input '{name}'; leave "
                "the layer or the input out",
                subject=layer.name,
            )


def _joined(parts: Mapping[str, list[FloatArray]]) -> dict[str, FloatArray]:
    return {name: np.concatenate(values) for name, values in parts.items()}
