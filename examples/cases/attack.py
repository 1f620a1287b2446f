"""Through which units does an attack go, and what is left of it without them?

    python examples/cases/attack.py [--epsilon 0.02] [--out DIR]

Pictures are attacked by PGD with mho's own gradients. Units are scored for V = attack success, by
the semivalue near the full model. On other pictures, attacked in the same way before anything is
removed, those of highest value are removed: how often the attack still succeeds, and the accuracy
on the same pictures without an attack, beside units at random. The attack knows the whole model and
not the one without the units.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from split import CONSOLE, Judge, finished, names, opened, percent, pictures, spread, table

_COUNTS = (2, 4, 8)


def main(arguments: list[str] | None = None) -> int:
    """Run the case; 0 if the attack succeeds less often, and less than without random units."""
    parser = argparse.ArgumentParser(description="units through which an attack works")
    parser.add_argument("--epsilon", type=float, default=0.02)
    parser.add_argument("--out", type=Path, default=Path("cases-out/attack"))
    parser.add_argument("--scored", type=int, default=200)
    parser.add_argument("--judged", type=int, default=400)
    given = parser.parse_args(arguments)
    scored, judged = pictures(given.out, given.scored, given.judged)
    attack = {"attack": "pgd", "epsilon": given.epsilon, "attack_steps": 10, "seed": 1}
    values = finished(
        opened("shapley", scored, value="attack_success", estimator="semivalue", **attack),
        "units that the attack goes through", given.out / "shapley",
    )  # fmt: skip
    attacked = Judge(judged, "attack_success", **attack)
    clean = Judge(judged, "accuracy")
    rows = [["nothing", percent(attacked.without([])), percent(clean.without([]))]]
    for count in _COUNTS:
        gone = names(values, "highest", count)
        rows.append(
            [f"{count} found", percent(attacked.without(gone)), percent(clean.without(gone))]
        )
        by_chance = [spread(judge.without_random(count)) for judge in (attacked, clean)]
        rows.append([f"{count} at random", *by_chance])
    found = ", ".join(names(values, "highest", 8))
    CONSOLE.print(f"\nthe attack goes through {found}\non {given.judged} other pictures\n")
    table(["units removed", "attack succeeds", "accuracy without an attack"], rows)
    CONSOLE.print(f"\nresults and pictures: {given.out}")
    left = attacked.without(names(values, "highest", _COUNTS[1]))
    return 0 if left < attacked.without_random(_COUNTS[1])[1] else 1


if __name__ == "__main__":
    sys.exit(main())
