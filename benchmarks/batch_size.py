"""Microseconds per row against rows a batch: what the constants of ``runtime/batches.py`` rest on.

    python benchmarks/batch_size.py [--repeats 9] [--threads 1]

Every column is a graph as onnxruntime runs it on a CPU: a whole model, or the tail that conductance
runs behind a late layer, whose rows are so small that the cost of a call is most of them. Every
number is a median. All sizes are run in turn and the round is repeated, so that what else the
machine does meets all sizes alike. Sizes beyond the memory budget, and those that would take
seconds a call, are left out.

Under the table stands what ``rows_for`` picks, and its time per row over that of the best size in
the same round: 1.0 would be the best choice.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from cases import Case, machine, often_enough, present, row, seconds, table

from mho.config import Settings
from mho.graph.cut import cut, pruned
from mho.graph.footprint import bytes_per_row
from mho.graph.load import load
from mho.graph.model import Model
from mho.graph.target import SCORES, scored
from mho.runtime.batches import rows_for
from mho.runtime.provider import CPU
from mho.runtime.session import Session, Sessions
from mho.types import Array

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_LONGEST = 3.0
"""Seconds of a call beyond which no larger batch is tried."""


@dataclass(frozen=True)
class Column:
    """A graph and one row of its input. times: rows a batch -> seconds per row in every round."""

    name: str
    session: Session
    feeds: Mapping[str, Array]
    picked: int
    bytes_per_row: int
    times: dict[int, list[float]]
    calls: dict[int, int]

    def measure(self, rows: int) -> None:
        """One more measurement at ``rows`` a batch, or none where a call takes too long."""
        feeds = {name: np.repeat(array, rows, axis=0) for name, array in self.feeds.items()}

        def work() -> None:
            self.session.run(feeds)

        if rows not in self.calls:
            smaller = [size for size in self.calls if size < rows]
            if smaller and self.times[max(smaller)][0] * rows > _LONGEST:
                return
            work()
            self.calls[rows] = often_enough(work)
        self.times.setdefault(rows, []).append(seconds(work, self.calls[rows]) / rows)


def main() -> None:
    """Print a table in Markdown."""
    arguments = argparse.ArgumentParser(description="microseconds per row against rows a batch")
    arguments.add_argument("--repeats", type=int, default=9)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    settings = Settings(threads=given.threads, provider="cpu")
    columns = [column for case in present() for column in _columns(case, settings)]
    for _ in range(given.repeats):
        for column in columns:
            for rows in sorted({*_SIZES, column.picked}):
                if rows * column.bytes_per_row <= settings.memory_bytes:
                    column.measure(rows)
    print(machine(given.threads), end="\n\n")
    table(["rows a batch", *(column.name for column in columns)])
    for rows in _SIZES:
        row([rows, *(_microseconds(column, rows) for column in columns)])
    row(["KiB of activations a row", *(_number(c.bytes_per_row / 1024) for c in columns)])
    row(["rows that mho takes", *(column.picked for column in columns)])
    row(["time over that of the best", *(_regret(column) for column in columns)])


def _columns(case: Case, settings: Settings) -> list[Column]:
    """The whole model, and the tail behind the last layer of ``case``."""
    model = pruned(scored(load(case.model)))
    sessions = Sessions(settings)
    inputs = {model.inputs[0].name: case.inputs(1)}
    late = case.layers[-1]
    behind = cut(model, [late], [SCORES])
    activation = sessions.get(cut(model, [], [late])).run(inputs)
    return [
        _column(case.name, model, inputs, sessions, settings),
        _column(f"{case.name}, behind {late}", behind, activation, sessions, settings),
    ]


def _column(
    name: str, model: Model, feeds: Mapping[str, Array], sessions: Sessions, settings: Settings
) -> Column:
    picked = rows_for(model, settings, CPU)
    return Column(name, sessions.get(model), feeds, picked, bytes_per_row(model), {}, {})


def _microseconds(column: Column, rows: int) -> str:
    if rows not in column.times:
        return ""
    return _number(1e6 * float(np.median(column.times[rows])))


def _number(value: float) -> str:
    """Three digits at least, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _regret(column: Column) -> str:
    """The median over the rounds of the picked size's time over that of the best size, by medians.

    Not over the best of each round, which would be the luckiest.
    """
    best = min(column.times, key=lambda rows: float(np.median(column.times[rows])))
    rounds = zip(column.times[column.picked], column.times[best], strict=True)
    return f"{np.median([ours / theirs for ours, theirs in rounds]):.2f} (at {best})"


if __name__ == "__main__":
    main()
