"""One walk of Neuron Shapley as published: cut where the network is dead, some players skipped.

Players leave the full set in a random order. Only those that are of interest are evaluated: one
that is not leaves all the same, at no cost, but makes the next one cost two evaluations, because V
before its departure is unknown (Ghorbani & Zou 2020, algorithm 1). Where V has lain near V of no
players for six evaluated departures in a row, the rest of the walk counts 0.

Departures from the paper's code. It is cut where V is at most 0.2 above chance; here V must lie
within a tenth of the way from V(none) to V(all) on either side of V(none), so that it serves values
of every scale, and that a V which falls below V(none) in mid-path and comes back, as cross-entropy
does, is not taken for dead. And V(none) is known, so that the last departure costs nothing and is
never cut. Coalitions are evaluated as many at once as are sure to be needed whatever V turns out to
be, so that none is wasted and batches do not change what is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mho.evaluation import CoalitionEvaluator
from mho.sampling.coalitions import all_and_none
from mho.sampling.departures import ranks
from mho.sampling.draws import minibatch, stream
from mho.types import BoolArray, FloatArray, IntArray

STREAK = 6
"""Low departures in a row after which a walk is cut."""
TOLERANCE = 0.1
"""How far from V(none) still counts as dead, in units of V(all) - V(none)."""

_ORDER, _INPUTS = 0, 1
"""Last counters of the streams of a walk."""


@dataclass(frozen=True)
class Walk:
    """The walk in hand.

    order: ``(players,)``, as they leave. inputs: ``(inputs,)``, empty for all. wanted:
    ``(players,)``, who is evaluated. position: how many have left, up to the last that was
    evaluated; last: V after that. low: evaluated departures in a row with V near ``empty``, which
    is V of no players on these inputs. marginal, reached: ``(players,)``. cut: whether it ended
    before its time. evaluations: of V over the inputs of the walk.
    """

    order: IntArray
    inputs: IntArray
    wanted: BoolArray
    position: int
    last: float
    low: int
    empty: float
    marginal: FloatArray
    reached: BoolArray
    cut: bool
    evaluations: int

    @property
    def over(self) -> bool:
        return self.cut or not self.wanted[self.order[self.position :]].any()

    @property
    def mass(self) -> float:
        """What the players that were not reached had shared: V - V(none) where it was cut."""
        return self.last - self.empty if self.cut else 0.0


def idle(players: int) -> Walk:
    """No walk: nobody is to be evaluated."""
    none, nobody = np.zeros(players), np.zeros(players, dtype=bool)
    order = np.arange(players, dtype=np.int64)
    return Walk(order, order[:0], nobody, 0, 0.0, 0, 0.0, none, nobody, False, 0)


def begun(
    game: CoalitionEvaluator, seed: int, index: int, batch: int, wanted: BoolArray,
    v_full: float, v_empty: float,
) -> Walk:  # fmt: skip
    """Walk ``index``, made of (seed, index) alone, on ``batch`` inputs of its own; 0 for all, over
    which V of all and of no players are known."""
    players = len(wanted)
    inputs = minibatch(stream(seed, index, _INPUTS), game.samples, batch)
    evaluations = 0
    if inputs is not None:
        both = game.values(all_and_none(players), np.tile(inputs, (2, 1)))
        v_full, v_empty = (float(v) for v in both)
        evaluations = 2
    return Walk(
        order=stream(seed, index, _ORDER).permutation(players).astype(np.int64),
        inputs=np.zeros(0, dtype=np.int64) if inputs is None else inputs,
        wanted=wanted,
        position=0,
        last=v_full,
        low=0,
        empty=v_empty,
        marginal=np.zeros(players),
        reached=np.zeros(players, dtype=bool),
        cut=False,
        evaluations=evaluations,
    )


def most_evaluations(wanted: int, players: int, batch: int) -> int:
    """Of a walk that is not cut: one for each departure, two where the player before is skipped;
    V of no players is known."""
    between = max(1, min(2 * wanted, players - 1))
    return between + (2 if batch else 0)


def gone_on(walk: Walk, game: CoalitionEvaluator, tolerance: float, room: int) -> Walk:
    """With some more departures, about ``room`` evaluations of V. tolerance: in units of V."""
    evaluated = 0
    while evaluated < room and not walk.over:
        before = walk.evaluations
        walk = _moved(walk, game, tolerance, room - evaluated)
        evaluated += max(1, walk.evaluations - before)
    return walk


def _moved(walk: Walk, game: CoalitionEvaluator, tolerance: float, room: int) -> Walk:
    """With as many departures as will be evaluated in any case, and fit the room."""
    players = len(walk.order)
    removed, leaving = _ahead(walk, room)
    known = {walk.position: walk.last}
    if removed:
        inputs = np.tile(walk.inputs, (len(removed), 1)) if len(walk.inputs) else None
        found = game.values(ranks(walk.order) >= np.array(removed)[:, None], inputs)
        known |= dict(zip(removed, (float(v) for v in found), strict=True))
    known[players] = walk.empty
    marginal, reached = walk.marginal.copy(), walk.reached.copy()
    low = walk.low
    for position in leaving:
        player = walk.order[position]
        marginal[player] = known[position] - known[position + 1]
        reached[player] = True
        low = low + 1 if abs(known[position + 1] - walk.empty) <= tolerance else 0
    stop = leaving[-1] + 1
    left = walk.wanted[walk.order[stop:]]
    # What remains costs something: the last departure alone does not, if V before it is known.
    cut = low >= STREAK and bool(left.any()) and stop < players - 1
    return replace(
        walk,
        position=stop,
        last=known[stop],
        low=low,
        marginal=marginal,
        reached=reached,
        cut=cut,
        evaluations=walk.evaluations + len(removed),
    )


def _ahead(walk: Walk, room: int) -> tuple[list[int], list[int]]:
    """Numbers of removed players whose V is to be had, and the departures that are then known.

    No more departures than it takes to complete the streak: sooner the walk cannot be cut.
    """
    players = len(walk.order)
    removed: list[int] = []
    leaving: list[int] = []
    # A single player is evaluated as well: walks that cost nothing would never end.
    had = {0} if players == 1 else {walk.position, players}
    for position in range(walk.position, players):
        if not walk.wanted[walk.order[position]]:
            continue
        needed = [p for p in (position, position + 1) if p not in had]
        if leaving and (len(leaving) + walk.low >= STREAK or len(removed) + len(needed) > room):
            break
        removed += needed
        had.update(needed)
        leaving.append(position)
    return removed, leaving
