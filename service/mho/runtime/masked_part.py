"""A model, or a stage of one, with masks at some of its layers, run on rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from mho.errors import InvalidModel, ResourceExhausted
from mho.evaluation import Layer
from mho.graph.blocked import blockable, marked, opened, parsed, unharmed
from mho.graph.footprint import bytes_per_row
from mho.graph.mask import broadcast_shape, mask_input, masked, substitute_input
from mho.graph.model import Model
from mho.runtime.batches import Batches
from mho.runtime.prepare import alike
from mho.runtime.problem import Problem
from mho.runtime.provider import CPU
from mho.runtime.session import OutOfMemory, Session
from mho.types import Array, Feeds, Float32Array

_ROWS_A_THREAD, _LEAST_ROWS = 2, 4
"""Of a batch in the blocked layout. Such batches are filled up, so they should be small, but with
fewer than two rows a thread is idle now and then (benchmarks/README.md)."""

Masks = Mapping[str, Float32Array]
"""Layer name -> ``(coalitions, units)``: 1 keeps a unit, 0 replaces it."""

RowFeeds = Callable[[int, int], Feeds]
"""``(start, stop)`` -> what is fed for these rows: graph inputs, and ``mask_input`` of each layer
``(rows, units)``."""


def shaped(layer: Layer, values: Array) -> Float32Array:
    """Values per unit or per position, with a leading 1, so that they broadcast to the layer."""
    array = np.asarray(values, dtype=np.float32)
    return array.reshape(broadcast_shape(layer)) if array.ndim == 1 else array[None]


def fed_substitutes(
    layers: Sequence[Layer], substitutes: Mapping[str, Array]
) -> dict[str, Float32Array]:
    """Graph input of a masked model -> what removed units of ``layers`` become."""
    return {
        substitute_input(layer.name): shaped(layer, substitutes[layer.name]) for layer in layers
    }


class MaskedPart:
    """Runs ``model`` with masks at ``layers``.

    substitutes: layer -> ``(units,)``, the same at every position, or the layer's shape without the
    batch. On a CPU the masks stay in the blocked layout where that is possible
    (``graph/blocked.py``). What onnxruntime makes of a graph is not ours to know, so the first
    batch is run in both ways, with random masks, and the layout is used if they agree.
    """

    def __init__(
        self,
        problem: Problem,
        model: Model,
        layers: Sequence[Layer],
        substitutes: Mapping[str, Array],
    ) -> None:
        self._problem = problem
        self._model = model
        self._layers = tuple(layers)
        self._substitutes = fed_substitutes(layers, substitutes)
        per_unit = [layer for layer in layers if np.ndim(substitutes[layer.name]) == 1]
        on_cpu = problem.sessions.provider.name == CPU
        self._candidates = blockable(model, per_unit) if on_cpu else []
        self._settled = not self._candidates
        self._blocked: tuple[Session, int] | None = None
        self._plain: Batches | None = None

    @property
    def blocked_rows(self) -> int:
        """Rows of a batch in the blocked layout; 0 where it is not used, and before the first
        run."""
        return 0 if self._blocked is None else self._blocked[1]

    def run(self, total: int, feeds: RowFeeds) -> Iterator[tuple[int, int, dict[str, Array]]]:
        """As ``Batches.run``."""
        if total and not self._settled:
            self._settle(total, feeds)
        start = 0
        while self._blocked is not None and start < total:
            session, rows = self._blocked
            stop = min(total, start + rows)
            try:
                found = session.run(self._filled(feeds(start, stop), stop - start, rows))
            except OutOfMemory:
                self._blocked = self._in_blocks(rows // 2) if rows > 1 else None
                continue
            yield start, stop, {name: value[: stop - start] for name, value in found.items()}
            start = stop
        if start < total:
            if self._plain is None:
                self._plain = self._problem.batches(masked(self._model, self._layers))
            offset = start
            for a, b, found in self._plain.run(
                total - offset,
                lambda a, b: {**feeds(a + offset, b + offset), **self._substitutes},
            ):
                yield a + offset, b + offset, found

    def _settle(self, total: int, feeds: RowFeeds) -> None:
        """Whether the blocked layout serves, found out on the first rows."""
        self._settled = True
        rows = self._wanted_rows()
        blocked = self._in_blocks(rows)
        if blocked is None:
            return
        count = min(total, rows)
        fed = self._filled(feeds(0, count), count, rows)
        generator = np.random.default_rng(0)
        for layer in self._layers:
            drawn = generator.choice([0.0, 0.5, 1.0], size=(rows, layer.units))
            fed[mask_input(layer.name)] = drawn.astype(np.float32)
        model = masked(self._model, self._layers)
        try:
            found = blocked[0].run(fed)
            wanted = self._problem.sessions.get(model, keep=False).run(fed)
        except (InvalidModel, ResourceExhausted):
            return
        if all(alike(found[name], wanted[name]) for name in wanted):
            self._blocked = blocked

    def _wanted_rows(self) -> int:
        if self._problem.single:
            return 1
        most = self._problem.settings.memory_bytes // bytes_per_row(self._model)
        return max(1, min(most, max(_LEAST_ROWS, _ROWS_A_THREAD * self._problem.sessions.threads)))

    def _in_blocks(self, rows: int) -> tuple[Session, int] | None:
        """A session in the blocked layout and its rows; None where no layer can use it."""
        layers = self._candidates
        sessions = self._problem.sessions
        try:
            while layers:
                others = [layer for layer in self._layers if layer not in layers]
                made = marked(masked(self._model, others), layers)
                optimised = sessions.optimised(made)
                if optimised is None:
                    return None
                inside = parsed(made, optimised)
                kept = unharmed(inside, layers)
                if len(kept) == len(layers):
                    return sessions.get(opened(inside, layers, rows), keep=False), rows
                layers = kept
        except InvalidModel:  # e.g. more than onnxruntime can write to one file
            return None
        return None

    def _filled(self, fed: Feeds, count: int, rows: int) -> dict[str, Array]:
        """``fed`` with its last row repeated where there are fewer than ``rows``."""
        filled = dict(fed)
        if count < rows:
            for name, array in fed.items():
                filled[name] = np.concatenate([array, np.repeat(array[-1:], rows - count, axis=0)])
        return {**filled, **self._substitutes}
