"""index.html: whole in itself, and safe whatever a model's names hold."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from mho.artifacts.charts import charts
from mho.artifacts.context import Context
from mho.artifacts.page import page
from mho.artifacts.summary import summary
from mho.evaluation import Layer
from mho.results import Result

EVIL = "<script>alert('x')</script>\"'&"


class Reader(HTMLParser):
    """Collects tags, what they refer to, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.pictured: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.pictured += [value or "" for name, value in attrs if name == "alt"]
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def opened(
    name: str = "relu1", maps: dict[str, np.ndarray] | None = None, **report: object
) -> Reader:
    layer = Layer(name, "Relu", 3, ("N", 3), 1)
    other = Layer("other", "Relu", 2, ("N", 2), 1)
    result = Result(
        estimand=f"what {name}",
        scores={name: np.array([0.25, -0.5, np.nan]), "other": np.zeros(2)},
        maps=maps or {},
        notes=[f"note {name}"],
        evaluations={"coalitions": 4000},
        report={"v_full": 0.93, "name": name, **report},  # type: ignore[dict-item]
    )
    context = Context(
        method="shapley",
        options={"value": name, "layers": []},
        seed=3,
        engine="",
        why="",
        model_digest="a" * 64,
        data_digest="b" * 64,
        layers={name: layer, "other": other},
        names=(name, "y"),
        model_name=name,
        versions={"mho": name},
        seconds=3723,
    )
    pictures = charts(result, context)
    reader = Reader()
    reader.feed(page(summary(result, context, ["result.json"]), pictures))
    return reader


def test_the_page_says_what_matters() -> None:
    found = opened()
    for words in (
        "shapley",
        "what relu1",
        "note relu1",
        "4,000",
        "0.93",
        "−0.5",
        "1 h 2 min",
        "#1",
    ):
        assert words in found.text
    assert "a" * 64 in found.text


def test_the_page_needs_nothing_else() -> None:
    found = opened()
    assert len(found.links) == 2
    assert all(link.startswith("data:image/png;base64,") for link in found.links)
    assert not {"script", "link", "iframe", "object"} & set(found.tags)


def test_names_cannot_become_markup() -> None:
    plain, evil = opened(), opened(EVIL)
    assert evil.tags == plain.tags
    assert evil.text.count(EVIL) >= 6


def test_long_figures_are_cut() -> None:
    found = opened(groups=[f"group {index}" for index in range(5000)])
    assert "group 0" in found.text
    assert "group 4999" not in found.text


def test_maps_come_first_and_are_told_in_words() -> None:
    plain, mapped = opened(), opened(maps={"relu1": np.eye(4)[None].repeat(2, 0)})
    assert mapped.pictured[0].startswith("Where the scores lie: ")
    assert mapped.pictured[1:] == plain.pictured


def test_units_resolved_to_the_input_are_accounted_for() -> None:
    rows = [{"unit": unit, "conductance": 0.125, "resolved": float("nan")} for unit in range(100)]
    found = opened(resolved={EVIL: rows})
    assert "Units resolved to the input" in found.text
    assert f"{EVIL}#59" + "0.125" + "–" in found.text
    assert "#99" not in found.text
    assert "40 more units are in result.json" in found.text
    assert "Units resolved" not in opened().text
