"""``index.html``: the whole result on one page that needs no network and no other file."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mho.artifacts.chart import Chart
from mho.artifacts.charts import MAPS

_ROWS = 15  # of the table of units
_LAYER_TABLES = 60
_RESOLVED = 60
_EDITED = 100
_OPTION_TEXT = 200

_STYLE = """
:root { --ink: #1f2328; --soft: #59636e; --line: #d9dee3; --accent: #0072B2; --warm: #D55E00;
  --paper: #ffffff; --wash: #f6f8fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--wash); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 30px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 20px; margin: 0 0 4px; }
p { margin: 4px 0; }
.soft { color: var(--soft); }
.sheet { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 24px; margin-top: 20px; overflow-x: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px;
  margin-top: 20px; }
.figure { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 16px; }
.figure b { display: block; font-size: 22px; font-weight: 600; overflow-wrap: anywhere; }
.figure span { color: var(--soft); font-size: 14px; }
.notes { border-left: 4px solid var(--warm); }
.notes li { margin: 4px 0; }
img { display: block; width: 100%; height: auto; margin-top: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin-top: 8px; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
table.pairs th { width: 190px; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
td.bar { width: 22%; min-width: 110px; }
td.bar div { height: 11px; margin-top: 5px; border-radius: 2px; }
code, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: 13px; }
summary { cursor: pointer; color: var(--accent); }
"""


def page(summary: Mapping[str, Any], charts: Sequence[Chart]) -> str:
    """The page for ``summary`` (the content of ``result.json``) and its pictures, as HTML.

    Everything that comes from a model, a file name or an option is escaped, and the page's own
    policy forbids scripts and network, should anything slip through.
    """
    name = summary["model"]["name"] or "model " + summary["model"]["digest"][:12]
    parts = [
        f"<h1>{escape(summary['method'])} <span class='soft'>of</span> {escape(name)}</h1>",
        f"<p class='soft'>{'Scores estimate: ' if summary['top_units'] else ''}"
        f"{escape(summary['estimand'])}</p>",
        _figures(summary),
        _notes(summary["notes"]),
        *(_chart(chart) for chart in charts if chart.file == MAPS),
        _resolved(summary["report"].get("resolved")),
        _edited(summary["report"].get("edits")),
        _ends(summary),
        "" if "highest" in summary["report"] else _units(summary["top_units"]),
        *(_chart(chart) for chart in charts if chart.file != MAPS),
        _by_layer(summary["top_units"]),
        _asked(summary),
        _provenance(summary),
    ]
    title = escape(f"{summary['method']} of {name}")
    return (
        (
            "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
            "<meta http-equiv='Content-Security-Policy' "
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
            + "\n".join(part for part in parts if part)
            + "\n</main>\n</body>\n</html>\n"
        )
        .encode("utf-8", "backslashreplace")
        .decode("utf-8")
    )


def _figures(summary: Mapping[str, Any]) -> str:
    """The few numbers that are read first."""
    layers = summary["layers"]
    units = sum(layer["units"] for layer in layers)
    cells = [
        (f"{summary['data']['inputs']:,}", "inputs"),
        (f"{units:,}", f"units in {len(layers)} layer{'' if len(layers) == 1 else 's'}"),
    ]
    gaps = [entry["gap"] for entry in summary["completeness"]]
    medians = [gap["median"] for gap in gaps if gap["median"] is not None]
    largest = [gap["max"] for gap in gaps if gap["max"] is not None]
    if medians and largest:
        cells.append((f"{100 * max(largest):.2g} %", "largest completeness gap"))
    errors = [entry["median"] for entry in summary["std_error"].values() if entry["median"]]
    if errors:
        cells.append((_number(max(errors)), "standard error, median of the widest layer"))
    for key, words in (
        ("v_full", "value of the whole model"),
        ("v_empty", "with every unit out"),
        ("v_edited", "value of the edited model"),
    ):
        value = summary["report"].get(key)
        if isinstance(value, (int, float)):
            cells.append((_number(value), words))
    random = summary["report"].get("v_random")
    if isinstance(random, Mapping):
        low, high = _number(random["min"]), _number(random["max"])
        draws = len(random["values"])
        cells.append(
            (_number(random["mean"]), f"without as many at random ({draws} draws: {low} to {high})")
        )
    cells += [
        (f"{count:,}", f"{kind} evaluations") for kind, count in summary["evaluations"].items()
    ]
    cells.append((_seconds(summary["seconds"]), f"on {summary['provider'] or 'unknown provider'}"))
    boxes = "".join(
        f"<div class='figure'><b>{escape(value)}</b><span>{escape(words)}</span></div>"
        for value, words in cells
    )
    return f"<div class='figures'>{boxes}</div>"


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<section class='sheet notes'><h2>Please note</h2><ul>{items}</ul></section>"


def _units(top_units: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The strongest units over all layers."""
    rows = [(layer, row) for layer, units in top_units.items() for row in units]
    rows = [entry for entry in rows if entry[1]["score"] is not None]
    rows.sort(key=lambda entry: -_magnitude(entry[1]))
    if not rows:
        return ""
    body = _table(rows[:_ROWS])
    return (
        "<section class='sheet'><h2>Strongest units</h2>"
        "<p class='soft'>By magnitude, over all layers; blue is positive, orange negative."
        f"</p>{body}</section>"
    )


def _ends(summary: Mapping[str, Any]) -> str:
    """The highest players and whether they are settled, and the lowest."""
    report, factor = summary["report"], summary["interval_factor"]
    if "highest" not in report:
        return ""
    confidence = summary["options"].get("confidence", 0.95)
    sure = sum(row["settled"] for row in report["highest"])
    harmful = [row for row in report["lowest"] if row["score"] is not None and row["score"] < 0]
    parts = [
        "<section class='sheet'><h2>Highest players</h2>"
        f"<p class='soft'>{sure} of these {len(report['highest'])} are settled: surely among the "
        f"highest, with {confidence:.0%} confidence for all together.</p>"
        f"{_players(report['highest'], factor)}</section>"
    ]
    if harmful:
        parts.append(
            "<section class='sheet'><h2>Lowest players</h2>"
            "<p class='soft'>A negative value: V is higher without the player.</p>"
            f"{_players(harmful, factor)}</section>"
        )
    return "\n".join(parts)


def _players(rows: Sequence[Mapping[str, Any]], factor: float | None) -> str:
    errors = factor is not None and any(row["std_error"] is not None for row in rows)
    head = "<th>player</th><th class='number'>score</th>"
    head += "<th class='number'>± 95 %</th>" if errors else ""
    body = ""
    for row in rows:
        said = "settled" if row.get("settled") else "approximate" if row["approximate"] else ""
        body += f"<tr><td class='mono'>{escape(row['player'])}</td>"
        body += f"<td class='number'>{_number(row['score'])}</td>"
        if errors:
            error = row["std_error"]
            body += f"<td class='number'>{_number(error and (factor or 0.0) * error)}</td>"
        body += f"<td class='soft'>{said}</td></tr>"
    return f"<table><thead><tr>{head}<th></th></tr></thead><tbody>{body}</tbody></table>"


def _resolved(resolved: Any) -> str:
    """The units that are resolved to the input: what each has by Eq. 3, and its map's sum."""
    rows = [(layer, row) for layer, units in (resolved or {}).items() for row in units]
    if not rows:
        return ""
    body = "".join(
        f"<tr><td class='mono'>{escape(layer)}</td><td>#{row['unit']}</td>"
        f"<td class='number'>{_number(row['conductance'])}</td>"
        f"<td class='number'>{_number(row['resolved'])}</td></tr>"
        for layer, row in rows[:_RESOLVED]
    )
    more = len(rows) - _RESOLVED
    rest = f"<p class='soft'>{more} more units are in result.json.</p>" if more > 0 else ""
    return (
        "<section class='sheet'><h2>Units resolved to the input</h2>"
        "<p class='soft'>Means over the inputs; the closer the two, the better the map accounts "
        "for the unit.</p><table><thead><tr><th>layer</th><th>unit</th>"
        "<th class='number'>conductance (Eq. 3)</th><th class='number'>sum of the map (Eq. 2)</th>"
        f"</tr></thead><tbody>{body}</tbody></table>{rest}</section>"
    )


def _edited(edits: Any) -> str:
    """The layers that lost units, and how the model was changed for it."""
    if not edits:
        return ""
    body = ""
    for entry in edits[:_EDITED]:
        how = ", ".join(entry["changed"]) or f"node '{entry['node']}', because {entry['why']}"
        body += (
            f"<tr><td class='mono'>{escape(entry['layer'])}</td>"
            f"<td>{escape(_text(entry['units']))}</td><td>{escape(how)}</td></tr>"
        )
    more = len(edits) - _EDITED
    rest = f"<p class='soft'>{more} more layers are in result.json.</p>" if more > 0 else ""
    return (
        "<section class='sheet'><h2>Removed for good</h2>"
        "<p class='soft'>In model.onnx these units are constants.</p><table><thead><tr>"
        "<th>layer</th><th>units</th><th>changed in the model</th></tr></thead>"
        f"<tbody>{body}</tbody></table>{rest}</section>"
    )


def _by_layer(top_units: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The top units of each layer, folded away."""
    layers = [(layer, units) for layer, units in top_units.items() if units]
    if len(layers) < 2:
        return ""
    folded = "".join(
        f"<details><summary><code>{escape(layer)}</code></summary>"
        f"{_table([(layer, row) for row in units if row['score'] is not None])}</details>"
        for layer, units in layers[:_LAYER_TABLES]
    )
    more = len(layers) - _LAYER_TABLES
    rest = f"<p class='soft'>{more} more layers are in result.json.</p>" if more > 0 else ""
    return f"<section class='sheet'><h2>Top units by layer</h2>{folded}{rest}</section>"


def _table(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    errors = any(row.get("std_error") is not None for _, row in rows)
    per_input = any("magnitude" in row for _, row in rows)
    largest = max((abs(row["score"]) for _, row in rows), default=0.0) or 1.0
    head = "<th>layer</th><th>unit</th><th></th><th class='number'>{}score</th>".format(
        "mean " if per_input else ""
    )
    head += "<th class='number'>standard error</th>" if errors else ""
    head += "<th class='number'>mean |score|</th>" if per_input else ""
    body = ""
    for layer, row in rows:
        share = 100 * abs(row["score"]) / largest
        colour = "var(--accent)" if row["score"] >= 0 else "var(--warm)"
        body += (
            f"<tr><td class='mono'>{escape(layer)}</td><td>{escape(_unit(row))}</td>"
            f"<td class='bar'><div style='width:{share:.1f}%;background:{colour}'></div></td>"
            f"<td class='number'>{_number(row['score'])}</td>"
        )
        body += f"<td class='number'>{_number(row.get('std_error'))}</td>" if errors else ""
        body += f"<td class='number'>{_number(row.get('magnitude'))}</td>" if per_input else ""
        body += "</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _chart(chart: Chart) -> str:
    data = base64.b64encode(chart.png).decode("ascii")
    return (
        f"<section class='sheet'><img src='data:image/png;base64,{data}' "
        f"alt='{escape(chart.title)}: {escape(chart.caption)}'></section>"
    )


def _asked(summary: Mapping[str, Any]) -> str:
    rows = [(key, _text(value)) for key, value in summary["options"].items()]
    rows = [(key, value) for key, value in rows if value]
    return _pairs("What was asked", [("method", summary["method"]), *rows])


def _provenance(summary: Mapping[str, Any]) -> str:
    engine = summary["engine"] or "none needed"
    if summary["why"]:
        engine += f" ({summary['why']})"
    rows = [
        ("model", _text(summary["model"]["name"])),
        ("model digest", f"sha256:{summary['model']['digest']}"),
        ("data", _text(summary["data"]["name"])),
        ("data digest", f"sha256:{summary['data']['digest']}"),
        ("seed", str(summary["seed"])),
        ("engine", engine),
        ("provider", _text(summary["provider"])),
        ("versions", ", ".join(f"{k} {v}" for k, v in summary["versions"].items())),
        *(
            (key.replace("_", " "), _text(value))
            for key, value in summary["report"].items()
            if key not in ("resolved", "edits")
        ),
        ("files", ", ".join(summary["files"])),
    ]
    return _pairs("Where it comes from", [(key, value) for key, value in rows if value])


def _pairs(title: str, rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><th>{escape(key)}</th><td class='mono'>{escape(value)}</td></tr>"
        for key, value in rows
    )
    table = f"<table class='pairs'>{body}</table>"
    return f"<section class='sheet'><h2>{escape(title)}</h2>{table}</section>"


def _unit(row: Mapping[str, Any]) -> str:
    if "name" in row:
        return str(row["name"])
    position = row.get("position")
    return f"#{row['unit']}" + (f" ({', '.join(map(str, position))})" if position else "")


def _magnitude(row: Mapping[str, Any]) -> float:
    return float(row.get("magnitude") or abs(row["score"]))


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.4g}".replace("-", "−")


def _seconds(value: float) -> str:
    if value < 90:
        return f"{value:.3g} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _text(value: Any) -> str:
    """An option or figure as one bounded line."""
    if value is None:
        return ""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        text = ", ".join(_text(entry) for entry in value[:50])
        text += f" … ({len(value)} in all)" if len(value) > 50 else ""
    elif isinstance(value, Mapping):
        text = ", ".join(f"{key}: {_text(entry)}" for key, entry in list(value.items())[:50])
    else:
        text = str(value)
    return text if len(text) <= _OPTION_TEXT else f"{text[:_OPTION_TEXT]}…"
