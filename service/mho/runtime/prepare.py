"""A model made ready to be run in batches, and proof that its answers did not change on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mho.errors import InvalidModel
from mho.graph import batch
from mho.graph.model import Model
from mho.runtime.session import Session, Sessions
from mho.types import Array, Feeds

_PROBE = 3
"""A batch of this many is compared with single runs."""
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5
"""How far a batched answer may lie from the single one, relative to the largest output."""


@dataclass(frozen=True)
class Prepared:
    """A model and how it may be run.

    single: the model takes one input at a time, because batching it would change its answer.
    """

    model: Model
    single: bool
    notes: tuple[str, ...] = ()


def prepare(model: Model, sessions: Sessions, inputs: Feeds) -> Prepared:
    """Make a baked-in batch dimension symbolic, and check on ``inputs`` that a batch of three gives what
    three single runs give. Where it does not, fall back to batches of one and say so.

    ``inputs``: graph input -> ``(n, ...)``, n ≥ 1; up to three of them are used, fewer are repeated with
    changes. Raises InvalidModel where the model cannot be run at all.
    """
    probe = _probe(inputs)
    singles = [_run(sessions.get(model), _rows(probe, i, i + 1)) for i in range(_PROBE)]
    wanted = [
        np.concatenate([np.asarray(s[k]) for s in singles]) if np.ndim(singles[0][k]) else singles[0][k]
        for k in range(len(singles[0]))
    ]
    batched = model if batch.batched(model) else batch.symbolic(model)
    if batched is None:
        return Prepared(model, single=True, notes=(_single("its batch dimension is baked in"),))
    try:
        found = _run(sessions.get(batched), probe)
    except InvalidModel as error:
        return Prepared(model, single=True, notes=(_single(error.message),))
    if all(_agree(f, w) for f, w in zip(found, wanted, strict=True)):
        notes = () if batched is model else ("the batch dimension was made symbolic and checked",)
        return Prepared(batched, single=False, notes=notes)
    reason = "a batch of three gave other answers than three single runs"
    return Prepared(model, single=True, notes=(_single(reason),))


def _single(reason: str) -> str:
    return f"the model is run one input at a time, which is slow: {reason}"


def _run(session: Session, feeds: Feeds) -> list[Array]:
    return list(session.run(feeds).values())


def _rows(feeds: Feeds, start: int, stop: int) -> dict[str, Array]:
    return {name: array[start:stop] for name, array in feeds.items()}


def _probe(inputs: Feeds) -> dict[str, Array]:
    """Three different rows of every input."""
    probe = {}
    for name, array in inputs.items():
        rows = np.array(array[[i % len(array) for i in range(_PROBE)]])
        if len(array) < _PROBE and rows.dtype.kind == "f":
            scale = np.linspace(1.0, 0.5, _PROBE, dtype=rows.dtype)
            rows = rows * scale.reshape(-1, *[1] * (rows.ndim - 1))
        probe[name] = rows
    return probe


def _agree(found: Array, wanted: Array) -> bool:
    if found.shape != wanted.shape:
        return False
    if found.dtype.kind != "f":
        return bool(np.array_equal(found, wanted))
    scale = float(np.max(np.abs(wanted), initial=0.0))
    loose = 1e-2 if found.dtype.itemsize < 4 else _RELATIVE
    return bool(np.allclose(found, wanted, rtol=0.0, atol=loose * scale + _ABSOLUTE, equal_nan=True))
