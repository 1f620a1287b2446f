"""All that a method may ask of a model.

A method never sees a graph or a session. It is handed one of the small protocols below, already
bound to a model, a data set, a target and a choice of layers, and asks for numbers. So methods are
tested on table games and closed-form functions, and whatever runs the model (finite differences or
a gradient graph, a CPU, a GPU or a cluster) can be changed without touching them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
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
    them, so that their scores must add up to F(x) - F(x'). Otherwise the evaluator takes for the
    flow what passes through them and beside them, or through the tensors above that do carry all of
    it; it steers the refinement, and completeness does not apply to the layers alone.
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


class Integrand(Enum):
    """What a path method integrates at every unit y along the path x(α)."""

    CONDUCTANCE = "dF/dy · dy/dα"
    INFLUENCE = "dF/dy"


class Line(Enum):
    """Where the straight line of a path method runs, and what is scored on it."""

    LAYERS = "from baseline to input at the path input; the layers are scored"
    PATH_INPUT = "from baseline to input at the path input; the path input itself is scored"
    OWN = "at each layer, from its activations at the baseline to those at the input"


@dataclass(frozen=True)
class IntervalSums:
    """What an evaluator returns for ``intervals``.

    scores: layer name -> ``(intervals, *units)``, the integral over each interval, summed over
        positions at channel granularity (``(intervals, units)``), with every position kept at
        neuron granularity (``(intervals, *shape[1:])``); empty where scores are ``deferred``.
    flow: ``(intervals, cuts)``, what passes through each cut of the group, to be compared with
        F(upper) - F(lower).
    f_lower, f_upper: ``(intervals,)``, F at both ends.
    """

    scores: Mapping[str, FloatArray]
    flow: FloatArray
    f_lower: FloatArray
    f_upper: FloatArray


class Quantity(Enum):
    """What a pointwise method reads off at each input, for every unit y."""

    ACTIVATION = "y"
    GRADIENT = "dF/dy"
    GRADIENT_X_ACTIVATION = "dF/dy · y"
    GRAD_CAM = "mean of dF/dy over the positions, times y"


@dataclass(frozen=True)
class PointScores:
    """What an evaluator reads off at inputs.

    scores: layer name -> ``(inputs, units)``, or ``(inputs, *shape[1:])`` at neuron granularity.
    maps: layer name -> ``(inputs, *positions)``, where the quantity has a map over positions.
    """

    scores: Mapping[str, FloatArray]
    maps: Mapping[str, FloatArray]


@runtime_checkable
class PointEvaluator(Protocol):
    """Gives a quantity of layers at the inputs themselves, reduced over positions."""

    @property
    def layers(self) -> Sequence[Layer]: ...

    @property
    def inputs(self) -> int:
        """How many inputs the data set has."""

    @property
    def chunk(self) -> int:
        """How many inputs fill a batch."""

    def read(self, inputs: IntArray) -> PointScores:
        """The quantity at ``inputs``, indices ``(inputs,)``."""


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

    @property
    def input_axes(self) -> Mapping[str, int]:
        """Tensor of the path input -> its unit axis (colours, embedding), for those that have
        positions besides."""

    def chunk(self, group: int) -> int:
        """How many intervals of the group are best asked for at once."""

    @property
    def deferred(self) -> bool:
        """Whether scores are too large to be held for every interval: ``interval_sums`` then gives
        the flow alone, and ``integrals`` is asked once the intervals are settled."""

    def interval_sums(self, group: int, intervals: Intervals) -> IntervalSums:
        """Integrals over each interval for the layers of ``groups[group]``."""

    def integrals(self, group: int, intervals: Intervals) -> Mapping[str, FloatArray]:
        """Layer name -> ``(*units)``, the sum over ``intervals``, which are of one path."""

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
    def rankings(self) -> Mapping[str, FloatArray]:
        """Name -> ``(players,)``: scores from outside by which to rank the players."""

    @property
    def samples(self) -> int:
        """How many inputs V is taken over."""

    @property
    def linear(self) -> bool:
        """Whether V is a sum over the inputs, so that a random part of them gives V on average."""

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        """``(coalitions, players)`` bool, True where kept -> V ``(coalitions,)``.

        samples: ``(coalitions, inputs)``, the inputs over which V of each coalition is taken,
        weighted so that V over all is met on average over random ones; all where None.
        """

    @property
    def chunk(self) -> int:
        """How many coalitions, over all inputs, are best asked for at once."""

    @property
    def surrogate(self) -> str:
        """What ``linearised`` speaks of: V itself (empty), or the name of the smooth value that
        stands in.

        InvalidOption where there are no slopes; it says what is in the way.
        """

    def linearised(self, masks: FloatArray, samples: IntArray | None = None) -> FloatArray:
        """What each player's marginal would be if the network were linear in its mask.

        One backward pass gives those of all players. masks: ``(masks, players)``, between 0
        (replaced) and 1 (kept); where the slopes are taken. samples: as for ``values``. Gives
        ``(masks, players)``.
        """
