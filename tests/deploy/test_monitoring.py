"""The dashboard and the alerts ask for nothing that the server does not tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mho.telemetry import metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "mho.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())
PROMETHEUS_ADDS = {"instance", "job"}
SUFFIX = {"histogram": ("_bucket", "_count", "_sum"), "counter": (), "gauge": (), "info": ()}


def told() -> dict[str, set[str]]:
    """Series -> labels, of all that the server may tell."""
    found: dict[str, set[str]] = {"up": set(), "process_resident_memory_bytes": set()}
    for name, kind, labels, _ in metrics.described():
        for suffix in SUFFIX[kind] or ("",):
            found[name + suffix] = {*labels, *({"le"} if suffix == "_bucket" else ())}
    return found


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            yield panel


def queries() -> list[str]:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    return [
        *(target["expr"] for panel in panels() for target in panel["targets"]),
        *(rule["expr"] for rule in rules),
    ]


@pytest.mark.parametrize("query", queries())
def test_every_series_and_label_exists(query: str) -> None:
    known = told()
    series = set(re.findall(r"\b(?:mho|process)_\w+", query))
    assert series <= set(known), series - set(known)
    assert series or "up{" in query
    for name, selector in re.findall(r"\b((?:mho|process)_\w+)\{([^}]*)\}", query):
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        assert asked <= known[name] | PROMETHEUS_ADDS, name
    grouped = {
        label.strip()
        for labels in re.findall(r"by \(([^)]*)\)", query)
        for label in labels.split(",")
    }
    assert grouped <= set().union(*known.values()) | PROMETHEUS_ADDS


def test_brackets_close() -> None:
    for query in queries():
        for opened, closed in ("()", "{}", "[]"):
            assert query.count(opened) == query.count(closed), query


def test_the_dashboard_has_its_rows_and_no_panel_lies_on_another() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Service", "Queue", "Workers", "Calls"]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)


def test_every_legend_names_labels_that_its_query_keeps() -> None:
    known = told()
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                kept = re.findall(r"by \(([^)]*)\)", target["expr"])
                series = re.findall(r"\bmho_\w+|process_\w+", target["expr"])
                if kept:
                    assert label in kept[0].replace(" ", "").split(",")
                else:
                    assert label in known[series[0]] | PROMETHEUS_ADDS


def test_every_alert_says_what_and_how_bad() -> None:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"].keys() == {"summary", "description"}
