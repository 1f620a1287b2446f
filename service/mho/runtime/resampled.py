"""The masked model run on rows where removed units take their activations on another input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mho.graph.mask import mask_input, masked, substitute_input
from mho.graph.model import Model
from mho.graph.reduce import activation_output, activations
from mho.graph.rowwise import rowwise
from mho.graph.target import SCORES
from mho.runtime.masked import MaskedModel
from mho.runtime.masked_part import Masks, fed_substitutes
from mho.runtime.problem import Problem
from mho.runtime.substitutes import Donors, Substitutes
from mho.types import Array, Float32Array, IntArray

_BATCHES_A_CALL = 4
_HELD_SHARE = 2
"""Activations of donors may take this part of the memory budget."""


class DonorRows:
    """The activations of donors as substitutes of rows.

    They are computed by the unchanged model when an input is first asked for. Those that fit the
    memory are held from then on, others until the next batch.
    """

    def __init__(self, problem: Problem, donors: Donors) -> None:
        self._problem = problem
        self._donors = donors
        self._batches = problem.batches(activations(problem.model, problem.layers, None))
        self._held: dict[int, dict[str, Array]] = {}
        self._free = problem.settings.memory_bytes // _HELD_SHARE

    def fitted(self, model: Model) -> Model:
        """A ``masked`` model that takes substitutes row by row."""
        return rowwise(model, self._problem.layers)

    def feeds(self, sample: IntArray) -> dict[str, Array]:
        """Substitute input -> ``(rows, ...)`` for rows of the inputs ``sample``; ``(1, ...)`` where
        they are all of one input."""
        asked = np.unique(sample)
        found = {int(index): self._held[int(index)] for index in asked if int(index) in self._held}
        new = [int(index) for index in asked if int(index) not in found]
        if new:
            found |= self._read(new)
        same = len(asked) == 1
        rows = asked if same else sample
        return {
            substitute_input(layer.name): np.stack(
                [found[int(index)][activation_output(layer.name)] for index in rows]
            )
            for layer in self._problem.layers
        }

    def _read(self, new: list[int]) -> dict[int, dict[str, Array]]:
        """Input -> the activations of its donor, by the name of the output."""
        donor = self._donors.donor[new]
        inputs = self._donors.inputs
        found: dict[int, dict[str, Array]] = {}
        for start, stop, outputs in self._batches.run(
            len(new), lambda a, b: {name: array[donor[a:b]] for name, array in inputs.items()}
        ):
            for place, index in enumerate(new[start:stop]):
                found[index] = {name: array[place] for name, array in outputs.items()}
                size = sum(array.nbytes for array in found[index].values())
                if size <= self._free:
                    self._free -= size
                    # copies, for a view would keep the whole batch
                    self._held[index] = {n: array.copy() for n, array in found[index].items()}
        return found


class FixedRows:
    """The same substitutes for all rows; as ``DonorRows``."""

    def __init__(self, problem: Problem, values: Mapping[str, Array]) -> None:
        self._fed = fed_substitutes(problem.layers, values)

    def fitted(self, model: Model) -> Model:
        return model

    def feeds(self, _sample: IntArray) -> Mapping[str, Array]:
        return self._fed


class ResampledModel:
    """A ``MaskedModel`` whose substitutes are the activations of ``donors``, for each input its
    own."""

    def __init__(self, problem: Problem, donors: Donors) -> None:
        self._inputs = problem.data.inputs
        self._donors = DonorRows(problem, donors)
        graph = self._donors.fitted(masked(problem.model, problem.layers))
        self._batches = problem.batches(graph)

    @property
    def rows(self) -> int:
        """How many rows are best asked for at once."""
        return _BATCHES_A_CALL * self._batches.rows

    def scores(self, masks: Masks, coalition: IntArray, sample: IntArray) -> Float32Array:
        """As ``MaskedModel.scores``. Rows are run input by input, so that the activations of a
        donor serve all coalitions in turn."""
        order = np.argsort(sample, kind="stable")
        coalition, sample = coalition[order], sample[order]

        def feeds(a: int, b: int) -> dict[str, Array]:
            fed: dict[str, Array] = {n: array[sample[a:b]] for n, array in self._inputs.items()}
            fed.update({mask_input(n): mask[coalition[a:b]] for n, mask in masks.items()})
            fed.update(self._donors.feeds(sample[a:b]))
            return fed

        parts = [found[SCORES] for _, _, found in self._batches.run(len(sample), feeds)]
        found = np.concatenate(parts)
        scores = np.empty_like(found)
        scores[order] = found
        return scores


def masked_model(problem: Problem, substitutes: Substitutes) -> MaskedModel | ResampledModel:
    """What runs ``problem`` with such substitutes."""
    if isinstance(substitutes, Donors):
        return ResampledModel(problem, substitutes)
    return MaskedModel(problem, substitutes)


def substitute_rows(problem: Problem, substitutes: Substitutes) -> FixedRows | DonorRows:
    """What feeds such substitutes to a masked model of one's own."""
    if isinstance(substitutes, Donors):
        return DonorRows(problem, substitutes)
    return FixedRows(problem, substitutes)
