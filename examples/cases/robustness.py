"""Units through which an attack works: without them it succeeds less often, until it is made anew.

Pictures are moved by PGD, a few levels of every pixel, until they are answered wrong. V is the
success of that attack: units that it gains most by are removed on other pictures, which are
attacked too. Beside it stand the accuracy on the pictures as they are, random units, and the
success of an attack that knows the edited model.

    python examples/cases/robustness.py [--out DIR]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commands import CONSOLE, mho, show, worth
from splits import MODEL, PREPROCESS, Splits, splits

ATTACK = ("--attack", "pgd", "--epsilon", f"{4 / 255:.5f}", "--attack-steps", "10")
"""At most four of 255 levels."""
SUCCESS = ("--value", "attack_success", *ATTACK, "--preprocess", PREPROCESS)
"""The spec says what share of the pixel range an input's unit is."""
COUNTS = (1, 2, 4, 7)
COUNT = 4
"""So many are removed for good; by them the case is judged."""
ORDERS = ("--draws", "6", "--evaluations", "81")
"""Of ablation: the model itself, and ten points on the curves of eight orders of removal."""
CHEAPLY = ("--players", "layers", "--draws", "1")
"""Ablation where hardly more than V of the model as it is, is asked for."""


@dataclass(frozen=True)
class Left:
    """By how many units are removed, those that the attack gains most by first, or at random."""

    success: Mapping[int, float]
    accuracy: Mapping[int, float]


@dataclass(frozen=True)
class Blunted:
    """found, random: what is left of the attack and of the model. anew: the success of an attack
    that is made on the edited model itself, of which ``COUNT`` units are removed."""

    found: Left
    random: Left
    anew: float


def main(words: Sequence[str] | None = None) -> int:
    """0 if the attack succeeds less often than without random units."""
    at = splits("robustness", __doc__.splitlines()[0], "absent", words)
    blunted = investigate(at)
    return 0 if blunted.found.success[COUNT] < blunted.random.success[COUNT] else 1


def investigate(at: Splits) -> Blunted:
    """Score the units, remove those that the attack gains most by, and attack what is left."""
    scores = mho("shapley", MODEL, *at.scoring, *SUCCESS, out=at.out / "shapley")
    show(
        "units by which the attack gains most (semivalue ± 95 %)",
        ("unit", "V = success of the attack"),
        [(unit.name, worth(unit)) for unit in scores.units()[:7]],
    )
    ranked = ("--scores", scores.folder)
    attacked, clean = (
        mho(
            *("ablation", MODEL, *at.judging, *value, *ranked, *ORDERS),
            out=at.out / f"ablation-{kind}",
        )
        for kind, value in (("attacked", SUCCESS), ("clean", ("--value", "accuracy")))
    )
    edited = mho(
        *("edit", MODEL, *at.judging, "--value", "accuracy"),
        *(*ranked, "--count", str(COUNT), "--end", "top"),
        out=at.out / "edit",
    )
    again = mho(
        *("ablation", edited.folder / "model.onnx", "--inputs", at.judged, *at.playing),
        *(*SUCCESS, *CHEAPLY),
        out=at.out / "attacked-anew",
    )
    blunted = Blunted(
        *(Left(attacked.curve(order), clean.curve(order)) for order in ("top", "random")),
        anew=again.report["v_full"],
    )
    rows = [("nothing", blunted.found, 0)]
    for count in COUNTS:
        rows += [
            (f"{count} found", blunted.found, count),
            (f"{count} at random", blunted.random, count),
        ]
    show(
        "on other pictures",
        ("units removed", "success of the attack", "accuracy without attack"),
        [(what, f"{left.success[n]:.1%}", f"{left.accuracy[n]:.1%}") for what, left, n in rows],
    )
    CONSOLE.print(
        f"an attack made on the model without the {COUNT} units succeeds in {blunted.anew:.1%}"
    )
    CONSOLE.print(f"pictures and figures: {at.out}/*/index.html", soft_wrap=True)
    return blunted


if __name__ == "__main__":
    sys.exit(main())
