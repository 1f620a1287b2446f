"""The masked model run on rows: each row is one input under one coalition."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mho.errors import Unsupported
from mho.graph.cut import pruned
from mho.graph.mask import mask_input
from mho.graph.stages import expected_seconds, stages
from mho.graph.target import SCORES
from mho.runtime.masked_part import MaskedPart, Masks
from mho.runtime.problem import Problem
from mho.runtime.provider import CPU
from mho.runtime.staged import StagedModel
from mho.types import Array, Float32Array, IntArray

_SECONDS = 1.5
"""What a call should take about, for jobs are cancelled and written down between calls."""
_MOST_ROWS = 512
_WORTH = 0.9
"""Stages are run where they are estimated to take less than this part of the time of the whole."""


class MaskedModel:
    """Runs ``problem.model`` with masks at ``problem.layers``.

    substitutes: layer -> ``(units,)``, the same at every position, or the layer's shape without the
    batch. Rows of one call that agree on their lower layers share the evaluation of these, where
    that is estimated to be faster. On a GPU the whole model is run: what is shared would travel
    through the memory of the host.
    """

    def __init__(self, problem: Problem, substitutes: Mapping[str, Array]) -> None:
        self._inputs = problem.data.inputs
        self._whole = MaskedPart(problem, pruned(problem.model), problem.layers, substitutes)
        made = stages(problem.model, problem.layers, SCORES)
        self._seconds = sum(stage.seconds for stage in made)
        self._staged: StagedModel | None = None
        self._rows = int(_SECONDS * problem.sessions.threads / expected_seconds(made))
        if problem.sessions.provider.name == CPU and len(made) > 1:
            self._staged = StagedModel(problem, made, substitutes)

    @property
    def rows(self) -> int:
        """How many rows are best asked for at once."""
        return max(1, min(_MOST_ROWS, self._rows))

    def scores(self, masks: Masks, coalition: IntArray, sample: IntArray) -> Float32Array:
        """``(rows, classes)``: the scores of input ``sample[k]`` under coalition ``coalition[k]``.

        coalition, sample: ``(rows,)``, indices into the arrays of ``masks`` and into the data.
        """
        if self._staged is not None and len(sample):
            asked = self._staged.asked(masks, coalition, sample)
            pays = self._staged.seconds(asked) < _WORTH * len(sample) * self._seconds
            self._staged.turn_to(asked)
            if pays:
                try:
                    return self._staged.scores(masks, asked)
                except Unsupported:  # a tensor that is carried turned out not to have the batch
                    self._staged = None

        def feeds(a: int, b: int) -> dict[str, Array]:
            fed: dict[str, Array] = {n: array[sample[a:b]] for n, array in self._inputs.items()}
            fed.update({mask_input(n): mask[coalition[a:b]] for n, mask in masks.items()})
            return fed

        parts = [found[SCORES] for _, _, found in self._whole.run(len(sample), feeds)]
        return np.concatenate(parts)
