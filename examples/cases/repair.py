"""A model that was misled in training, repaired by removing the units that harm.

    python examples/cases/repair.py [--count 4] [--out DIR]

The example's model takes pictures with a mark in a corner for stars. Units are scored on some
pictures for V = cross-entropy; those of lowest value are removed for good by ``edit``, and the
edited file is run by plain onnxruntime on other pictures: on those with the mark and on those
without, beside as many units removed at random.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from split import CONSOLE, MODEL, Judge, finished, names, opened, percent, pictures, spread, table


def main(arguments: list[str] | None = None) -> int:
    """Run the case; 0 if the edited model is better on other pictures, and better than chance."""
    parser = argparse.ArgumentParser(description="repair of a biased model")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("cases-out/repair"))
    parser.add_argument("--scored", type=int, default=300)
    parser.add_argument("--judged", type=int, default=1000)
    given = parser.parse_args(arguments)
    scored, judged = pictures(given.out, given.scored, given.judged)
    values = finished(
        opened("shapley", scored, value="cross_entropy", seed=1),
        "which units harm",
        given.out / "shapley",
    )
    worst = names(values, "lowest", given.count)
    edit = opened("edit", scored, value="accuracy", remove=worst)
    finished(edit, "removed for good", given.out / "edit")
    edited = given.out / "edit" / "model.onnx"
    CONSOLE.print(f"\nremoved: {', '.join(worst)}\non {given.judged} other pictures\n")
    before, after = accuracy(MODEL, judged), accuracy(edited, judged)
    by_chance = Judge(judged, "accuracy").without_random(given.count)
    rows = [
        ["the model", *map(percent, before)],
        [f"without the {given.count} of lowest value", *map(percent, after)],
        [f"without {given.count} at random", spread(by_chance), "", ""],
    ]
    table(["", "accuracy", "marked", "not marked"], rows)
    CONSOLE.print(f"\nthe repaired model: {edited}\nresults and pictures: {given.out}")
    return 0 if after[0] > before[0] and after[0] > by_chance[0] else 1


def accuracy(model: Path, data: Path) -> tuple[float, float, float]:
    """Of plain onnxruntime on all pictures, on the marked ones, and on the others."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with np.load(data) as arrays:
        (scores,) = session.run(None, {"image": arrays["image"]})
        right = scores.argmax(axis=1) == arrays["labels"]
        marked = arrays["groups/marked"]
    return float(right.mean()), float(right[marked].mean()), float(right[~marked].mean())


if __name__ == "__main__":
    sys.exit(main())
