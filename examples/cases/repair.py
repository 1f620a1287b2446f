"""A biased model is repaired: the units by which a planted mark misleads it are removed for good.

In training a corner mark went with one class. Which units does it mislead the model by? V is the
gap in accuracy between marked pictures and the others; beside it stands V = accuracy, which knows
nothing of the mark. The worst units go, and the repaired model, an ordinary ONNX file, is judged
on other pictures beside models without random units.

    python examples/cases/repair.py [--out DIR]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from commands import CONSOLE, Found, mho, show, worth
from splits import MODEL, Splits, splits

VALUES = {
    "gap": ("--value", "gap", "--subgroups", "marked"),
    "accuracy": ("--value", "accuracy"),
}
REMOVED = ("--count", "2")
SAME = 1e-9
"""Shares of right answers differ by no less than one in the number of pictures, or not at all."""


@dataclass(frozen=True)
class Shares:
    """Shares of right answers: on all pictures, on marked ones, and on the others."""

    accuracy: float
    marked: float
    unmarked: float

    @property
    def gap(self) -> float:
        return self.marked - self.unmarked


@dataclass(frozen=True)
class Repair:
    """edited: value -> the ``edit`` that was judged by it. before, after: what onnxruntime alone
    makes of the model as it was given and of the repaired one."""

    edited: dict[str, Found]
    before: Shares
    after: Shares

    @property
    def equal(self) -> bool:
        """Whether the repaired file does what the masked model did."""
        gained = (self.after.accuracy, self.after.gap)
        masked = (self.edited[value].report["v_edited"] for value in ("accuracy", "gap"))
        return all(abs(a - b) < SAME for a, b in zip(gained, masked, strict=True))


def main(words: Sequence[str] | None = None) -> int:
    """0 if the repaired model is better than it was, and than models without random units."""
    found = investigate(splits("repair", __doc__.splitlines()[0], "shuffled", words))
    report = found.edited["accuracy"].report
    better = found.after.accuracy > max(report["v_full"], report["v_random"]["mean"])
    return 0 if better and found.equal else 1


def investigate(at: Splits) -> Repair:
    """Score the units, remove the worst for good, and run what is left."""
    scores = {
        value: mho("shapley", MODEL, *at.scoring, *words, out=at.out / f"shapley-{value}")
        for value, words in VALUES.items()
    }
    show(
        "units by which V loses most (semivalue ± 95 %)",
        ("V = gap", "", "V = accuracy", ""),
        [
            (by_gap.name, worth(by_gap), by_accuracy.name, worth(by_accuracy))
            for by_gap, by_accuracy in zip(
                *(found.units(lowest=True)[:5] for found in scores.values()), strict=True
            )
        ],
    )
    edited = {
        value: mho(
            *("edit", MODEL, *at.judging, *words, "--scores", scores["gap"].folder, *REMOVED),
            out=at.out / f"edit-{value}",
        )
        for value, words in VALUES.items()
    }
    repaired = edited["accuracy"].folder / "model.onnx"
    found = Repair(edited, shares(MODEL, at.judged), shares(repaired, at.judged))
    accuracy, gap = (edited[value].report for value in ("accuracy", "gap"))
    count = accuracy["count"]
    show(
        "on other pictures",
        ("", "accuracy", "gap", "on marked", "on others"),
        [
            ("the model as it was given", *_figures(found.before)),
            (f"model.onnx, without the {count} units", *_figures(found.after)),
            (
                f"without {count} at random (mean of {len(accuracy['v_random']['values'])})",
                f"{accuracy['v_random']['mean']:.1%}",
                *(f"{gap['v_random']['mean']:+.1%}", "", ""),
            ),
        ],
    )
    CONSOLE.print(
        f"accuracy without random units lies between {accuracy['v_random']['min']:.1%} and "
        f"{accuracy['v_random']['max']:.1%}; the masked model's is {accuracy['v_edited']:.1%}",
        soft_wrap=True,
    )
    CONSOLE.print(
        f"the repaired model: {repaired}; pictures and figures: {at.out}/*/index.html",
        soft_wrap=True,
    )
    return found


def shares(model: Path, pictures: Path) -> Shares:
    """What onnxruntime by itself makes of ``model`` on the pictures of an .npz."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with np.load(pictures) as arrays:
        (logits,) = session.run(["logits"], {"image": arrays["image"]})
        right = np.argmax(logits, axis=1) == arrays["labels"]
        marked = arrays["groups/marked"]
    return Shares(float(right.mean()), float(right[marked].mean()), float(right[~marked].mean()))


def _figures(found: Shares) -> tuple[str, str, str, str]:
    figures = (found.accuracy, found.marked, found.unmarked)
    accuracy, marked, unmarked = (f"{share:.1%}" for share in figures)
    return accuracy, f"{found.gap:+.1%}", marked, unmarked


if __name__ == "__main__":
    sys.exit(main())
