"""Slopes of a smooth value in the masks of all players, by one backward pass through the masks."""

from __future__ import annotations

import numpy as np

from mho.graph.mask import mask_input
from mho.graph.target import SCORES
from mho.graph.worth import ARGUMENT, TRUTH, WANTED, mask_slopes, slope_output, valued
from mho.runtime.masked_part import Masks
from mho.runtime.problem import Problem
from mho.runtime.resampled import substitute_rows
from mho.runtime.substitutes import Substitutes
from mho.types import Array, FloatArray, IntArray
from mho.value import Samples, Surrogate, Value


class MaskSlopes:
    """Runs the graph that gives the argument of each row's worth, and its slopes in the masks."""

    def __init__(self, problem: Problem, substitutes: Substitutes, value: Value) -> None:
        self._value = value
        self._inputs = problem.data.inputs
        self._layers = problem.layers
        self._classes = _classes(problem)
        model = valued(
            problem.model,
            value.surrogate,
            probabilities=value.asked.probabilities,
            single=self._classes == 1,
        )
        self._instead = substitute_rows(problem, substitutes)
        self._batches = problem.batches(self._instead.fitted(mask_slopes(model, problem.layers)))

    def read(
        self, masks: Masks, mask: IntArray, sample: IntArray, known: Samples
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The argument of each row's smooth worth ``(rows,)``, and layer -> its slopes ``(rows,
        units)``.

        masks may lie anywhere between 0 and 1. mask, sample: ``(rows,)``, indices into ``masks``
        and the data. known: of each row.
        """
        judged = self._judged(known)

        def feeds(a: int, b: int) -> dict[str, Array]:
            fed: dict[str, Array] = {n: array[sample[a:b]] for n, array in self._inputs.items()}
            fed.update({mask_input(n): m[mask[a:b]] for n, m in masks.items()})
            fed.update({name: array[a:b] for name, array in judged.items()})
            fed.update(self._instead.feeds(sample[a:b]))
            return fed

        argument: list[Array] = []
        parts: dict[str, list[Array]] = {layer.name: [] for layer in self._layers}
        for _, _, found in self._batches.run(len(sample), feeds):
            argument.append(found[ARGUMENT])
            for name, listed in parts.items():
                listed.append(found[slope_output(name)])
        return (
            np.concatenate(argument).astype(np.float64),
            {name: np.concatenate(p).astype(np.float64) for name, p in parts.items()},
        )

    def _judged(self, known: Samples) -> dict[str, Array]:
        if self._value.surrogate is Surrogate.SQUARED_ERROR:
            assert known.truth is not None  # the value needs it, which was checked
            return {TRUTH: known.truth.astype(np.float32)}
        return {WANTED: self._value.wanted(known, self._classes).astype(np.float32)}


def _classes(problem: Problem) -> int:
    """How many scores each input has; found by running the model where its shape does not say."""
    known = next(spec.shape for spec in problem.model.outputs if spec.name == SCORES)
    return known[1] if isinstance(known[1], int) else problem.scores().shape[1]
