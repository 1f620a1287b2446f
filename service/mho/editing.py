"""What a method may ask of a game whose model can be edited, and what an edited model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mho.evaluation import CoalitionEvaluator
from mho.results import WrittenModel
from mho.types import BoolArray, IntArray


@dataclass(frozen=True)
class LayerEdit:
    """How the units of a layer were removed.

    changed: the nodes whose weights were set. node: the name of the node that was put behind the
    layer, and why: what was in the way of changing weights; both empty where weights were changed.
    """

    layer: str
    units: tuple[int, ...]
    changed: tuple[str, ...] = ()
    node: str = ""
    why: str = ""


@dataclass(frozen=True)
class EditedModel:
    """A model with players removed for good.

    layers: those that lost units, in the order of the graph. opset: of the file. notes: for the
    reader.
    """

    files: WrittenModel
    layers: tuple[LayerEdit, ...]
    opset: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """How far the scores of an edited model lie from those of the masked one, over some inputs.

    deviation: the largest difference. scale: the largest score of the masked model.
    """

    deviation: float
    scale: float


class ModelEditor(CoalitionEvaluator, Protocol):
    """A game that can be made permanent for one of its coalitions.

    by_node: ``(layers,)`` bool over ``layers``: where the units are replaced by a node behind the
    layer, whatever weights could do.
    """

    @property
    def inputs(self) -> int:
        """How many inputs the data set has."""

    @property
    def rows(self) -> int:
        """How many inputs are best compared at once."""

    @property
    def tolerance(self) -> float:
        """What part of the largest score a deviation may be, given the model's precision."""

    def edit(self, removed: BoolArray, by_node: BoolArray) -> EditedModel:
        """The model without the players ``removed``, ``(players,)`` bool."""

    def compare(self, removed: BoolArray, by_node: BoolArray, inputs: IntArray) -> Agreement:
        """The model that ``edit`` gives, read from its file, beside the masked model.

        inputs: ``(inputs,)``, indices of those to compare on.
        """

    def suspects(self, removed: BoolArray, by_node: BoolArray, inputs: IntArray) -> BoolArray:
        """``(layers,)``: those that give other scores than the mask where they alone are edited, by
        weights."""
