"""What mho adds to onnxruntime, as ratios measured side by side in one run.

    python benchmarks/overhead.py [--repeats 9] [--threads 1]

Finite differences: time of one step of conductance (as many intervals as the evaluator wants at
once, each an eighth of a path) against plain onnxruntime running the unmodified tail as many times
as the evaluator counts; and against the heads, which give the layer at the ends of the intervals,
and the tails together. Below 1.0 the shortcut behind linear operators saves more than all of mho
costs.

The two sides of every pair run in turn; given are the median of the ratios, and the smallest and
the largest of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from cases import Case, machine, often_enough, present, ratios, row, seconds, spread, table

from mho.config import Settings
from mho.data.source import Source
from mho.evaluation import Intervals, PathEvaluator
from mho.graph.cut import cut
from mho.graph.load import load
from mho.graph.target import TARGET, TARGET_SCORE, scored, targeted
from mho.jobs.attribution import open_run
from mho.jobs.task import Task
from mho.runtime.batches import rows_for
from mho.runtime.provider import CPU
from mho.runtime.session import Session, Sessions
from mho.types import Feeds

_PATHS = 6
_INTERVALS = 8
"""Intervals of each path, as conductance begins."""


def main() -> None:
    """Print a table in Markdown."""
    arguments = argparse.ArgumentParser(description="what mho adds to onnxruntime")
    arguments.add_argument("--repeats", type=int, default=9)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    settings = Settings(threads=given.threads, provider="cpu")
    print(machine(given.threads), end="\n\n")
    table(
        [
            "model, layer",
            "units",
            "intervals",
            "evaluations of head, tail",
            "milliseconds",
            "time / plain tails",
            "range",
            "time / plain heads and tails",
            "range",
        ]
    )
    for case in present():
        for layer in case.layers:
            differences(case, layer, settings, given.repeats)


def differences(case: Case, layer: str, settings: Settings, repeats: int) -> None:
    """One row of the table."""
    paths: PathEvaluator = evaluator("conductance", case, [layer], _PATHS, settings)
    lower = np.roll(np.arange(_INTERVALS) / _INTERVALS, _INTERVALS // 2)  # the middle comes first
    wanted = min(paths.chunk(0), _PATHS * _INTERVALS)
    path = np.repeat(np.arange(_PATHS), _INTERVALS)[:wanted]
    lower = np.tile(lower, _PATHS)[:wanted]
    intervals = Intervals(path, lower, lower + 1 / _INTERVALS)
    before = paths.spent
    paths.interval_sums(0, intervals)
    heads, count = (paths.spent[kind] - before[kind] for kind in ("head", "tail"))
    sessions = Sessions(settings)
    model = targeted(scored(load(case.model)))
    head, tail = cut(model, [], [layer]), cut(model, [layer], [TARGET_SCORE])
    points = {model.inputs[0].name: case.inputs(1)}
    middles = {layer: sessions.get(head).run(points)[layer], TARGET: np.zeros(1, dtype=np.int64)}
    run_heads = repeated(sessions.get(head), points, heads, rows_for(head, settings, CPU))
    run_tails = repeated(sessions.get(tail), middles, count, rows_for(tail, settings, CPU))

    def run_both() -> None:
        run_heads()
        run_tails()

    def step() -> None:
        paths.interval_sums(0, intervals)

    over_tails, over_both = ratios(step, run_tails, repeats), ratios(step, run_both, repeats)
    (scored_layer,) = paths.groups[0].layers
    taken = f"{1000 * seconds(step, often_enough(step)):.3g}"
    units, spent = scored_layer.units, f"{heads}, {count}"
    cells = [f"{case.name}, {layer}", units, wanted, spent, taken]
    row([*cells, *spread(over_tails), *spread(over_both)])


def repeated(session: Session, feeds: Feeds, count: int, rows: int) -> Callable[[], None]:
    """What runs ``count`` rows through ``session``, all equal to the one of ``feeds``."""
    full = {name: np.repeat(array, min(rows, count), axis=0) for name, array in feeds.items()}
    rest = {name: array[: count % rows] for name, array in full.items()}

    def work() -> None:
        for _ in range(count // rows):
            session.run(full)
        if count % rows:
            session.run(rest)

    return work


def evaluator(method: str, case: Case, layers: list[str], samples: int, settings: Settings) -> Any:
    """What ``method`` asks, bound to ``layers`` of the model as a run binds it."""
    with _files(case, samples) as (inputs, labels):
        options: dict[str, Any] = {"layers": layers}
        if method == "conductance":
            options["engine"] = "finite_difference"
        asked = Task(method, options, case.model, Source(inputs, labels), cost_accepted=True)
        return open_run(asked, settings).evaluator


def plain_session(model: Path, threads: int) -> Any:
    """onnxruntime on the unmodified file, with nothing of mho between."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@contextmanager
def _files(case: Case, samples: int) -> Iterator[tuple[Path, Path]]:
    """Inputs and labels as files that last as long as the block."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "inputs.npy", case.inputs(samples))
        np.save(folder / "labels.npy", np.zeros(samples, dtype=np.int64))
        yield folder / "inputs.npy", folder / "labels.npy"


if __name__ == "__main__":
    main()
