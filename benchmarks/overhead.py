"""What mho adds to onnxruntime, as ratios measured side by side in one run.

    python benchmarks/overhead.py [--repeats 7] [--threads 2]

1. Coalitions: evaluations per second of the masked model (masks and mean substitutes at every layer
of
   players, a different coalition in every row) against plain onnxruntime running the unmodified
   model on the same batches. 1.0 would mean that masks cost nothing.
2. Finite differences: time of conductance over a number of intervals against plain onnxruntime
running the
   tail of the model as many times. Below 1.0 the shortcut behind linear operators saves work.

The two sides of every pair run in turn, A B A B; the median of the ratios is given, with the
smallest and the largest. Uses the example's model, and SqueezeNet where ``../shared/data`` has it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mho.config import Settings
from mho.data.source import Source
from mho.evaluation import CoalitionEvaluator, Intervals, PathEvaluator
from mho.graph.cut import cut
from mho.graph.load import load
from mho.graph.target import TARGET, TARGET_SCORE, scored, targeted
from mho.jobs.attribution import open_run
from mho.jobs.task import Task
from mho.runtime.session import Sessions

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Case:
    """A model, its input's shape, and layers that cut it."""

    name: str
    model: Path
    shape: tuple[int, ...]
    layers: tuple[str, ...]


CASES = (
    Case(
        "shapes (the example)",
        ROOT / "examples/shapes/shapes.onnx",
        (3, 48, 48),
        ("conv1/relu", "conv3/relu", "dense1/relu"),
    ),
    Case(
        "SqueezeNet 1.0",
        SHARED / "squeezenet1.0.onnx",
        (3, 227, 227),
        ("fire5/concat", "fire9/concat"),
    ),
)


def main() -> None:
    """Print two tables in Markdown."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()
    settings = Settings(threads=given.threads, provider="cpu")
    present = [case for case in CASES if case.model.exists()]
    print(
        "| model | masked layers | rows a batch | masked / plain evaluations per second | range |"
    )
    print("|---|---|---|---|---|")
    for case in present:
        print(coalitions(case, settings, given.repeats))
    print()
    print("| model, layer | units | tail evaluations | conductance / plain tail time | range |")
    print("|---|---|---|---|---|")
    for case in present:
        for layer in case.layers:
            print(differences(case, layer, settings, given.repeats))


def coalitions(case: Case, settings: Settings, repeats: int) -> str:
    """One row of the first table."""
    samples = 16
    with _data(case, samples) as (inputs, labels):
        run = open_run(
            Task("shapley", {}, case.model, Source(inputs, labels), cost_accepted=True), settings
        )
        game: CoalitionEvaluator = run.evaluator
        images = np.load(inputs)
    kept = np.random.default_rng(0).random((2, len(game.players))) < 0.9
    rows = game.rows  # type: ignore[attr-defined]  # of the evaluator on onnxruntime
    model = load(case.model)
    session = Sessions(settings).get(model)
    name = model.inputs[0].name
    feeds = np.concatenate([images, images])

    def plain() -> None:
        for start in range(0, len(feeds), rows):
            session.run({name: feeds[start : start + rows]})

    ratios = _paired(plain, lambda: game.values(kept), repeats)
    return _row([case.name, str(len(game.layers)), str(rows)], ratios)


def differences(case: Case, layer: str, settings: Settings, repeats: int) -> str:
    """One row of the second table."""
    with _data(case, 1) as (inputs, _):
        run = open_run(
            Task(
                "conductance", {"layers": [layer]}, case.model, Source(inputs), cost_accepted=True
            ),
            settings,
        )
        evaluator: PathEvaluator = run.evaluator
        image = np.load(inputs)
    interval = Intervals(np.array([0]), np.array([0.5]), np.array([0.625]))
    before = evaluator.spent["tail"]
    evaluator.interval_sums(0, interval)
    spent = evaluator.spent["tail"] - before
    sessions = Sessions(settings)
    model = targeted(scored(load(case.model)))
    head = sessions.get(cut(model, [], [layer]))
    activation = head.run({model.inputs[0].name: image})[layer]
    tail = sessions.get(cut(model, [layer], [TARGET_SCORE]))
    rows = 8
    feeds = {layer: np.repeat(activation, rows, axis=0), TARGET: np.zeros(rows, dtype=np.int64)}

    def plain() -> None:
        for _ in range(max(1, spent // rows)):
            tail.run(feeds)

    ratios = _paired(lambda: evaluator.interval_sums(0, interval), plain, repeats)
    units = evaluator.groups[0].layers[0].units
    return _row([f"{case.name}, {layer}", str(units), str(spent)], ratios)


def _paired(above: Callable[[], object], below: Callable[[], object], repeats: int) -> list[float]:
    """Time of ``above`` over time of ``below``, pair by pair, after one of each to warm up."""
    above()
    below()
    ratios = []
    for _ in range(repeats):
        ratios.append(_seconds(above) / _seconds(below))
    return ratios


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _row(cells: list[str], ratios: list[float]) -> str:
    low, high = min(ratios), max(ratios)
    return f"| {' | '.join(cells)} | {np.median(ratios):.2f} | {low:.2f} to {high:.2f} |"


@contextmanager
def _data(case: Case, samples: int) -> Iterator[tuple[Path, Path]]:
    """Random images and labels as files that last as long as the block."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = np.random.default_rng(1).normal(size=(samples, *case.shape)).astype(np.float32)
        np.save(folder / "inputs.npy", images)
        np.save(folder / "labels.npy", np.zeros(samples, dtype=np.int64))
        yield folder / "inputs.npy", folder / "labels.npy"


if __name__ == "__main__":
    main()
