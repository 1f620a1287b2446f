"""Orders in which players leave the full set one by one: their coalitions and marginals."""

from __future__ import annotations

import numpy as np

from mho.types import Array, BoolArray, FloatArray, IntArray


def ranks(order: Array) -> IntArray:
    """``(players,)``: how many leave before each player, where ``order`` lists them as they
    leave."""
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.arange(len(order))
    return found


def remaining(rank: IntArray, start: int, stop: int) -> BoolArray:
    """``(stop - start, players)``: who is left after ``start`` to ``stop - 1`` have gone."""
    return np.asarray(rank[None, :] >= np.arange(start, stop)[:, None])


def marginals(order: Array, worth: FloatArray) -> FloatArray:
    """``(players,)``: by how much V falls as each one leaves; ``worth`` is V before the first
    departure and after every one, ``(players + 1,)``."""
    found = np.empty(len(order))
    found[order] = worth[:-1] - worth[1:]
    return found
