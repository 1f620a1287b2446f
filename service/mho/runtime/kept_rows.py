"""Rows of stages kept from one call to the next, within a number of bytes."""

from __future__ import annotations

from collections.abc import Sequence

from mho.types import Array


class KeptRows:
    """For every stage the outputs of inputs under the masks of one digest.

    Whoever removes units one after another, or in turn from one coalition, asks for the same masks
    of the lower stages again. Below the first masked layer nobody asks for anything else, so that
    what all inputs are there is kept.

    bytes_a_row: of each stage's outputs. budget: bytes for all.
    """

    def __init__(self, bytes_a_row: Sequence[int], budget: int) -> None:
        self._each = tuple(bytes_a_row)
        self._budget = budget
        self._used = 0
        self._digests: list[bytes | None] = [None] * len(bytes_a_row)
        self._rows: list[dict[int, tuple[Array, ...]]] = [{} for _ in bytes_a_row]

    def digest(self, stage: int) -> bytes | None:
        """Of the masks up to ``stage`` under which rows are kept."""
        return self._digests[stage]

    def turn_to(self, stage: int, digest: bytes) -> None:
        """Keep rows under the masks of ``digest`` from now on."""
        if digest != self._digests[stage]:
            self._used -= len(self._rows[stage]) * self._each[stage]
            self._rows[stage] = {}
            self._digests[stage] = digest

    def get(self, stage: int, sample: int) -> tuple[Array, ...] | None:
        return self._rows[stage].get(sample)

    def room_for(self, stage: int, samples: int) -> bool:
        """Whether ``samples`` rows of ``stage`` are kept, or would be once they had been run."""
        new = max(0, samples - len(self._rows[stage]))
        return self._used + new * self._each[stage] <= self._budget

    def keep(self, stage: int, sample: int, row: Sequence[Array]) -> None:
        """Copies ``row``, if there is room."""
        rows, each = self._rows[stage], self._each[stage]
        if sample not in rows and self._used + each <= self._budget:
            rows[sample] = tuple(array.copy() for array in row)
            self._used += each
