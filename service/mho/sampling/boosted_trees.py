"""A model of V fitted to coalitions, whose Shapley values have a closed form.

Ridge regression on the players and on the share of players kept, and on what that leaves, gradient
boosting (Friedman 2001) of oblivious trees: all nodes of a level ask for the same player, so that a
tree of depth d is a table of 2^d numbers over d players, and its Shapley values are a fixed linear
map of the table. The stochastic variant (Friedman 2002): each tree sees some of the coalitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np

from mho.types import BoolArray, FloatArray, IntArray

_DEPTH = 4
_FEWEST, _MOST = 25, 200
"""Trees: a quarter of the coalitions, between these."""
_TOTAL_RATE, _FASTEST = 20.0, 0.3
"""Learning rate times trees, and the highest rate."""
_SHRINKAGE = 5.0
"""Coalitions by which a leaf's mean is drawn towards 0."""
_ROWS = 2048
"""Coalitions that a tree sees at most."""
_RIDGE = 1e-3
"""Of the linear part, relative to the number of coalitions; and one coalition's worth besides."""


@dataclass(frozen=True)
class BoostedTrees:
    """mean: V at the centre. weights: ``(players + 1,)``, of the linear part, and centre ``(players
    + 1,)``, where it is 0. asked: ``(trees, depth)``, the players of each tree. leaves: ``(trees,
    2 ** depth)``; bit k of a leaf's number says that player k of the tree is kept."""

    mean: float
    centre: FloatArray
    weights: FloatArray
    asked: IntArray
    leaves: FloatArray

    def values(self, coalitions: BoolArray) -> FloatArray:
        """``(coalitions,)``: V by the model."""
        found = (_features(coalitions) - self.centre) @ self.weights + self.mean
        for players, leaves in zip(self.asked, self.leaves, strict=True):
            found = found + leaves[_leaf(coalitions, players)]
        return np.asarray(found)

    @property
    def shapley(self) -> FloatArray:
        """``(players,)``. The share of players kept serves all alike, and its square about one half
        is as large for all players as for none, so that it adds nothing."""
        found = self.weights[:-1].copy()
        share = self.leaves @ _shapley_map(self.asked.shape[1]).T
        np.add.at(found, self.asked.ravel(), share.ravel())
        return found


def fitted(
    coalitions: BoolArray, worth: FloatArray, generator: np.random.Generator
) -> BoostedTrees:
    """The model of V ``(coalitions,)`` at ``coalitions`` ``(coalitions, players)``; the generator
    chooses which of them each tree sees."""
    rows, players = coalitions.shape
    features = _features(coalitions)
    centre, mean = features.mean(axis=0), float(worth.mean())
    off = features - centre
    ridge = (_RIDGE * rows + 1) * np.eye(players + 1)
    weights = np.linalg.solve(off.T @ off + ridge, off.T @ (worth - mean))
    rest = worth - mean - off @ weights
    trees = min(_MOST, max(_FEWEST, rows // 4))
    rate = min(_FASTEST, _TOTAL_RATE / trees)
    kept = coalitions.astype(np.float64)
    asked, leaves = [], []
    for _ in range(trees):
        seen = generator.choice(rows, _ROWS, replace=False) if rows > _ROWS else slice(None)
        chosen, table = _tree(kept[seen], rest[seen], min(_DEPTH, players))
        rest = rest - rate * table[_leaf(coalitions, chosen)]
        asked.append(chosen)
        leaves.append(rate * table)
    return BoostedTrees(mean, centre, weights, np.stack(asked), np.stack(leaves))


def _tree(kept: FloatArray, target: FloatArray, depth: int) -> tuple[IntArray, FloatArray]:
    """``(depth,)`` players, each of which explains most of ``target`` at its level, and the means
    ``(2 ** depth,)`` of the leaves, drawn towards 0."""
    leaf = np.zeros(len(kept), dtype=np.int64)
    chosen: list[int] = []
    for level in range(depth):
        inside = leaf == np.arange(1 << level)[:, None]
        both = np.stack([inside * target, inside])  # the sum and the count of each leaf
        sums, counts = both.sum(axis=2, keepdims=True)
        with_sum, with_count = both @ kept
        gain = with_sum**2 / (with_count + _SHRINKAGE)
        gain = gain + (sums - with_sum) ** 2 / (counts - with_count + _SHRINKAGE)
        explained = gain.sum(axis=0)
        explained[chosen] = -1.0  # a player is asked for once
        player = int(explained.argmax())
        chosen.append(player)
        leaf = leaf | (kept[:, player].astype(np.int64) << level)
    sums = np.bincount(leaf, target, 1 << depth)
    counts = np.bincount(leaf, minlength=1 << depth)
    return np.array(chosen, dtype=np.int64), sums / (counts + _SHRINKAGE)


def _features(coalitions: BoolArray) -> FloatArray:
    """``(coalitions, players + 1)``: who is kept, about one half, and the square of the share of
    players kept, about one half."""
    kept = coalitions - 0.5
    return np.concatenate([kept, kept.mean(axis=1, keepdims=True) ** 2], axis=1)


def _leaf(coalitions: BoolArray, players: IntArray) -> IntArray:
    """``(coalitions,)``: the number of the leaf that each falls into."""
    return np.asarray(coalitions[:, players] @ (1 << np.arange(len(players))), dtype=np.int64)


@cache
def _shapley_map(players: int) -> FloatArray:
    """``(players, 2 ** players)``: Shapley values as a linear map of a table of V by number."""
    found = np.zeros((players, 1 << players))
    for player in range(players):
        for number in range(1 << players):
            if not number >> player & 1:
                weight = 1 / (players * comb(players - 1, number.bit_count()))
                found[player, number | 1 << player] += weight
                found[player, number] -= weight
    return found
