"""A model made ready to be run in batches, and proof that its answers did not change on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mho.errors import InvalidModel, Unsupported
from mho.graph import batch
from mho.graph.model import Model
from mho.runtime.session import OutOfMemory, Session, Sessions
from mho.types import Array, Feeds

_PROBE = 3
"""A batch of this many is compared with single runs."""
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6
"""How far a batched answer may lie from the single one, relative to the largest of the output."""


@dataclass(frozen=True)
class Prepared:
    """A model and how it may be run.

    single: the model takes one input at a time, because batching it would change its answer.
    """

    model: Model
    single: bool
    notes: tuple[str, ...] = ()


def prepare(model: Model, sessions: Sessions, inputs: Feeds) -> Prepared:
    """Make a baked-in batch dimension symbolic, and check on ``inputs`` that a batch of three gives
    what three single runs give. Where it does not, fall back to batches of one and say so.

    ``inputs``: graph input -> ``(n, ...)``, n ≥ 1; up to three of them are used, fewer are repeated
    with changes. Raises InvalidModel where the model cannot be run at all, and Unsupported where it
    takes more than one input at a time and cannot be made to take others.
    """
    fixed = _fixed_batch(model)
    if fixed > 1:
        return _from_many(model, fixed, sessions, inputs)
    probe = probe_rows(inputs, _PROBE)
    wanted = by_one(sessions.get(model), probe)
    try:
        batched = model if fixed == 0 else batch.symbolic(model) or model
        found = sessions.get(batched).run(probe)
    except (Unsupported, InvalidModel, OutOfMemory) as error:
        return Prepared(model, single=True, notes=(_single(error.message),))
    if not _agree(found, wanted):
        reason = f"a batch of {_PROBE} gives other answers than {_PROBE} single runs"
        return Prepared(model, single=True, notes=(_single(reason),))
    return Prepared(batched, single=False, notes=() if batched is model else (_checked(_PROBE),))


def _from_many(model: Model, fixed: int, sessions: Sessions, inputs: Feeds) -> Prepared:
    """A model whose batch is fixed to more than one: there are no single runs to fall back to."""
    probe = probe_rows(inputs, fixed)
    wanted = sessions.get(model).run(probe)
    try:
        batched = batch.symbolic(model) or model
        session = sessions.get(batched)
        agree = _agree(session.run(probe), wanted) and _agree(by_one(session, probe), wanted)
        why = f"single runs then give other answers than the batch of {fixed}"
    except (Unsupported, InvalidModel) as error:
        agree, why = False, error.message
    if not agree:
        raise Unsupported(
            f"the model takes {fixed} inputs at a time and cannot be changed to take others: "
            f"{why}; export it with a dynamic batch"
        )
    return Prepared(batched, single=False, notes=(_checked(fixed),))


def _fixed_batch(model: Model) -> int:
    """The baked-in leading dimension of the inputs; 0 where one is symbolic or none is known."""
    leading = [spec.shape[0] for spec in model.inputs if spec.shape]
    if any(not isinstance(dim, int) for dim in leading):
        return 0
    return max((dim for dim in leading if isinstance(dim, int)), default=0)


def _single(reason: str) -> str:
    return f"the model is run one input at a time, which is slow: {reason}"


def _checked(count: int) -> str:
    return f"a batch of {count} was found to give what {count} single runs give"


def by_one(session: Session, probe: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of single runs, put together; one number is that of the first run."""
    count = len(next(iter(probe.values())))
    runs = [
        session.run({name: array[i : i + 1] for name, array in probe.items()}) for i in range(count)
    ]
    joined = {}
    for name, first in runs[0].items():
        if isinstance(first, np.ndarray) and first.ndim:
            joined[name] = np.concatenate([run[name] for run in runs])
        else:
            joined[name] = first
    return joined


def probe_rows(inputs: Feeds, count: int) -> dict[str, Array]:
    """``count`` rows of every input, all of them different where that is possible."""
    probe = {}
    for name, array in inputs.items():
        rows = np.array(array[[i % len(array) for i in range(count)]])
        for i in range(len(array), count):
            turn = i // len(array)
            if rows.dtype.kind == "f":
                rows[i] = rows[i] * (0.5 + 0.5 / (1 + turn))
            elif rows.ndim > 1:  # tokens: their order is changed, so that all are known
                rows[i] = np.roll(rows[i], turn, axis=-1)
        probe[name] = rows
    return probe


def _agree(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> bool:
    """Whether all outputs that are tensors are alike."""
    return all(
        alike(found[name], expected)
        for name, expected in wanted.items()
        if isinstance(expected, np.ndarray)
    )


def alike(found: Array, wanted: Array) -> bool:
    """Whether two arrays are the same but for rounding, relative to the largest number."""
    if found.shape != wanted.shape:
        return False
    if found.dtype.kind != "f":
        return bool(np.array_equal(found, wanted))
    finite = np.isfinite(wanted)
    scale = float(np.max(np.abs(wanted[finite]), initial=0.0))
    loose = 1e-2 if found.dtype.itemsize < 4 else _RELATIVE
    within = loose * scale + _ABSOLUTE
    return bool(np.allclose(found, wanted, rtol=0.0, atol=within, equal_nan=True))
