"""Coalition evaluations per second over those of plain onnxruntime, side by side in one run.

    python benchmarks/coalitions.py [--repeats 9] [--threads 1] [--cpu] [--only SqueezeNet]

An evaluation is one input under one coalition; plain onnxruntime runs the unmodified model, in the
batches that are best for it. All units play that play by default, and as many coalitions are asked
for at once as a job would ask for.

- Mask nodes: the masked graph as a GPU runs it, a product and a sum behind every layer.
- Random: coalitions drawn anew for every call, nine units in ten kept. They share nothing, so this
  is what masks cost.
- Flips: a coalition drawn anew for every call, and others that differ from it in one unit, drawn
  over all.
- Walk: units removed one after another in random order, where the last call ended.

The two sides of every pair run in turn; given are the median of the ratios, and the smallest and
the largest. With ``--cpu`` the clock is CPU time, which is steadier on a busy machine; it means
something for one thread.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cases import ROOT, Case, machine, present, row, spread, table
from overhead import evaluator, plain_session

from mho.config import Settings
from mho.evaluation import CoalitionEvaluator
from mho.graph.batch import symbolic
from mho.graph.cut import pruned
from mho.graph.load import load
from mho.graph.mask import broadcast_shape, mask_input, masked, substitute_input
from mho.graph.model import Model, save
from mho.graph.target import scored
from mho.runtime.batches import rows_for
from mho.runtime.provider import CPU
from mho.runtime.session import Sessions
from mho.types import Array, BoolArray

_KEPT = 0.9
_PLAIN_ROWS = 48
"""By which plain onnxruntime is timed."""
Clock = Callable[[], float]
Coalitions = Iterator[BoolArray]


def main() -> None:
    """Print a table in Markdown."""
    arguments = argparse.ArgumentParser(description="coalitions against plain onnxruntime")
    arguments.add_argument("--repeats", type=int, default=9)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--cpu", action="store_true", help="CPU time instead of wall clock")
    arguments.add_argument("--only", default="", help="models whose name contains this")
    given = arguments.parse_args()
    clock = time.process_time if given.cpu else time.perf_counter
    print(f"{machine(given.threads)}, {'CPU time' if given.cpu else 'wall clock'}", end="\n\n")
    table(
        [
            "model", "masked layers", "players", "rows a call", "mask nodes", "random", "flips",
            "walk",
        ]
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for case in [*present(), *_residual(Path(folder))]:
            if given.only.lower() in case.name.lower():
                measured(
                    case, Settings(threads=given.threads, provider="cpu"), given.repeats, clock
                )


def measured(case: Case, settings: Settings, repeats: int, clock: Clock) -> None:
    """One row of the table."""
    game: CoalitionEvaluator = evaluator("shapley", case, [], case.samples, settings)
    players, rows = len(game.players), game.chunk * case.samples
    model = pruned(scored(load(case.model)))
    session = plain_session(case.model, settings.threads)
    batch = rows_for(model, settings, CPU)
    fed = {session.get_inputs()[0].name: _repeated(case, batch)}
    times = max(1, _PLAIN_ROWS // batch)
    nodes, node_rows = _by_nodes(case, model, game, settings)

    def plain() -> None:
        for _ in range(times):
            session.run(None, fed)

    def cell(ours: Callable[[], object], count: int) -> str:
        def taken(work: Callable[[], object], count: int) -> float:
            started = clock()
            work()
            return (clock() - started) / count

        taken(plain, 1)
        taken(ours, 1)
        median, extent = spread(
            [taken(plain, times * batch) / taken(ours, count) for _ in range(repeats)]
        )
        return f"{median} ({extent})"

    cells = [cell(nodes, node_rows)]
    for drawn in (_random, _flips, _walk):
        coalitions = drawn(players, game.chunk)
        cells.append(cell(lambda c=coalitions: game.values(next(c)), rows))  # type: ignore[misc]
    row([case.name, len(game.layers), players, rows, *cells])


def _by_nodes(
    case: Case, model: Model, game: CoalitionEvaluator, settings: Settings
) -> tuple[Callable[[], object], int]:
    """What runs rows through the graph with mask nodes, each under masks of its own; and how
    many."""
    graph = masked(model, game.layers)
    session = Sessions(settings).get(graph)
    batch = rows_for(graph, settings, CPU)
    times = max(1, _PLAIN_ROWS // batch)
    fed = {model.inputs[0].name: _repeated(case, batch)}
    generator = np.random.default_rng(0)
    for layer in game.layers:
        kept = generator.random((batch, layer.units)) < _KEPT
        fed[mask_input(layer.name)] = kept.astype(np.float32)
        fed[substitute_input(layer.name)] = np.full(broadcast_shape(layer), 0.1, np.float32)

    def work() -> None:
        for _ in range(times):
            session.run(fed)

    return work, times * batch


def _repeated(case: Case, rows: int) -> Array:
    """So many inputs; the same again where the case has fewer."""
    return np.concatenate([case.inputs(case.samples)] * (rows // case.samples + 1))[:rows]


def _random(players: int, count: int) -> Coalitions:
    generator = np.random.default_rng(1)
    while True:
        yield generator.random((count, players)) < _KEPT


def _flips(players: int, count: int) -> Coalitions:
    generator = np.random.default_rng(2)
    while True:
        coalitions = np.repeat(generator.random((1, players)) < _KEPT, count, axis=0)
        flipped = generator.choice(players, min(count - 1, players), replace=False)
        coalitions[np.arange(1, len(flipped) + 1), flipped] ^= True
        yield coalitions


def _walk(players: int, count: int) -> Coalitions:
    generator = np.random.default_rng(3)
    steps: list[BoolArray] = []
    while True:
        if len(steps) < count:
            order = generator.permutation(players)
            kept = np.ones(players, dtype=bool)
            for player in order:
                kept = kept.copy()
                kept[player] = False
                steps.append(kept)
        yield np.array(steps[:count])
        steps = steps[count:]


def _residual(folder: Path) -> Iterator[Case]:
    """ResNet-50 as the onnx wheel has it, with seeded weights and a symbolic batch."""
    sys.path.insert(0, str(ROOT / "tests"))
    from graph.light import light
    from graph.nets import loaded

    model = loaded(light("resnet50"))
    path = folder / "resnet50.onnx"
    save(pruned(symbolic(model) or model).ir, path)
    yield Case("ResNet-50", path, (3, 224, 224), (), samples=8)


if __name__ == "__main__":
    main()
