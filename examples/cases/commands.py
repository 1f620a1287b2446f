"""What a command of mho finds: it is printed as one would type it, run, and read back."""

from __future__ import annotations

import io
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from mho.cli import main

CONSOLE = Console(highlight=False)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """A unit with its score; half: of the 95 % interval, None where the score has none."""

    layer: str
    unit: int
    score: float
    half: float | None

    @property
    def name(self) -> str:
        return f"{self.layer}:{self.unit}"


@dataclass(frozen=True)
class Found:
    """What a command has left in ``folder``: ``result.json`` and the arrays of ``scores.npz``."""

    folder: Path
    summary: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    @property
    def report(self) -> Mapping[str, Any]:
        """The figures that are the method's own."""
        report: Mapping[str, Any] = self.summary["report"]
        return report

    def units(self, *, lowest: bool = False) -> list[Unit]:
        """Units of all layers, the highest score (or the lowest) first."""
        factor = self.summary["interval_factor"]
        found = []
        for layer in (entry["name"] for entry in self.summary["layers"]):
            error = self.arrays.get(f"{layer}/std_error")
            for unit, score in enumerate(self.arrays[layer]):
                half = None if error is None else factor * float(error[unit])
                found.append(Unit(layer, unit, float(score), half))
        return sorted(found, key=lambda unit: unit.score if lowest else -unit.score)

    def curve(self, name: str) -> dict[int, float]:
        """How many units are removed -> V; of several draws their mean."""
        values: Floats = self.arrays[f"curves/{name}"]
        removed = self.arrays["curves/removed"]
        means = values if values.ndim == 1 else values.mean(axis=0)
        return dict(zip(removed.astype(int).tolist(), means.tolist(), strict=True))


def mho(*words: str | Path, out: Path) -> Found:
    """Run ``mho run WORDS --out OUT``; SystemExit where it fails, after it has said why.

    The numbers are those of the command line, because this is the command line; it runs in this
    process so that each command does not start an interpreter.
    """
    named = ("run", *words, "--out", out)
    line = [_short(word) if isinstance(word, Path) else word for word in named]
    CONSOLE.print(f"$ mho {shlex.join(line)}", style="dim", soft_wrap=True, markup=False)
    with redirect_stdout(io.StringIO()):  # the case prints tables of its own
        status = main(line)
    if status:
        raise SystemExit(status)
    with np.load(out / "scores.npz") as arrays:
        return Found(out, json.loads((out / "result.json").read_text("utf-8")), {**arrays})


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of names, to the left of their columns, and figures, to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, first in zip(columns, rows[0], strict=True):
        table.add_column(column, justify="right" if first[0] in "+-0123456789" else "left")
    for row in rows:
        table.add_row(*row)
    CONSOLE.print(f"\n{title}")
    CONSOLE.print(table)
    CONSOLE.print()


def worth(unit: Unit) -> str:
    """``+0.123 ± 0.045``."""
    return f"{unit.score:+.3f}" + ("" if unit.half is None else f" ± {unit.half:.3f}")


def _short(path: Path) -> str:
    """As one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
