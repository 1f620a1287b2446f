"""Which units are responsible for one class, and for no other?

    python examples/cases/one_class.py [--shape star] [--out DIR]

Units are scored by the semivalue near the full model, which is what tells of the removal of a few,
for two values: V = recall of the class, and V = gap, that recall minus the accuracy on all other
classes. On other pictures the ones found are removed: what is left of the recall of the class and
of that of all others, beside units at random. Units that see edges and colours serve every class,
so that the recall of one needs them too; the gap finds those that serve this class more than
others.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from split import CONSOLE, Judge, draw, finished, names, opened, percent, pictures, spread, table

_COUNTS = (2, 4, 8)


def main(arguments: list[str] | None = None) -> int:
    """Run the case; 0 if the class lost more than the others."""
    parser = argparse.ArgumentParser(description="units responsible for one class")
    parser.add_argument("--shape", choices=draw.CLASSES, default="star")
    parser.add_argument("--out", type=Path, default=Path("cases-out/one-class"))
    parser.add_argument("--scored", type=int, default=300)
    parser.add_argument("--judged", type=int, default=600)
    given = parser.parse_args(arguments)
    wanted = str(draw.CLASSES.index(given.shape))
    others = [str(i) for i in range(len(draw.CLASSES)) if str(i) != wanted]
    scored, judged = pictures(given.out, given.scored, given.judged)
    asked = {"estimator": "semivalue", "seed": 1}
    of_class = finished(
        opened("shapley", scored, value="recall", classes=[wanted], **asked),
        f"units for recall of '{given.shape}'", given.out / "class",
    )  # fmt: skip
    of_gap = finished(
        opened("shapley", scored, value="gap", subgroups=[given.shape], **asked),
        "units for the gap", given.out / "gap",
    )  # fmt: skip
    own = Judge(judged, "recall", classes=[wanted])
    rest = Judge(judged, "recall", classes=others)
    rows = [["nothing", percent(own.without([])), percent(rest.without([]))]]
    for count in _COUNTS:
        for title, result in (("for recall", of_class), ("for the gap", of_gap)):
            gone = names(result, "highest", count)
            rows.append(
                [f"{count} {title}", percent(own.without(gone)), percent(rest.without(gone))]
            )
        by_chance = [spread(judge.without_random(count)) for judge in (own, rest)]
        rows.append([f"{count} at random", *by_chance])
    CONSOLE.print(f"\nfor recall of '{given.shape}': {', '.join(names(of_class, 'highest', 8))}")
    CONSOLE.print(f"for the gap to others: {', '.join(names(of_gap, 'highest', 8))}")
    CONSOLE.print(f"on {given.judged} other pictures\n")
    table(["units removed", f"recall of '{given.shape}'", "recall of all others"], rows)
    CONSOLE.print(f"\nresults and pictures: {given.out}")
    gone = names(of_gap, "highest", _COUNTS[1])
    lost = own.without([]) - own.without(gone)
    return 0 if lost > rest.without([]) - rest.without(gone) else 1


if __name__ == "__main__":
    sys.exit(main())
