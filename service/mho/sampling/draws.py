"""Random draws that depend on a seed and counters alone, whatever was computed before."""

from __future__ import annotations

import numpy as np

from mho.types import IntArray


def stream(seed: int, *counters: int) -> np.random.Generator:
    """The random numbers of one draw: counters name it, so that batches, workers and interruptions
    do not change what is drawn."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *counters])))


def batch_of(wanted: int, samples: int) -> tuple[int, float]:
    """How many inputs a draw takes, 0 for all ``samples``, and the share of all that is.

    wanted: 0 for all.
    """
    return (wanted, wanted / samples) if 0 < wanted < samples else (0, 1.0)


def minibatch(generator: np.random.Generator, samples: int, size: int) -> IntArray | None:
    """``(size,)`` different inputs of ``samples``, in random order; None, for all, where ``size``
    is 0 or takes them all anyway."""
    if size == 0 or size >= samples:
        return None
    return generator.permutation(samples)[:size].astype(np.int64)
