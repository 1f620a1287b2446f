"""What the three cases share: pictures to score on and others to judge by, and V of removals."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from mho.config import Settings
from mho.data.source import Source
from mho.jobs.attribution import Run, open_run
from mho.jobs.task import Task

SHAPES = Path(__file__).resolve().parents[1] / "shapes"
MODEL = SHAPES / "shapes.onnx"
sys.path.insert(0, str(SHAPES))

import draw  # noqa: E402  # the folder of the example is no package

CONSOLE = Console(highlight=False)
DRAWS = 10


def pictures(folder: Path, scored: int, judged: int) -> tuple[Path, Path]:
    """Two sets on which the corner mark says nothing about the shape, as .npz files.

    Subgroups are the marked pictures and those of each class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "scored.npz", folder / "judged.npz"
    for path, count, seed in zip(paths, (scored, judged), (7, 8), strict=True):
        drawing = draw.draw(count, seed, "shuffled")
        draw.write_arrays(drawing, path)
        with np.load(path) as file:
            arrays = dict(file)
        groups = {f"groups/{n}": drawing.labels == i for i, n in enumerate(draw.CLASSES)}
        np.savez(path, allow_pickle=False, **arrays, **groups)
    return paths


def opened(method: str, data: Path, **options: Any) -> Run:
    """``mho run METHOD`` on the example's model, in this process, before its first step."""
    attached = {name: Path(options[name]) for name in ("scores",) if name in options}
    task = Task(
        method,
        {name: value for name, value in options.items() if name not in attached},
        MODEL,
        Source(data, preprocess=(SHAPES / "preprocess.yaml").read_text("utf-8")),
        attachments=attached,
        cost_accepted=True,
    )
    return open_run(task, Settings())


def finished(run: Run, title: str, out: Path) -> Any:
    """The result of ``run``, with a progress bar on the way; its files are put into ``out``."""
    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=CONSOLE) as bar:
        task = bar.add_task(title, total=1.0)
        while not run.done:
            run.step()
            bar.update(task, completed=run.progress().fraction)
        bar.update(task, completed=1.0)
    run.write(out)
    return run.result()


class Judge:
    """V over the pictures in ``data`` when players are removed."""

    def __init__(self, data: Path, value: str, **options: Any) -> None:
        game = opened("shapley", data, value=value, **options).evaluator
        self._game = game
        self._number = {player.name: i for i, player in enumerate(game.players)}

    def without(self, names: Sequence[str]) -> float:
        """V without the players ``names``."""
        kept = np.ones((1, len(self._number)), dtype=bool)
        kept[0, [self._number[name] for name in names]] = False
        return float(self._game.values(kept)[0])

    def without_random(self, count: int) -> tuple[float, float, float]:
        """The mean, the smallest and the largest V without ``count`` players, over ten draws."""
        kept = np.ones((DRAWS, len(self._number)), dtype=bool)
        for draw_number, coalition in enumerate(kept):
            generator = np.random.default_rng(draw_number)
            coalition[generator.permutation(len(coalition))[:count]] = False
        values = self._game.values(kept)
        return float(values.mean()), float(values.min()), float(values.max())


def names(result: Any, end: str, count: int) -> list[str]:
    """The ``count`` highest or lowest players of a Shapley result."""
    return [str(entry["player"]) for entry in result.report[end][:count]]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print ``rows``; all columns but the first hold figures."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, title in enumerate(titles):
        made.add_column(title, justify="right" if place else "left")
    for row in rows:
        made.add_row(*row)
    CONSOLE.print(made)


def percent(value: float) -> str:
    return f"{value:.1%}"


def spread(found: tuple[float, float, float]) -> str:
    """``83.1 % (70.0 % to 90.2 %)``."""
    mean, low, high = found
    return f"{mean:.1%} ({low:.1%} to {high:.1%})"
