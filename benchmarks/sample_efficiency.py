"""How many evaluations estimators of Shapley values take, on games that real networks make.

    python benchmarks/sample_efficiency.py FOLDER [--games shapes text] [--seeds 2] [--quick]

Every contender plays the same games at budgets that double, with several seeds, and is compared
with a long run of the default estimator on draws of its own, which an independent one of plain
permutation sampling must agree with. Prints Markdown and draws ``docs/sample_efficiency.png``.

FOLDER keeps what was played: it can be interrupted, two processes may play different games, and
``--report`` prints what there is without playing. ``--quick`` plays small games to see that all
works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from cases import machine, row, table
from coalition_games import PlayedGame, Setting, opened, present
from contenders import TOP, Contender, Own, Point, all_contenders
from efficiency_plot import draw
from kept_points import KeptPoints
from learning_curves import (
    DEFAULT,
    PLAIN,
    Compared,
    Curve,
    agreement,
    certain,
    cost_of_error,
    cost_of_precision,
    curve,
    noise,
    plain_cost,
    plain_error,
    precision_at,
)  # fmt: skip

from mho.config import Settings
from mho.estimators.assisted import Assisted

ROOT = Path(__file__).resolve().parents[1]
_REFERENCE, _REFERENCE_SEED = "reference", 999_983
_FRACTIONS = tuple(2.0**power for power in range(-4, 0))
"""Of a permutation, the smallest budgets."""


def main() -> None:
    """Play what is missing, print the tables, draw the picture."""
    given = _arguments()
    settings = Settings(threads=given.threads, provider="cpu")
    compared = []
    for setting in _settings(given):
        compared += _played(setting, given, settings)
    if not compared:
        sys.exit("nothing was played yet")
    print(machine(given.threads), end="\n\n")
    _default_table(compared)
    for found in compared:
        _contender_table(found)
    given.plot.write_bytes(draw(compared))


def _arguments() -> argparse.Namespace:
    found = argparse.ArgumentParser(description="how many evaluations estimators take")
    found.add_argument("folder", type=Path, help="keeps what was played")
    found.add_argument("--games", nargs="+", default=list(present()), choices=list(present()))
    found.add_argument("--seeds", type=int, default=2)
    found.add_argument("--budgets", type=int, nargs="+", help="in place of those that double")
    found.add_argument("--contenders", nargs="+", choices=list(all_contenders()), metavar="NAME")
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--quick", action="store_true", help="small games, to see that it works")
    found.add_argument("--report", action="store_true", help="play nothing, show what there is")
    found.add_argument("--plot", type=Path, default=ROOT / "docs" / "sample_efficiency.png")
    return found.parse_args()


def _settings(given: argparse.Namespace) -> list[Setting]:
    chosen = [present()[name] for name in given.games]
    if not given.quick:
        return chosen
    return [
        replace(one, inputs=4, layers=one.few_layers, walks=8, more_walks=16, reference=2_000)
        for one in chosen
    ]


def _played(setting: Setting, given: argparse.Namespace, settings: Settings) -> list[Compared]:
    """The games of a setting, each with all contenders."""
    kept = {
        value: KeptPoints(
            given.folder / f"{setting.name}-{value}", f"{setting.inputs} of {setting.layers}"
        )
        for value in setting.values
    }
    contenders = all_contenders()
    chosen = given.contenders or list(contenders)
    found = []
    with opened(setting, settings) as games:
        for value, game in games.items():
            reference = _reference(setting, game, value, kept[value], given)
            if reference is None:
                continue
            curves: dict[str, Curve] = {}
            longest: list[Point] = []
            for name in chosen:
                points = _points(setting, game, value, kept[value], contenders[name], given)
                if points:
                    curves[name] = curve(points, reference)
                if points and name == PLAIN:
                    longest = points[-1]
            if PLAIN not in curves:
                continue
            found.append(
                Compared(
                    title=_title(setting, game, value),
                    players=len(game.players),
                    walk=len(game.players) - 1,
                    curves=curves,
                    default=_default(game, value, kept[value], reference, given),
                    reference=reference,
                    agreement=agreement(longest, reference),
                    certain=certain(reference),
                )
            )
    return found


def _title(setting: Setting, game: PlayedGame, value: str) -> str:
    return (
        f"{setting.title}: {value.replace('_', '-')}, {len(game.players):,} {setting.players}, "
        f"{game.samples} {setting.samples}"
    )


def _reference(
    setting: Setting, game: PlayedGame, value: str, kept: KeptPoints, given: argparse.Namespace
) -> Point | None:
    def play() -> Point | None:
        return Own(Assisted).play(game, value, setting.reference, _REFERENCE_SEED)

    found = _kept(kept, _REFERENCE, 0, setting.reference, given, play)
    if found is not None and found.biased:
        sys.exit(f"{setting.reference} evaluations are too few for the reference of {setting.name}")
    return found


def _default(
    game: PlayedGame, value: str, kept: KeptPoints, reference: Point, given: argparse.Namespace
) -> Curve | None:
    """The default estimator without a budget."""
    points = []
    for seed in range(given.seeds):

        def play(seed: int = seed) -> Point | None:
            return Own(Assisted).play(game, value, 0, seed)

        points.append(_kept(kept, DEFAULT, seed, 0, given, play))
    there = [point for point in points if point is not None]
    return curve([there], reference) if there else None


def _points(
    setting: Setting,
    game: PlayedGame,
    value: str,
    kept: KeptPoints,
    contender: Contender,
    given: argparse.Namespace,
) -> list[list[Point]]:
    """Those of each budget that the contender can serve, from the smallest."""
    found = []
    for budget in _budgets(setting, game, contender, given):
        points = []
        for seed in range(given.seeds):

            def play(budget: int = budget, seed: int = seed) -> Point | None:
                return contender.play(game, value, budget, seed)

            points.append(_kept(kept, contender.name, seed, budget, given, play))
        there = [point for point in points if point is not None]
        if there:
            found.append(there)
    return found


def _budgets(
    setting: Setting, game: PlayedGame, contender: Contender, given: argparse.Namespace
) -> list[int]:
    if given.budgets:
        return sorted(given.budgets)
    players = len(game.players)
    walks = setting.more_walks if contender.name == PLAIN else setting.walks
    whole = [2.0**power for power in range(walks.bit_length())]
    budgets = [2 + round((players - 1) * share) for share in (*_FRACTIONS, *whole)]
    return [budget for budget in budgets if budget * players**2 <= contender.most_work]


def _kept(
    kept: KeptPoints,
    name: str,
    seed: int,
    budget: int,
    given: argparse.Namespace,
    play: object,
) -> Point | None:
    """From the folder, or played now unless only a report is wanted."""
    assert callable(play)

    def timed() -> Point | None:
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of small samples, by scikit-learn and NumPy
            found = play()
        if found is None:
            return None
        print(
            f"{name}, seed {seed}, budget {budget}: {time.monotonic() - began:.1f} s",
            file=sys.stderr,
            flush=True,
        )
        return found

    return kept.point(name, seed, budget, None if given.report else timed)


def _default_table(compared: Sequence[Compared]) -> None:
    """What the default gives, and what plain permutation sampling takes for the same."""
    table(
        [
            "game",
            f"evaluations of `{DEFAULT}`",
            "error",
            f"`{PLAIN}` for it",
            "factor",
            f"of the top {TOP}",
            f"`{PLAIN}` for it",
            "factor",
            "reference: error, agreement, certain top",
        ]
    )
    for found in compared:
        own, plain = found.default, found.curves[PLAIN]
        if own is None:
            continue
        cost, error, precision = (float(x[0]) for x in (own.cost, own.error, own.precision))
        least = noise(found.reference)
        words, number = cost_of_precision(plain, precision)
        longest = f"≥ {plain.cost[-1] / cost:.1f}" if np.isnan(number) else f"{number / cost:.1f}"
        most, at_least = ("≤ ", "≥ ") if error == least else ("", "")
        rival = plain_cost(plain, error)
        row(
            [
                found.title,
                f"{cost:,.0f}",
                f"{most}{error:.2g}{', biased' if own.biased.any() else ''}",
                f"{at_least}{rival:,.0f}",
                f"{at_least}{rival / cost:.1f}",
                f"{TOP * precision:.1f}",
                words,
                longest,
                f"{least:.1g}, {found.agreement:.2f}, {TOP * found.certain:.1f}",
            ]
        )
    print()


def _contender_table(found: Compared) -> None:
    """Evaluations of every contender for what permutation sampling has at two lengths."""
    plain = found.curves[PLAIN]
    most = float(plain.cost[-1])
    for_error = most / 4
    error, precision = plain_error(plain, for_error), precision_at(plain, most)
    walks = round(most / found.walk)
    print(
        f"**{found.title}.** Evaluations for the error {error:.2g}, which `{PLAIN}` has after "
        f"{max(1, walks // 4)} permutations, and for {TOP * precision:.1f} of the top {TOP}, which "
        f"it has after {walks}. A factor says how many times fewer they are.\n"
    )
    table(["estimator", "unbiased", "for the error", "factor", f"for the top {TOP}", "factor"])
    for name, one in found.curves.items():
        cells = [f"`{name}`" if not name.startswith(("shapiq", "TMAB")) else name]
        cells.append("" if one.biased.all() else "yes")
        sought = (cost_of_error(one, error), for_error), (cost_of_precision(one, precision), most)
        if name == PLAIN:
            sought = ((f"{for_error:,.0f}", for_error), for_error), ((f"{most:,.0f}", most), most)
        for (words, number), rival in sought:
            cells += [words, "" if np.isnan(number) else f"{rival / number:.1f}"]
        row(cells)
    print()


if __name__ == "__main__":
    main()
