"""What a person at a terminal sees, or a log: tables, progress bars, results.

Where stdout is no terminal a table is as wide as its names, so that every row stays one line and
``mho layers M | grep conv`` finds whole names.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

from mho.cli import streams
from mho.method import Progress as Reached

if TYPE_CHECKING:
    from mho.doctor.check import Finding

_UNBOUNDED = 1_000_000
"""Columns of an output that is no terminal."""

_ROWS = 10
"""About how many units of a result are printed."""

_ROWS_OF_LAYER = 3
"""How many units of a layer are printed at least."""

_LAYERS = 8
"""Of how many layers units are printed."""

_LOG_SECONDS = 10.0
"""How often a long run tells a log that it lives."""


class _Console(Console):
    """Prints names as they are; a reader who has gone is no error."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._stream = sys.stderr if stderr else sys.stdout
        self.plain = not self._stream.isatty()
        super().__init__(
            stderr=stderr,
            markup=False,
            highlight=False,
            emoji=False,
            soft_wrap=not stderr,  # a progress bar must not
            width=_UNBOUNDED if self.plain else None,
        )

    def on_broken_pipe(self) -> None:
        self.quiet = True
        streams.discard(self._stream)

    def table(self, table: Table) -> None:
        """Print ``table``, without blanks at the ends of lines where they could be in the way."""
        if not self.plain:
            self.print(table)
            return
        with self.capture() as caught:
            self.print(table)
        self.print("\n".join(line.rstrip() for line in caught.get().rstrip("\n").split("\n")))


def json_text(value: Any) -> None:
    """``value`` as indented JSON on stdout."""
    streams.write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def layers(found: Mapping[str, Any]) -> None:
    """A model's inputs, layers and outputs."""
    table = _table(("layer", "operator", "units", "shape", "engine"), right=("units",))
    for layer in found["layers"]:
        shape = " × ".join("?" if d is None else str(d) for d in layer["shape"])
        engine = layer["engines"][0]  # the one that auto takes
        table.add_row(_name(layer["name"]), layer["op_type"], f"{layer['units']:,}", shape, engine)
    console = _Console()
    for kind in ("inputs", "outputs"):
        for spec in found[kind]:
            console.print(
                f"{kind[:-1]} {_name(spec['name'])}: {spec['dtype']} {_dims(spec['shape'])}"
            )
    console.table(table)
    units = sum(layer["units"] for layer in found["layers"])
    console.print(f"{len(found['layers'])} layers, {units:,} units")
    for note in found["notes"]:
        console.print(f"note: {note}")


def methods(found: Sequence[Mapping[str, Any]]) -> None:
    """All methods with those options that mean something to them."""
    console = _Console()
    for method in found:
        console.print(f"{method['name']}: {method['summary']}")
        table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
        for option in method["options"]:
            if option["used"]:
                table.add_row(f"{option['flag']} {option['metavar']}", option["explained"])
        console.table(table)


class Bar:
    """A progress bar on stderr; where that is no terminal, a line now and then on long work."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._task = progress.add_task(title, total=None, message="starting")
        self._logged = time.monotonic()

    def message(self, text: str) -> None:
        self._progress.update(self._task, message=text)
        self._log(text)

    def note(self, text: str) -> None:
        self._progress.console.print(f"note: {text}", soft_wrap=True)

    def update(self, reached: Reached) -> None:
        text = reached.message or f"{reached.done:,.0f} of {reached.total:,.0f} {reached.unit}"
        self._progress.update(self._task, completed=reached.done, total=reached.total, message=text)
        self._log(f"{100 * reached.fraction:.0f} %, {text}")

    def bytes(self, done: int, total: int) -> None:
        """Progress of an upload or a download."""
        text = f"{done / 2**20:,.1f} of {total / 2**20:,.1f} MiB"
        self._progress.update(self._task, completed=done, total=max(1, total), message=text)
        self._log(text)

    def ask(self, question: str) -> bool:
        """Whether the person says yes; no, where there is nobody to ask."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        self._progress.stop()
        answer = self._progress.console.input(f"{question} [y/N] ", markup=False)
        self._progress.start()
        return answer.strip().lower() in ("y", "yes")

    def _log(self, text: str) -> None:
        now = time.monotonic()
        if self._progress.disable and now - self._logged >= _LOG_SECONDS:
            self._logged = now
            self._progress.console.print(f"{self._title} {text}")


@contextmanager
def progress(title: str) -> Iterator[Bar]:
    """A bar that stays as long as the block runs."""
    console = _Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}", style="dim", markup=False),
    )
    with Progress(
        *columns,
        console=console,
        disable=console.plain,
        transient=True,
        # rich would send what is meant for stdout, such as a job's name, to stderr as well
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        yield Bar(bar, title)


def result(folder: Path, said: Collection[str] = ()) -> None:
    """The headline figures and the top units of the result in ``folder``.

    said: notes that were printed before and are not repeated.
    """
    summary = json.loads((folder / "result.json").read_text("utf-8"))
    console = _Console()
    console.print(f"{summary['method']}: {summary['estimand']}")
    ends = summary.get("report", {}).get("highest")
    table, left_out = (highest(summary), 0) if ends else ranked(summary)
    if table.row_count:
        console.table(table)
    if ends:
        console.print(_settled(summary))
    for line in _edited(summary.get("report", {})):
        console.print(line)
    if left_out:
        console.print(f"units of further layers ({left_out}) are in {folder / 'result.json'}")
    for line in _gaps(summary.get("completeness", ())):
        console.print(line)
    for note in summary.get("notes", ()):
        if note not in said:
            console.print(f"note: {note}")
    spent = ", ".join(f"{count:,} {kind}" for kind, count in summary["evaluations"].items())
    engine = f"; engine {summary['engine']}" if summary["engine"] else ""
    console.print(f"{spent} evaluations in {summary['seconds']:.1f} s{engine}")
    console.print(f"result in {folder} (open {folder}/index.html)")


def highest(summary: Mapping[str, Any]) -> Table:
    """The highest players over all layers, and the lowest that harm, best first."""
    report, factor = summary["report"], summary.get("interval_factor")
    with_error = bool(summary["std_error"]) and factor is not None
    titles = ["player", "score", *(["± 95 %"] if with_error else []), ""]
    table = _table(titles, right=titles[1:-1])
    harmful = [row for row in report["lowest"] if row["score"] is not None and row["score"] < 0]
    rows = [*report["highest"][:_ROWS], *harmful[: _ROWS // 2][::-1]]
    for row in rows:
        cells = [_name(row["player"]), _figure(row["score"], "+.4g")]
        if with_error:
            error = row["std_error"]
            cells.append(_figure(None if error is None else factor * error, ".2g"))
        said = "approximate" if row["approximate"] else ""
        table.add_row(*cells, "settled" if row.get("settled") else said)
    return table


def _settled(summary: Mapping[str, Any]) -> str:
    """How many of the highest are surely among the highest."""
    rows = summary["report"]["highest"]
    sure = sum(row["settled"] for row in rows)
    confidence = summary["options"]["confidence"]
    return (
        f"{sure} of the {len(rows)} highest are surely among them (with {confidence:.0%} "
        f"confidence for all together); all scores are in scores.npz"
    )


def _edited(report: Mapping[str, Any]) -> Iterator[str]:
    """V before and after units were removed for good, and how they were."""
    if "edits" not in report:
        return
    random = report["v_random"]
    yield (
        f"V is {_figure(report['v_edited'], '.4g')} instead of {_figure(report['v_full'], '.4g')}; "
        f"without as many at random {_figure(random['mean'], '.4g')} "
        f"({_figure(random['min'], '.4g')} to {_figure(random['max'], '.4g')} in "
        f"{len(random['values'])} draws)"
    )
    for entry in report["edits"][:_ROWS]:
        units = ", ".join(map(str, entry["units"][:_ROWS]))
        more = len(entry["units"]) - _ROWS
        how = ", ".join(entry["changed"]) or "a node behind the layer"
        yield f"{_name(entry['layer'])}: {units}{f' and {more} more' if more > 0 else ''} in {how}"
    if len(report["edits"]) > _ROWS:
        yield f"{len(report['edits']) - _ROWS} more layers are in result.json"
    deviation = report["deviation"]
    yield (
        f"model.onnx: scores within {_figure(deviation['largest'], '.2g')} of the masked model's, "
        f"the largest of which is {_figure(deviation['of'], '.4g')}"
    )


def _gaps(completeness: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How far scores and differences lie apart at each cut; where cuts are many, at the worst."""
    known = [entry for entry in completeness if entry["gap"]["median"] is not None]
    if len(known) > _LAYERS:
        known = [max(known, key=lambda entry: float(entry["gap"]["max"]))]
        yield f"completeness at {len(completeness)} cuts, of which the worst is"
    for entry in known:
        yield (
            f"completeness of {', '.join(map(_name, entry['layers']))}: "
            f"gap {entry['gap']['median']:.2%} (median), {entry['gap']['max']:.2%} (largest)"
        )


def jobs(found: Sequence[Mapping[str, Any]]) -> None:
    """Jobs, as ``mho list --json`` has them, as a table."""
    failed = any(job["error"] for job in found)
    titles = ("job", "method", "state", "progress", "created")
    table = _table((*titles, "error") if failed else titles, right=("progress",))
    for job in found:
        created = datetime.fromisoformat(job["created"]).astimezone()
        cells = [
            job["name"],
            job["method"],
            "CANCELLING" if job["cancelling"] else job["state"],
            f"{job['progress']['fraction']:.0%}" if job["progress"] else "",
            f"{created:%Y-%m-%d %H:%M:%S}",
        ]
        if failed:
            cells.append(job["error"]["reason"] if job["error"] else "")
        table.add_row(*cells)
    _Console().table(table)


def findings(found: Sequence[Finding]) -> None:
    """What the doctor found, with what to do about it."""
    table = _table(("check", "", "found", "remedy"))
    for finding in found:
        table.add_row(
            finding.check, finding.verdict.value, _name(finding.found), _name(finding.remedy)
        )
    console = _Console()
    console.table(table)
    counts = Counter(finding.verdict.value for finding in found)
    console.print(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))


def ranked(summary: Mapping[str, Any]) -> tuple[Table, int]:
    """The first units of each layer, in the layers' order, and of how many layers none is shown.

    Layers are kept apart, because scores at different depths of a network explain the same
    difference more than once. Ten rows are shared among the layers, but each has three at least;
    where there are more than eight layers, eight spread evenly over the depth are shown.
    """
    top = summary["top_units"]
    names = _without_repetition(summary)
    shown = names
    if len(names) > _LAYERS:
        shown = [names[int((i + 0.5) * len(names) / _LAYERS)] for i in range(_LAYERS)]
    rows = max(_ROWS_OF_LAYER, _ROWS // max(1, len(shown)))
    printed = [unit for name in shown for unit in top[name][:rows]]
    by_magnitude = any("magnitude" in unit for unit in printed)
    factor = summary.get("interval_factor")
    with_error = factor is not None and any(unit.get("std_error") is not None for unit in printed)
    titles = ["layer", "unit", "mean score" if by_magnitude else "score"]
    titles += ["mean |score|"] if by_magnitude else []
    titles += ["± 95 %"] if with_error else []
    table = _table(titles, right=titles[1:])
    for name in shown:
        for place, unit in enumerate(top[name][:rows]):
            cells = ["" if place and sys.stdout.isatty() else _name(name), _unit(unit)]
            cells.append(_figure(unit["score"], "+.4g"))
            if by_magnitude:
                cells.append(_figure(unit.get("magnitude"), ".4g"))
            if with_error:
                error = unit.get("std_error")
                cells.append(_figure(None if error is None else factor * error, ".2g"))
            table.add_row(*cells)
    return table, len(names) - len(shown)


def _without_repetition(summary: Mapping[str, Any]) -> list[str]:
    """The layers with units, less those that the next one repeats: a convolution whose first units
    are those of its activation."""
    top = {name: units for name, units in summary["top_units"].items() if units}
    shapes = {layer["name"]: layer["shape"] for layer in summary["layers"]}

    def first(name: str) -> list[str]:
        return [_unit(unit) for unit in top[name][:_ROWS_OF_LAYER]]

    kept: list[str] = []
    for name in top:
        if kept and shapes.get(kept[-1]) == shapes.get(name) and first(kept[-1]) == first(name):
            kept.pop()
        kept.append(name)
    return kept


def _unit(unit: Mapping[str, Any]) -> str:
    text = _name(str(unit.get("name", unit["unit"])))
    position = unit.get("position")
    return f"{text} at {', '.join(map(str, position))}" if position else text


def _figure(value: float | None, style: str) -> str:
    return "" if value is None else format(value, style)


def _table(titles: Sequence[str], right: Collection[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", overflow="fold")
    return table


def _name(text: str) -> str:
    """A name with escapes for what would move the cursor or break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _dims(shape: Sequence[Any]) -> str:
    return "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"
