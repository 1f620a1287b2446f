"""All that a method may ask of a model.

A method never sees a graph or a session. It is handed one of the small protocols below, already
bound to a model, a data set, a target and a choice of layers, and asks for numbers. So methods are
tested on table games and closed-form functions, and whatever runs the model (finite differences or
a gradient graph, a CPU, a GPU or a cluster) can be changed without touching them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mho.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Layer:
    """A float activation tensor of the graph that has units.

    ``shape`` is that of the tensor with the batch at position 0; a symbolic or unknown dimension is
    given by name or as None. ``axis`` (positive) is the unit axis in that shape and ``units`` its
    length.
    """

    name: str
    op_type: str
    units: int
    shape: tuple[int | str | None, ...]
    axis: int
    engines: tuple[str, ...] = ("finite_difference",)


@dataclass(frozen=True)
class Player:
    """A unit, or a named group of units, that takes part in a game.

    ``members`` maps a layer's name to the indices of the player's units in it.
    """

    name: str
    members: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Cut:
    """Layers of a group through which the whole flow from path input to target passes.

    ``layers`` are the layers whose units are scored. ``complete`` says that nothing passes beside
    them, so that their scores must add up to F(x) - F(x'). Otherwise the evaluator adds what passes
    beside them to the flow, which then steers the refinement, and completeness does not apply to
    the layers alone.
    """

    layers: tuple[str, ...]
    complete: bool


@dataclass(frozen=True)
class PathGroup:
    """Layers whose integrals share their nodes, and the cuts by which the nodes are judged."""

    layers: tuple[Layer, ...]
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Intervals:
    """Pieces of straight-line paths: ``path``, ``lower``, ``upper``, each ``(intervals,)``.

    Piece ``k`` runs from x' + lower[k](x - x') to x' + upper[k](x - x') on path ``path[k]``.
    """

    path: IntArray
    lower: FloatArray
    upper: FloatArray

    def __len__(self) -> int:
        return int(self.path.shape[0])


@dataclass(frozen=True)
class IntervalSums:
    """What an evaluator returns for ``intervals``.

    scores: layer name -> ``(intervals, *units)``, the integral of dF/dy · dy over each interval,
        summed over positions at channel granularity (``(intervals, units)``), with every position
        kept at neuron granularity (``(intervals, *shape[1:])``).
    flow: ``(intervals, cuts)``, what passes through each cut of the group, to be compared with
        F(upper) - F(lower).
    """

    scores: Mapping[str, FloatArray]
    flow: FloatArray


@runtime_checkable
class ActivationEvaluator(Protocol):
    """Gives the activations of layers, reduced over positions."""

    @property
    def layers(self) -> Sequence[Layer]: ...

    @property
    def inputs(self) -> int:
        """How many inputs the data set has."""

    @property
    def chunk(self) -> int:
        """How many inputs fill a batch."""

    def activations(self, inputs: IntArray) -> Mapping[str, FloatArray]:
        """Layer name -> ``(inputs, units)``, or ``(inputs, *shape[1:])`` at neuron granularity."""


@runtime_checkable
class PathEvaluator(Protocol):
    """Evaluates straight lines from baseline to input, one for every pair of the two."""

    @property
    def groups(self) -> Sequence[PathGroup]: ...

    @property
    def inputs(self) -> int: ...

    @property
    def input_of_path(self) -> IntArray:
        """``(paths,)``: which input a path ends at; the paths of an input are averaged."""

    def chunk(self, group: int) -> int:
        """How many intervals of the group are best asked for at once."""

    def values(self, path: IntArray, alpha: FloatArray) -> FloatArray:
        """F at x' + alpha (x - x'), ``(points,)``; ``path`` and ``alpha`` are ``(points,)``."""

    def interval_sums(self, group: int, intervals: Intervals) -> IntervalSums:
        """Integrals over each interval for the layers of ``groups[group]``."""

    @property
    def spent(self) -> Mapping[str, int]:
        """What was evaluated so far, by kind, e.g. ``{"forward": 12, "tail": 960}``."""


@runtime_checkable
class CoalitionEvaluator(Protocol):
    """A cooperative game: V of a coalition of players, all other players being replaced."""

    @property
    def players(self) -> Sequence[Player]: ...

    @property
    def layers(self) -> Sequence[Layer]:
        """The layers of the players, in the order of the graph."""

    @property
    def ranking(self) -> FloatArray | None:
        """``(players,)``: scores from outside by which to rank the players, or None."""

    def values(self, coalitions: BoolArray) -> FloatArray:
        """``(coalitions, players)`` bool, True where kept -> V ``(coalitions,)``."""

    @property
    def chunk(self) -> int:
        """How many coalitions fill a batch."""
