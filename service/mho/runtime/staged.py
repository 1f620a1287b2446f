"""The masked model run in stages: rows that agree up to a border are run once up to there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mho.errors import Unsupported
from mho.graph.mask import mask_input
from mho.graph.stages import Stage
from mho.graph.target import SCORES
from mho.runtime.kept_rows import KeptRows
from mho.runtime.masked_part import MaskedPart, Masks, RowFeeds
from mho.runtime.problem import Problem
from mho.types import Array, BoolArray, Float32Array, IntArray

_SHARE = 4
"""One in so many bytes of the memory budget is for rows in hand, and another for those kept."""


@dataclass(frozen=True)
class Distinct:
    """The rows of a stage that differ.

    first: ``(distinct,)``, for each the first row asked for that it serves. serving: ``(asked,)``,
    which of them serves each row asked for.
    """

    first: IntArray
    serving: IntArray


@dataclass(frozen=True)
class Asked:
    """Rows that are asked for, and what they have in common.

    coalition, sample: ``(rows,)``. digests: stage -> those of the masks up to it that occur. kind:
    ``(stages, rows)``, which of the digests a row has.
    """

    coalition: IntArray
    sample: IntArray
    digests: list[list[bytes]]
    kind: IntArray

    def take(self, rows: IntArray) -> Asked:
        return Asked(self.coalition[rows], self.sample[rows], self.digests, self.kind[:, rows])

    @cached_property
    def distinct(self) -> list[Distinct]:
        """Of every stage."""
        found = []
        for kind in self.kind:
            code = kind * (int(self.sample.max()) + 1) + self.sample
            _, first, serving = np.unique(code, return_index=True, return_inverse=True)
            found.append(Distinct(first, serving))
        return found

    def under(self, stage: int, digest: bytes | None) -> BoolArray:
        """``(distinct,)``: which distinct rows of ``stage`` are under the masks of ``digest``."""
        kind = self.kind[stage, self.distinct[stage].first]
        if digest not in self.digests[stage]:
            return np.zeros(len(kind), dtype=bool)
        return np.asarray(kind == self.digests[stage].index(digest))


class StagedModel:
    """Runs the ``stages`` of the problem's model, with masks at its layers.

    run_rows: ``(stages,)``, how many rows each has run so far.
    """

    def __init__(
        self, problem: Problem, stages: Sequence[Stage], substitutes: Mapping[str, Array]
    ) -> None:
        self._inputs = problem.data.inputs
        self._stages = tuple(stages)
        self._parts = [
            MaskedPart(problem, stage.model, stage.layers, substitutes) for stage in stages
        ]
        self._budget = problem.settings.memory_bytes // _SHARE
        self._kept = KeptRows([stage.bytes for stage in stages], self._budget)
        self.run_rows = np.zeros(len(stages), dtype=np.int64)

    def asked(self, masks: Masks, coalition: IntArray, sample: IntArray) -> Asked:
        """The rows ``(input sample[k], coalition[k])``, one at least."""
        used, place = np.unique(coalition, return_inverse=True)
        digests: list[list[bytes]] = []
        kind = np.zeros((len(self._stages), len(coalition)), dtype=np.int64)
        below = [b""] * len(used)
        for index, stage in enumerate(self._stages):
            if stage.layers:
                joined = np.concatenate([masks[one.name][used] for one in stage.layers], axis=1)
                below = [_digest(so_far, row) for so_far, row in zip(below, joined, strict=True)]
            number = {digest: i for i, digest in enumerate(dict.fromkeys(below))}
            digests.append(list(number))
            kind[index] = np.array([number[digest] for digest in below])[place]
        return Asked(coalition, sample, digests, kind)

    def seconds(self, asked: Asked) -> float:
        """An estimate for ``asked`` on one thread.

        Rows under the masks that most of the last rows had count as kept, even if the stages were
        not run then: if they are now, those rows will be there the next time.
        """
        needed = self._needed(asked, foreseen=True)
        return sum(
            int(rows.sum()) * (stage.seconds + stage.handed)
            for stage, rows in zip(self._stages, needed, strict=True)
        )

    def turn_to(self, asked: Asked) -> None:
        """Keep, from now on, rows under the masks that most of ``asked`` have."""
        for index, digests in enumerate(asked.digests[:-1]):
            often = np.bincount(asked.kind[index], minlength=len(digests))
            self._kept.turn_to(index, digests[int(often.argmax())])

    def scores(self, masks: Masks, asked: Asked) -> Float32Array:
        """``(rows, classes)``. Unsupported where a carried tensor has not one row for every row."""
        order = np.argsort(asked.sample, kind="stable")  # rows of an input share the most
        ordered = asked.take(order)
        found = np.concatenate(
            [self._run(masks, ordered.take(group)) for group in self._groups(ordered)]
        )
        scores = np.empty_like(found)
        scores[order] = found
        return scores

    def _groups(self, asked: Asked) -> Iterator[IntArray]:
        """The rows in order, as many at once as there is room for what the stages give."""
        sizes = [stage.bytes for stage in self._stages]
        distinct = asked.distinct
        rows = np.arange(len(asked.sample))
        if (
            sum(size * len(d.first) for size, d in zip(sizes, distinct, strict=True))
            <= self._budget
        ):
            yield rows
            return
        start, taken = 0, 0
        seen: list[set[int]] = [set() for _ in sizes]
        for row in rows:
            serving = [int(d.serving[row]) for d in distinct]
            new = [place not in before for place, before in zip(serving, seen, strict=True)]
            more = sum(size for size, is_new in zip(sizes, new, strict=True) if is_new)
            if row > start and taken + more > self._budget:
                yield rows[start:row]
                start, taken, seen, more = int(row), 0, [set() for _ in sizes], sum(sizes)
            taken += more
            for place, before in zip(serving, seen, strict=True):
                before.add(place)
        yield rows[start:]

    def _needed(self, asked: Asked, *, foreseen: bool = False) -> list[BoolArray]:
        """Stage -> which of its distinct rows must be run: of the last all, of others those that
        are handed to one that must be run, unless they are kept."""
        distinct = asked.distinct
        needed = [np.zeros(len(rows.first), dtype=bool) for rows in distinct]
        needed[-1][:] = True
        for index in reversed(range(len(distinct))):
            needed[index] &= ~self._is_kept(index, asked, foreseen)
            run = distinct[index].first[needed[index]]
            for giver in self._stages[index].takes.values():
                needed[giver][distinct[giver].serving[run]] = True
        return needed

    def _is_kept(self, stage: int, asked: Asked, foreseen: bool) -> BoolArray:
        kept = asked.under(stage, self._kept.digest(stage))
        if foreseen:
            return kept & self._kept.room_for(stage, int(kept.sum()))
        samples = asked.sample[asked.distinct[stage].first]
        for place in np.flatnonzero(kept):
            kept[place] = self._kept.get(stage, int(samples[place])) is not None
        return kept

    def _run(self, masks: Masks, asked: Asked) -> Float32Array:
        held: list[_Held] = []
        for index, needed in enumerate(self._needed(asked)):
            stage, first = self._stages[index], asked.distinct[index].first
            places = np.flatnonzero(needed)
            result = _Held(len(first), stage.gives)
            feeds = self._feeds(stage, masks, asked, held, first[places])
            for a, b, outputs in self._parts[index].run(len(places), feeds):
                result.put(places[a:b], outputs)
            self.run_rows[index] += len(places)
            self._exchange(index, asked, needed, result)
            held.append(result)
        scores: Float32Array = held[-1].get(SCORES, asked.distinct[-1].serving)
        return scores

    def _feeds(
        self, stage: Stage, masks: Masks, asked: Asked, held: Sequence[_Held], rows: IntArray
    ) -> RowFeeds:
        def feeds(a: int, b: int) -> dict[str, Array]:
            at = rows[a:b]
            fed: dict[str, Array] = {
                name: array[asked.sample[at]]
                for name, array in self._inputs.items()
                if name in stage.reads
            }
            for layer in stage.layers:
                fed[mask_input(layer.name)] = masks[layer.name][asked.coalition[at]]
            for name, giver in stage.takes.items():
                fed[name] = held[giver].get(name, asked.distinct[giver].serving[at])
            return fed

        return feeds

    def _exchange(self, stage: int, asked: Asked, run: BoolArray, result: _Held) -> None:
        """Keep what was run for the next call, and take from what is kept."""
        samples = asked.sample[asked.distinct[stage].first]
        for place in np.flatnonzero(asked.under(stage, self._kept.digest(stage))):
            sample = int(samples[place])
            if run[place]:
                self._kept.keep(stage, sample, result.row(int(place)))
            else:
                kept = self._kept.get(stage, sample)
                if kept is not None:
                    result.put(np.array([place]), result.named(kept))


class _Held:
    """What a stage gives for its distinct rows: the batches as they came, for copying them into one
    array costs as much as a small stage."""

    def __init__(self, count: int, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._batches: dict[str, list[Array]] = {name: [] for name in names}
        self._batch = np.zeros(count, dtype=np.int64)
        self._row = np.zeros(count, dtype=np.int64)

    def put(self, places: IntArray, outputs: Mapping[str, Array]) -> None:
        for name in self._names:
            value = outputs[name]
            if np.ndim(value) == 0 or len(value) != len(places):
                raise Unsupported(
                    f"tensor '{name}' has the shape {list(np.shape(value))} for {len(places)} "
                    "rows; its first dimension must be the batch",
                    subject=name,
                )
            self._batch[places] = len(self._batches[name])
            self._batches[name].append(value)
        self._row[places] = np.arange(len(places))

    def get(self, name: str, places: IntArray) -> Array:
        """``(places, ...)``."""
        batches, rows = self._batch[places], self._row[places]
        sources = self._batches[name]
        first = sources[batches[0]]
        found = np.empty((len(places), *first.shape[1:]), first.dtype)
        for batch in np.unique(batches):
            inside = np.flatnonzero(batches == batch)
            found[inside] = sources[batch][rows[inside]]
        return found

    def row(self, place: int) -> list[Array]:
        batch, row = self._batch[place], self._row[place]
        return [self._batches[name][batch][row] for name in self._names]

    def named(self, row: Sequence[Array]) -> dict[str, Array]:
        """What ``row`` gave, as outputs of a batch of one."""
        return {name: array[None] for name, array in zip(self._names, row, strict=True)}


def _digest(below: bytes, row: Float32Array) -> bytes:
    return hashlib.blake2b(below + row.tobytes(), digest_size=16).digest()
