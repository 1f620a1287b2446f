"""The demonstration: find the filters that a model was misled by, over gRPC, and judge the finding.

The model in ``shapes/`` tells shapes apart, and in training a corner mark went with one of them; on
test pictures, where the mark says nothing, it is often wrong. This script

1. starts ``mho serve`` on a free loopback port and uploads the model and pictures,
2. runs conductance: which filters made the model say "star", for pictures that carry the mark,
3. runs Neuron Shapley: what each filter contributes to the model's score on one set of pictures,
   and looks at how the worst filters answer to the mark that was planted,
4. removes the filters with the worst values, and measures the accuracy on *another* set of
   pictures, beside random filters removed,

and leaves every result, with its pictures, in ``demo-out/``.

    python examples/demo.py [--out DIR]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from mho_client import Client, Job, Result

SHAPES = Path(__file__).resolve().parent / "shapes"
sys.path.insert(0, str(SHAPES))

import draw  # noqa: E402  # the folder of the example is no package

FILTERS = ["conv1/relu", "conv2/relu", "conv3/relu"]
SCORED, JUDGED, EXPLAINED = 160, 500, 12  # how many pictures
PERMUTATIONS = 9
SEED = 7
CONSOLE = Console(highlight=False)


def main() -> int:
    """Run the demonstration; 0 if removing the worst filters raised the accuracy on other
    pictures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path("demo-out"), help="default demo-out")
    out = arguments.parse_args().out
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mho-demo-") as scratch:
        folder = Path(scratch)
        CONSOLE.print("drawing pictures, and writing down what is in them")
        sets = drawings(folder)
        with server(folder / "server") as address, Client(address) as client:
            raised = investigate(client, folder, sets, out)
    CONSOLE.print(
        f"\npictures and figures: {out}/*/index.html   ({time.monotonic() - began:.0f} s)"
    )
    return 0 if raised else 1


def drawings(folder: Path) -> dict[str, draw.Drawing]:
    """Three sets of test pictures on which the corner mark says nothing about the shape.

    Each is written as an .npz: the model's input, labels, which pictures are marked, and the pixels
    of every concept.
    """
    many = draw.draw(512, SEED + 2, "shuffled")
    misled = np.nonzero(many.marked & (many.labels != draw.MARKED_CLASS))[0][:EXPLAINED]
    sets = {
        "scored": draw.draw(SCORED, SEED, "shuffled"),
        "judged": draw.draw(JUDGED, SEED + 1, "shuffled"),
        "explained": draw.chosen(many, misled),
    }
    for name, drawing in sets.items():
        draw.write_arrays(drawing, folder / f"{name}.npz")
    return sets


def investigate(client: Client, folder: Path, sets: dict[str, draw.Drawing], out: Path) -> bool:
    """Upload, run the jobs, tell what they found; whether the accuracy rose."""
    model = client.upload_model(SHAPES / "shapes.onnx")
    data = {
        name: client.upload_dataset(
            model, folder / f"{name}.npz", preprocess=SHAPES / "preprocess.yaml"
        )
        for name in sets
    }
    units = sum(layer.units for layer in client.layers(model) if layer.name in FILTERS)
    CONSOLE.print(f"uploaded a model with {units} filters and {len(data)} sets of pictures\n")

    conductance = client.submit(
        "conductance",
        model,
        data["explained"],
        layers=FILTERS[:1],
        target=str(draw.MARKED_CLASS),
    )
    flow = finished(conductance, "conductance", out / "conductance")
    CONSOLE.print(
        f"\n{EXPLAINED} marked pictures that show no star: what flows to the answer 'star'"
    )
    tell(flow, "conductance")

    shapley = client.submit(
        "shapley",
        model,
        data["scored"],
        layers=FILTERS,
        value="cross_entropy",
        evaluations=2 + PERMUTATIONS * (units - 1),
        seed=SEED,
    )
    values = finished(shapley, "shapley", out / "shapley")
    CONSOLE.print(f"\nfilters that harm the model most, by {SCORED} pictures (± 95 %)")
    worst = tell(values, "Shapley value", worst=True)

    activation = client.submit(
        "activation", model, data["scored"], layers=[layer for layer, _ in worst], reduction="max"
    )
    found = finished(activation, "activation", out / "activation")
    planted(found, worst, sets["scored"].marked)

    ablation = client.submit(
        "ablation",
        model,
        data["judged"],
        layers=FILTERS,
        value="accuracy",
        scores=out / "shapley",
        evaluations=1 + 12 * 10,  # ten points on the curves of the worst, the best, ten random
        seed=SEED,
    )
    return judged(finished(ablation, "ablation", out / "ablation"))


def planted(
    found: Result, worst: list[tuple[str, int]], marked: np.ndarray[Any, np.dtype[np.bool_]]
) -> None:
    """What was planted beside what was found: how the worst filters answer to the mark."""
    CONSOLE.print(
        "\nwhat was planted: their strongest activation, with and without the corner mark"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("layer", "unit", "marked", "unmarked"):
        table.add_column(title, justify="left" if title == "layer" else "right")
    for layer, unit in worst[:3]:
        answers = found.scores[layer][:, unit]
        means = (answers[marked].mean(), answers[~marked].mean())
        table.add_row(layer, str(unit), *(f"{mean:.2f}" for mean in means))
    CONSOLE.print(table)


def judged(curves: Result) -> bool:
    """Print accuracy against filters removed; whether it rose, and rose more than at random."""
    removed = curves.curves["removed"].astype(int)
    worst, random = curves.curves["bottom"], curves.curves["random"]
    CONSOLE.print(f"\naccuracy on {JUDGED} other pictures, with filters replaced by their means")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("filters removed", "the worst", "random (mean of draws)"):
        table.add_column(title, justify="right")
    for place in range(min(6, len(removed))):
        chance = random[:, place].mean()
        table.add_row(str(removed[place]), f"{worst[place]:.1%}", f"{chance:.1%}")
    CONSOLE.print(table)
    return bool(worst[1] > worst[0] and worst[1] > random[:, 1].mean())


def finished(job: Job, title: str, folder: Path) -> Result:
    """Wait for a job with a progress bar, and fetch what it wrote into ``folder``."""
    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=CONSOLE) as bar:
        task = bar.add_task(title, total=None)
        job.wait(lambda reached: bar.update(task, completed=reached.done, total=reached.total))
        bar.update(task, completed=1, total=1)
    job.fetch(folder)
    return job.result()


def tell(result: Result, what: str, *, worst: bool = False, most: int = 5) -> list[tuple[str, int]]:
    """Print the units of the highest, or the lowest, scores; return them as (layer, unit)."""
    factor = result.summary["interval_factor"] or 0.0
    rows = []
    for layer, scores in result.scores.items():
        error = result.std_error.get(layer)
        means = scores.mean(axis=0) if scores.ndim > 1 else scores
        rows += [
            (float(score), None if error is None else factor * float(error[unit]), layer, unit)
            for unit, score in enumerate(means)
        ]
    rows.sort(key=lambda row: row[0], reverse=not worst)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("layer", "unit", what):
        table.add_column(title, justify="left" if title == "layer" else "right")
    for score, error, layer, unit in rows[:most]:
        shown = f"{score:+.3f}" + ("" if error is None else f" ± {error:.3f}")
        table.add_row(layer, str(unit), shown)
    CONSOLE.print(table)
    for entry in result.summary.get("completeness", ()):
        CONSOLE.print(
            f"completeness gap of {', '.join(entry['layers'])}: {entry['gap']['max']:.2%} at most"
        )
    return [(layer, unit) for _, _, layer, unit in rows[:most]]


@contextmanager
def server(data_dir: Path) -> Iterator[str]:
    """``mho serve`` on a free loopback port, stopped at the end; gives its address."""
    command = [sys.executable, "-m", "mho.cli", "serve", "--port", "0", "--data-dir", str(data_dir)]
    with (data_dir.parent / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        try:
            if not line:
                raise RuntimeError((data_dir.parent / "server.log").read_text())
            CONSOLE.print(line)
            yield line.rsplit(" ", 1)[1]
        finally:
            process.terminate()
            process.wait(timeout=60)


if __name__ == "__main__":
    sys.exit(main())
