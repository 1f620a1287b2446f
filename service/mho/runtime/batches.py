"""Rows into batches: sized from a memory budget, halved when memory runs out after all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mho.config import Settings
from mho.errors import ResourceExhausted
from mho.graph.footprint import bytes_per_row
from mho.graph.model import Model
from mho.runtime.provider import CPU
from mho.runtime.session import OutOfMemory, Session
from mho.types import Array, Feeds

_CPU_BYTES, _CPU_LEAST, _CPU_MOST = 4 * 1024 * 1024, 8, 1024
"""On a CPU a batch whose activations fit the caches is as fast per row as a larger one, and keeps
steps short; fewer than eight rows leave a second thread idle (benchmarks/README.md)."""
_GPU_MOST = 1024


def rows_for(model: Model, settings: Settings, provider: str) -> int:
    """Rows of a batch: as many as the provider can use, within the memory budget, one at least."""
    each = bytes_per_row(model)
    wanted = _GPU_MOST
    if provider == CPU:
        wanted = min(_CPU_MOST, max(_CPU_LEAST, _CPU_BYTES // each))
    return int(max(1, min(wanted, settings.memory_bytes // each)))


class Batches:
    """Runs a session over many rows, a batch at a time.

    ``rows`` is the present batch size; it only ever shrinks, so that equal settings give equal
    batches.
    """

    def __init__(self, session: Session, rows: int) -> None:
        self._session = session
        self.rows = rows

    def run(
        self, total: int, feeds: Callable[[int, int], Feeds]
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        """Yield ``(start, stop, outputs)`` over rows ``0..total``; ``feeds(start, stop)`` makes the
        rows. ResourceExhausted where a single row does not fit.
        """
        start = 0
        while start < total:
            stop = min(total, start + self.rows)
            try:
                outputs = self._session.run(feeds(start, stop))
            except OutOfMemory as error:
                if stop - start == 1:
                    raise ResourceExhausted(
                        "one input alone does not fit into memory; choose a smaller model or "
                        "input, or a machine with more memory"
                    ) from error
                self.rows = (stop - start) // 2
                continue
            yield start, stop, outputs
            start = stop
