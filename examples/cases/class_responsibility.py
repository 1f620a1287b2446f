"""Which units a class depends on: without them that class is lost, and hardly another.

V is the recall of one class. The units that it gains most by are removed on pictures that the
scores did not see, beside those that the overall accuracy gains most by, and random ones.

    python examples/cases/class_responsibility.py [--out DIR]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commands import CONSOLE, mho, show, worth
from splits import MODEL, Splits, draw, splits

CLASS = draw.CLASSES.index("star")
VALUES = {
    "class": ("--value", "recall", "--classes", str(CLASS)),
    "others": ("--value", "recall", *("--classes", *"01234")),
    "accuracy": ("--value", "accuracy"),
}
"""What is looked at -> how mho is told."""
COUNTS = (1, 2, 4, 7)
COUNT = 2
"""By so many units the case is judged."""
ORDERS = ("--draws", "6", "--evaluations", "81")
"""Of ablation: the model itself, and ten points on the curves of eight orders of removal."""


@dataclass(frozen=True)
class Left:
    """What units leave, by how many of them are removed: ``own``, the recall of the class;
    ``others``, the accuracy on pictures of all other classes."""

    own: Mapping[int, float]
    others: Mapping[int, float]


def main(words: Sequence[str] | None = None) -> int:
    """0 if the units of the class cost it more than random ones do, and the other classes less
    than units of the accuracy do."""
    found = investigate(splits("class_responsibility", __doc__.splitlines()[0], "absent", words))
    lost = found["class"].own[COUNT] < found["random"].own[COUNT]
    spared = found["class"].others[COUNT] > found["accuracy"].others[COUNT]
    return 0 if lost and spared else 1


def investigate(at: Splits) -> dict[str, Left]:
    """What is left without the units of the ``class``, those of the ``accuracy``, and ``random``
    ones (the mean of six orders)."""
    star = draw.CLASSES[CLASS]
    scores = {
        kind: mho("shapley", MODEL, *at.scoring, *VALUES[kind], out=at.out / f"shapley-{kind}")
        for kind in ("class", "accuracy")
    }
    show(
        "units by which V gains most (semivalue ± 95 %)",
        (f"V = recall of '{star}'", "", "V = accuracy", ""),
        [
            (of_class.name, worth(of_class), of_all.name, worth(of_all))
            for of_class, of_all in zip(*(s.units()[:5] for s in scores.values()), strict=True)
        ],
    )
    found = {}
    for kind, scored in scores.items():
        own, others = (
            mho(
                *("ablation", MODEL, *at.judging, *VALUES[value], *ORDERS),
                *("--scores", scored.folder),
                out=at.out / f"ablation-{kind}-{value}",
            )
            for value in ("class", "others")
        )
        found[kind] = Left(own.curve("top"), others.curve("top"))
        found["random"] = Left(own.curve("random"), others.curve("random"))
    rows = [("nothing", found["class"], 0)]
    for count in COUNTS:
        rows += [
            (f"{count} of '{star}'", found["class"], count),
            (f"{count} of the accuracy", found["accuracy"], count),
            (f"{count} at random", found["random"], count),
        ]
    show(
        "what is left on other pictures",
        ("units removed", f"recall of '{star}'", "accuracy on other classes"),
        [(what, f"{left.own[n]:.1%}", f"{left.others[n]:.1%}") for what, left, n in rows],
    )
    CONSOLE.print(f"pictures and figures: {at.out}/*/index.html", soft_wrap=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
