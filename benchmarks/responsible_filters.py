"""Ten filters of 2,976: what removing the filters that mho finds does to SqueezeNet.

    python benchmarks/responsible_filters.py [--scored 240] [--judged 300] [--seconds 170]

Filters are scored on some photographs of ``../shared/data/imagenet600``, and those with the highest
scores are replaced by their means on others: the accuracy that is left, beside that of filters
drawn at random. Three scores are compared, all of V = cross-entropy: the semivalue near the full
coalition (``semivalue``), the same from slopes alone (``gradient``), and the Shapley value
(``assisted``). Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from cases import SHARED, machine, row, table

from mho.config import Settings
from mho.data.source import Source
from mho.jobs.attribution import open_run
from mho.jobs.task import Task

_MODEL, _PHOTOGRAPHS = SHARED / "squeezenet1.0.onnx", SHARED / "imagenet600"
_SPEC = "{crop: 227, channels: BGR, mean: [104, 117, 123]}"
_REMOVED = (0, 5, 10, 20, 50)
_DRAWS = 10
_RUNS = (
    ("semivalue on [0.9, 1]", {"estimator": "semivalue", "top": 20}),
    ("semivalue from slopes", {"estimator": "gradient", "inclusion": "0.9:1"}),
    ("Shapley value", {"estimator": "assisted", "top": 20}),
)


def main() -> None:
    """Print what was found, and what is left without it."""
    arguments = argparse.ArgumentParser(description="responsible filters of SqueezeNet")
    arguments.add_argument("--scored", type=int, default=240)
    arguments.add_argument("--judged", type=int, default=300)
    arguments.add_argument("--seconds", type=float, default=170.0)
    given = arguments.parse_args()
    settings = Settings(provider="cpu", threads=2)
    print(machine(settings.threads), end="\n\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        split(folder, given.scored, given.judged)
        judged = game(folder / "judged", settings)
        removed = ", ".join(str(count) for count in _REMOVED[1:])
        table(["score", "seconds", "settled of 20", f"accuracy, {removed} removed"])
        row(["random filters", "", "", " / ".join(random_filters(judged))])
        for title, options in _RUNS:
            began = time.monotonic()
            report, scores = found(folder / "scored", options, given.seconds, settings)
            spent = time.monotonic() - began
            settled = sum(entry["settled"] for entry in report["highest"])
            left = left_over(judged, np.argsort(-scores, kind="stable"))
            row([title, f"{spent:.0f}", settled, " / ".join(left)])
        print(f"\naccuracy of the whole model: {left_over(judged, np.arange(0))[0]}")


def split(folder: Path, scored: int, judged: int) -> None:
    """Two folders of photographs with their labels; none is in both."""
    head, *rows = (_PHOTOGRAPHS / "labels.tsv").read_text("utf-8").splitlines()
    order = np.random.default_rng(0).permutation(len(rows))
    for name, part in (("scored", order[:scored]), ("judged", order[scored : scored + judged])):
        (folder / name).mkdir()
        for index in part:
            shutil.copy(_PHOTOGRAPHS / rows[index].split("\t")[0], folder / name)
        lines = [head, *(rows[index] for index in part)]
        (folder / name / "labels.tsv").write_text("\n".join(lines) + "\n", "utf-8")


def found(
    inputs: Path, options: dict[str, Any], seconds: float, settings: Settings
) -> tuple[dict[str, Any], np.ndarray]:
    """The report of a run, and the guess by which it ranks the filters, ``(filters,)``."""
    asked = {"value": "cross_entropy", "seconds": seconds, "seed": 1, **options}
    task = Task("shapley", asked, _MODEL, Source(inputs, preprocess=_SPEC), cost_accepted=True)
    run = open_run(task, settings)
    while not run.done:
        run.step()
    result = run.result()
    names = [player.name for player in run.evaluator.players]
    scores = np.concatenate([result.scores[layer.name] for layer in run.evaluator.layers])
    order = [names.index(entry["player"]) for entry in result.report["highest"]]
    scores[order] = scores.max() + np.arange(len(order), 0, -1)  # as they are told to the reader
    print(json.dumps(result.evaluations), result.notes, flush=True)
    return dict(result.report), scores


def game(inputs: Path, settings: Settings) -> Any:
    """Accuracy of coalitions over the photographs in ``inputs``."""
    asked = {"value": "accuracy", "estimator": "permutation"}
    task = Task("shapley", asked, _MODEL, Source(inputs, preprocess=_SPEC), cost_accepted=True)
    return open_run(task, settings).evaluator


def left_over(judged: Any, order: np.ndarray) -> list[str]:
    """Accuracy without the first of ``order``, after each count of ``_REMOVED`` but 0."""
    counts = [count for count in _REMOVED[1:] if count <= len(order)] or [0]
    kept = np.ones((len(counts), len(judged.players)), dtype=bool)
    for coalition, count in zip(kept, counts, strict=True):
        coalition[order[:count]] = False
    return [f"{value:.1%}" for value in judged.values(kept)]


def random_filters(judged: Any) -> list[str]:
    """The same for filters at random, the mean of ten draws and the smallest and largest."""
    players = len(judged.players)
    orders = [np.random.default_rng(draw).permutation(players) for draw in range(_DRAWS)]
    kept = np.ones((_DRAWS * (len(_REMOVED) - 1), players), dtype=bool)
    cells = iter(kept)
    for order in orders:
        for count in _REMOVED[1:]:
            next(cells)[order[:count]] = False
    values = judged.values(kept).reshape(_DRAWS, -1)
    return [f"{v.mean():.1%} ({v.min():.1%} to {v.max():.1%})" for v in values.T]


if __name__ == "__main__":
    main()
