"""A game that can be made permanent: its model without chosen players, compared with the mask.

What is compared is the file itself: it is written, loaded by onnxruntime as any program would do
it, and read as any model of a run is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mho.editing import Agreement, EditedModel
from mho.errors import InvalidOption
from mho.evaluation import Layer, Player
from mho.graph import units as units_of
from mho.graph.cut import pruned
from mho.graph.edit import Removal, edited
from mho.graph.editable import editable, half_precision, opset_of
from mho.graph.load import Limits, load
from mho.graph.mask import mask_input, masked
from mho.graph.model import Model
from mho.graph.model_files import MODEL, ModelFiles
from mho.graph.target import SCORES, scored
from mho.method import GameMethod
from mho.runtime.batches import Batches, rows_for
from mho.runtime.coalitions import MaskedCoalitions
from mho.runtime.judging import score_of
from mho.runtime.masked_part import fed_substitutes
from mho.runtime.prepare import prepare, probe_rows
from mho.runtime.substitutes import Donors, Substitutes
from mho.types import Array, BoolArray, Feeds, Float32Array, FloatArray, IntArray

_TOLERANCE, _HALF_TOLERANCE = 1e-4, 1e-2
"""What a deviation may be of the largest score; in a model of 16-bit floats the latter."""

Units = Mapping[str, tuple[int, ...]]
"""Layer -> the units that go, sorted."""


@dataclass(frozen=True)
class _Pair:
    """The masked and the edited model, ready to be run on the same inputs.

    masks: graph input -> ``(1, units)``. substitutes: graph input -> what removed units become.
    """

    masked: Batches
    edited: Batches
    masks: Feeds
    substitutes: Feeds

    def compared(self, inputs: Feeds) -> Agreement:
        total = len(next(iter(inputs.values())))

        def plain(start: int, stop: int) -> Feeds:
            return {name: array[start:stop] for name, array in inputs.items()}

        def with_masks(start: int, stop: int) -> Feeds:
            rows = {name: np.repeat(m, stop - start, axis=0) for name, m in self.masks.items()}
            return {**plain(start, stop), **rows, **self.substitutes}

        return _agreement(
            np.concatenate([found[SCORES] for _, _, found in self.edited.run(total, plain)]),
            np.concatenate([found[SCORES] for _, _, found in self.masked.run(total, with_masks)]),
        )


class EditedGame:
    """A ``ModelEditor``: ``game`` with what makes it permanent.

    method: whose game it is. whole: the model of the run, with all its outputs.
    """

    def __init__(self, method: GameMethod[Any], game: MaskedCoalitions, whole: Model) -> None:
        """InvalidOption where a removed unit is another for every input, and so no constant."""
        self._game = game
        self._whole = whole
        self._problem = problem = game.problem
        self._substitutes = _constants(game.substitutes, method.substitute)
        self._scored: Callable[[Model], Model] = lambda model: pruned(
            scored(model, method.output, score_of(method))
        )
        settings = problem.settings
        self._limits = Limits(
            2 * settings.max_model_bytes, 2 * settings.max_nodes, settings.max_nesting
        )
        self._edits: dict[object, EditedModel] = {}
        self._pairs: dict[object, _Pair] = {}

    # ---- the game ----

    @property
    def players(self) -> Sequence[Player]:
        return self._game.players

    @property
    def layers(self) -> Sequence[Layer]:
        return self._game.layers

    @property
    def rankings(self) -> Mapping[str, FloatArray]:
        return self._game.rankings

    @property
    def samples(self) -> int:
        return self._game.samples

    @property
    def linear(self) -> bool:
        return self._game.linear

    @property
    def chunk(self) -> int:
        return self._game.chunk

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        return self._game.values(coalitions, samples)

    @property
    def surrogate(self) -> str:
        return self._game.surrogate

    def linearised(self, masks: FloatArray, samples: IntArray | None = None) -> FloatArray:
        return self._game.linearised(masks, samples)

    # ---- made permanent ----

    @property
    def inputs(self) -> int:
        return len(self._problem.data)

    @cached_property
    def rows(self) -> int:
        provider = self._problem.sessions.provider.name
        rows = rows_for(self._problem.model, self._problem.settings, provider)
        return 1 if self._problem.single else rows

    @cached_property
    def tolerance(self) -> float:
        return _HALF_TOLERANCE if half_precision(self._whole) else _TOLERANCE

    def edit(self, removed: BoolArray, by_node: BoolArray) -> EditedModel:
        """As the protocol says. InvalidOption for a substitute that can't be made permanent."""
        return self._edit(self._units(removed), self._names(by_node))

    def compare(self, removed: BoolArray, by_node: BoolArray, inputs: IntArray) -> Agreement:
        return self._compare(self._units(removed), self._names(by_node), inputs)

    def suspects(self, removed: BoolArray, by_node: BoolArray, inputs: IntArray) -> BoolArray:
        nodes = self._names(by_node)
        found = np.zeros(len(self.layers), dtype=np.bool_)
        for name, units in self._units(removed).items():
            alone = {name: units}
            if not self._edit(alone, nodes).layers[0].node:
                agreement = self._compare(alone, nodes, inputs)
                place = [layer.name for layer in self.layers].index(name)
                found[place] = not agreement.deviation <= self.tolerance * agreement.scale
        return found

    def _units(self, removed: BoolArray) -> Units:
        units: dict[str, set[int]] = {}
        for player, gone in zip(self.players, removed, strict=True):
            if gone:
                for name, members in player.members.items():
                    units.setdefault(name, set()).update(members)
        return {
            layer.name: tuple(sorted(units[layer.name]))
            for layer in self.layers
            if layer.name in units
        }

    def _names(self, by_node: BoolArray) -> tuple[str, ...]:
        return tuple(layer.name for layer, n in zip(self.layers, by_node, strict=True) if n)

    def _edit(self, units: Units, by_node: tuple[str, ...]) -> EditedModel:
        key = _key(units, by_node)
        if key not in self._edits:
            start = editable(self._whole, units, self._limits)
            removals = [self._removal(layer, units) for layer in self.layers if layer.name in units]
            found = edited(start, removals, known=self._whole, by_node=by_node)
            files = ModelFiles(found.model)
            self._edits = {
                key: EditedModel(files, found.layers, opset_of(found.model), start.notes)
            }
        return self._edits[key]

    def _removal(self, layer: Layer, units: Units) -> Removal:
        constants = np.asarray(self._substitutes[layer.name], dtype=np.float32)
        if constants.ndim > 1:
            by_unit = np.moveaxis(constants, layer.axis - 1, 0).reshape(layer.units, -1)
            gone = by_unit[list(units[layer.name])]
            if (gone == gone[:, :1]).all():
                constants = by_unit[:, 0]
        own = units_of.layer(self._whole, layer.name)
        if constants.ndim > 1 and len(own.shape) != len(layer.shape):
            raise InvalidOption(
                f"layer '{layer.name}' holds inputs and tokens in one dimension, so that what "
                "differs from token to token cannot be made permanent; take --substitute mean",
                subject="substitute",
            )
        return Removal(own, units[layer.name], constants)

    def _compare(self, units: Units, by_node: tuple[str, ...], inputs: IntArray) -> Agreement:
        data = self._problem.data.inputs
        chosen = {name: array[inputs] for name, array in data.items()}
        return self._pair(units, by_node).compared(chosen)

    def _pair(self, units: Units, by_node: tuple[str, ...]) -> _Pair:
        key = _key(units, by_node)
        if key not in self._pairs:
            problem, data = self._problem, self._problem.data
            layers = tuple(layer for layer in self.layers if layer.name in units)
            masks = {}
            for layer in layers:
                mask = np.ones((1, layer.units), dtype=np.float32)
                mask[:, list(units[layer.name])] = 0
                masks[mask_input(layer.name)] = mask
            substitutes = fed_substitutes(layers, self._substitutes)
            files = self._edit(units, by_node).files
            with tempfile.TemporaryDirectory(prefix="mho-edited-") as folder:
                path = Path(folder) / MODEL
                files.write(Path(folder))
                model = load(path, self._limits)
                leading = [spec.shape[0] for spec in model.inputs if spec.shape]
                rows = max((dim for dim in leading if isinstance(dim, int)), default=1)
                problem.sessions.of_file(path).run(probe_rows(data.inputs, rows))
                ready = prepare(model, problem.sessions, data.inputs)
                judged = replace(problem, model=self._scored(ready.model), single=ready.single)
                batches = judged.batches(judged.model)
            plain = problem.batches(masked(problem.model, layers))
            self._pairs = {key: _Pair(plain, batches, masks, substitutes)}
        return self._pairs[key]


def _constants(substitutes: Substitutes, name: str) -> Mapping[str, Array]:
    if isinstance(substitutes, Donors):
        raise InvalidOption(
            f"substitute '{name}' is another for every input, but a unit that is removed for good "
            "becomes a constant; take --substitute mean or zero",
            subject="substitute",
        )
    return substitutes


def _key(units: Units, by_node: tuple[str, ...]) -> object:
    return tuple(units.items()), by_node


def _agreement(found: Float32Array, wanted: Float32Array) -> Agreement:
    """What is equal, infinite or no number included, deviates by nothing; a number and none by
    infinitely much."""
    with np.errstate(invalid="ignore"):
        off = np.abs(found - wanted, dtype=np.float64)
    alike = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    off = np.where(alike, 0.0, np.where(np.isnan(off), np.inf, off))
    finite = np.abs(wanted[np.isfinite(wanted)], dtype=np.float64)
    return Agreement(float(off.max(initial=0.0)), float(finite.max(initial=0.0)))
