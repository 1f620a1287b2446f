"""Two sets of pictures of shapes: units are chosen on the one and judged on the other."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

SHAPES = Path(__file__).resolve().parents[1] / "shapes"
sys.path.insert(0, str(SHAPES))

import draw  # noqa: E402  # the folder of the example is no package

MODEL = SHAPES / "shapes.onnx"
PREPROCESS = SHAPES / "preprocess.yaml"
LAYERS = ("conv*/relu", "dense1/relu")
"""Of all 120 hidden units of the model, once each."""
SEED = ("--seed", "7")
_SEEDS = {"chosen": 7, "judged": 8}


@dataclass(frozen=True)
class Splits:
    """``chosen``, ``judged``: .npz files of inputs, labels and which pictures are marked.

    out: the folder of the case. layers: those whose units play, names or globs.
    """

    out: Path
    chosen: Path
    judged: Path
    layers: Sequence[str]

    @property
    def playing(self) -> tuple[str, ...]:
        """Options that say which units play, and seed the draws."""
        return ("--layers", *self.layers, *SEED)

    @property
    def scoring(self) -> tuple[str | Path, ...]:
        """Options of a run that scores the units on the pictures to choose on.

        The semivalue near the full model, because what removing a few units does is asked; the
        Shapley value weighs coalitions of all sizes alike, and in most of them the model is dead.
        """
        return ("--inputs", self.chosen, *self.playing, "--estimator", "semivalue")

    @property
    def judging(self) -> tuple[str | Path, ...]:
        """Options of a run that removes units on the other pictures.

        The means that removed units become are those over the pictures to choose on, so that
        nothing of the others goes into what is judged by them.
        """
        return ("--inputs", self.judged, "--reference", self.chosen, *self.playing)


def splits(case: str, about: str, cue: draw.Cue, words: Sequence[str] | None) -> Splits:
    """What a case's command line asks for, with the pictures drawn; ``cue`` says which are marked.

    words: the command line; None for that of the process.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-out", case),
        metavar="DIR",
        help=f"folder of the results; default demo-out/{case}",
    )
    parser.add_argument(
        "--chosen", type=int, default=300, metavar="N", help="pictures to choose units on"
    )
    parser.add_argument(
        "--judged", type=int, default=400, metavar="N", help="pictures to judge removals on"
    )
    parser.add_argument(
        "--layers", nargs="+", default=LAYERS, metavar="NAME", help="layers to score; default all"
    )
    asked = parser.parse_args(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, count in (("chosen", asked.chosen), ("judged", asked.judged)):
        paths[name] = asked.out / f"{name}.npz"
        # no case asks for the pixels of concepts, which take more room than the pictures
        drawn = replace(draw.draw(count, _SEEDS[name], cue), concepts={})
        draw.write_arrays(drawn, paths[name])
    return Splits(asked.out, paths["chosen"], paths["judged"], asked.layers)
