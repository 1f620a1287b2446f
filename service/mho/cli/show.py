"""What a person at a terminal sees: tables, progress bars, results."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from mho.method import Progress as Reached

_MOST_UNITS = 12


def json_text(value: Any) -> None:
    """``value`` as indented JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def layers(found: Mapping[str, Any]) -> None:
    """A model's inputs, layers and outputs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, side in (
        ("layer", "left"),
        ("operator", "left"),
        ("units", "right"),
        ("shape", "left"),
    ):
        table.add_column(title, justify=side, overflow="fold")  # type: ignore[arg-type]
    for layer in found["layers"]:
        shape = " × ".join("?" if d is None else str(d) for d in layer["shape"])
        table.add_row(layer["name"], layer["op_type"], f"{layer['units']:,}", shape)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for kind in ("inputs", "outputs"):
        for spec in found[kind]:
            console.print(f"{kind[:-1]} {spec['name']}: {spec['dtype']} {_dims(spec['shape'])}")
    console.print(table)
    units = sum(layer["units"] for layer in found["layers"])
    console.print(f"{len(found['layers'])} layers, {units:,} units")
    for note in found["notes"]:
        console.print(f"note: {note}")


def methods(found: Sequence[Mapping[str, Any]]) -> None:
    """All methods with those options that mean something to them."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for method in found:
        console.print(f"{method['name']}: {method['summary']}")
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
        for option in method["options"]:
            if option["used"]:
                default = option["default"]
                table.add_row(
                    option["flag"],
                    option["help"] + ("" if default in ("", []) else f" (default {default})"),
                )
        console.print(table)


class Bar:
    """A progress bar on stderr; on no terminal it keeps quiet but for notes."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, message="starting")

    def message(self, text: str) -> None:
        self._progress.update(self._task, message=text)

    def note(self, text: str) -> None:
        self._progress.console.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)

    def update(self, reached: Reached) -> None:
        text = reached.message or f"{reached.done:,.0f} of {reached.total:,.0f} {reached.unit}"
        self._progress.update(self._task, completed=reached.done, total=reached.total, message=text)

    def bytes(self, done: int, total: int) -> None:
        """Progress of an upload or a download."""
        text = f"{done / 2**20:,.1f} of {total / 2**20:,.1f} MiB"
        self._progress.update(self._task, completed=done, total=max(1, total), message=text)

    def ask(self, question: str) -> bool:
        """Whether the person says yes; no, where there is nobody to ask."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        self._progress.stop()
        answer = self._progress.console.input(f"{question} [y/N] ", markup=False)
        self._progress.start()
        return answer.strip().lower() in ("y", "yes")


@contextmanager
def progress(title: str) -> Iterator[Bar]:
    """A bar that stays as long as the block runs."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}", style="dim"),
    )
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        yield Bar(bar, title)


def result(summary: Mapping[str, Any], folder: str) -> None:
    """The headline figures and the top units of a result."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(f"{summary['method']}: {summary['estimand']}")
    console.print(ranked(summary))
    for entry in summary.get("completeness", ()):
        gap = entry["gap"]
        console.print(
            f"completeness of {', '.join(entry['layers'])}: gap {gap['median']:.2%} (median), "
            f"{gap['max']:.2%} (largest)"
        )
    for note in summary.get("notes", ()):
        console.print(f"note: {note}")
    spent = ", ".join(f"{count:,} {kind}" for kind, count in summary["evaluations"].items())
    console.print(f"{spent} evaluations in {summary['seconds']:.1f} s; engine {summary['engine']}")
    console.print(f"result in {folder} (open {folder}/index.html)")


def jobs(found: Sequence[Any]) -> None:
    """Jobs as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("job", "method", "state", "progress", "created"):
        table.add_column(title, overflow="fold")
    for job in found:
        share = "" if job.progress is None else f"{job.progress.fraction:.0%}"
        state = "CANCELLING" if job.cancelling else job.state
        created = job.created.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(job.name, job.method, state, share, created)
    Console(markup=False, highlight=False).print(table)


def ranked(summary: Mapping[str, Any], most: int = _MOST_UNITS) -> Table:
    """The units with the largest scores, whatever their layer."""
    rows = [(unit, layer) for layer, top in summary["top_units"].items() for unit in top]
    rows.sort(key=lambda row: -abs(row[0]["score"]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    table.add_column("unit", justify="right")
    table.add_column("score", justify="right")
    with_error = any("std_error" in unit for unit, _ in rows)
    if with_error:
        table.add_column("± standard error", justify="right")
    for unit, layer in rows[:most]:
        cells = [layer, str(unit.get("name", unit["unit"])), f"{unit['score']:+.4g}"]
        if with_error:
            cells.append(f"{unit['std_error']:.2g}" if unit.get("std_error") is not None else "")
        table.add_row(*cells)
    return table


def _dims(shape: Sequence[Any]) -> str:
    return "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"
