"""Pictures: the right ones, readable at any size, with captions that say what was left out."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mho.artifacts import lines, ranking, style
from mho.artifacts.chart import Chart
from mho.artifacts.charts import FILES, charts
from mho.artifacts.context import Context
from mho.artifacts.curves import drawable
from mho.evaluation import Layer
from mho.results import Completeness, Result

RNG = np.random.default_rng(0)


def context(*layers: Layer, inputs: int = 5) -> Context:
    return Context(
        method="conductance",
        options={"tolerance": 0.01, "value": "accuracy"},
        seed=0,
        engine="",
        why="",
        model_digest="a",
        data_digest="b",
        layers={layer.name: layer for layer in layers},
        names=tuple(f"photo {index}.jpg" for index in range(inputs)),
    )


def conv(name: str, units: int) -> Layer:
    return Layer(name, "Conv", units, ("N", units, 7, 7), 1)


def drawn(result: Result, of: Context) -> dict[str, Chart]:
    found = {chart.file: chart for chart in charts(result, of)}
    assert set(found) <= set(FILES)
    for chart in found.values():
        image = Image.open(io.BytesIO(chart.png))
        assert image.width == round(style.WIDTH * style.DPI)
        assert 200 <= image.height <= 3000
        assert np.asarray(image.convert("L")).std() > 3  # something was drawn
        assert chart.caption.endswith(".")
    return found


def test_a_result_gets_the_pictures_it_has_something_for() -> None:
    layer = conv("relu1", 20)
    scores = RNG.normal(size=20)
    assert set(drawn(Result("what", {"relu1": scores}), context(layer))) == {
        "units.png",
        "layers.png",
    }
    per_input = Result(
        "what",
        {"relu1": RNG.normal(size=(5, 20))},
        completeness=[Completeness(("relu1",), *[np.ones(5)] * 3, gap=np.full(5, 0.002))],
    )
    assert set(drawn(per_input, context(layer))) == {
        *("units.png", "layers.png", "inputs.png", "completeness.png")
    }
    curves = {"removed": np.arange(4.0), "random": RNG.normal(size=(3, 4))}
    assert set(drawn(Result("what", curves=curves), context(layer))) == {"curves.png"}
    assert drawn(Result("what"), context(layer)) == {}


def test_what_is_left_out_is_said() -> None:
    layers = [conv(f"resnetv17_stage{i}_conv0_fwd/relu_output_0", 30) for i in range(70)]
    result = Result(
        "what",
        {layer.name: RNG.normal(size=(200, 30)) for layer in layers},
        completeness=[
            Completeness((layer.name,), *[np.ones(200)] * 3, gap=RNG.uniform(0, 0.02, 200))
            for layer in layers
        ],
    )
    found = drawn(result, context(*layers, inputs=200))
    assert "20 highest and the 10 lowest of 2,100 units" in found["units.png"].caption
    assert "the 60 weightiest of 70 layers" in found["layers.png"].caption
    assert "32 of 200 inputs" in found["inputs.png"].caption
    assert "40 of 70 cuts" in found["completeness.png"].caption


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros((1, 2)),
        np.array([[np.nan, 1.0]]),
        np.full((3, 2), np.nan),
        np.array([0.0]),
        np.array([1e-300, -1e300]),
        RNG.normal(size=(2, 3, 4, 4)),
        np.zeros((0, 4)),
        np.zeros(0),
    ],
    ids=lambda scores: f"{scores.shape}",
)
def test_odd_scores_are_drawn_without_a_warning(scores: np.ndarray) -> None:
    found = drawn(Result("what", {"relu1": scores}), context(conv("relu1", scores.shape[-1])))
    assert ("units.png" in found) == bool(np.isfinite(scores).any())


def test_odd_gaps_are_drawn_without_a_warning() -> None:
    ones = np.ones(3)
    for gap in (np.zeros(3), np.full(3, np.nan), np.array([0.0, 1e9, np.inf])):
        entry = Completeness(("relu1", "relu2"), ones, ones, floor=ones, gap=gap)
        drawn(Result("what", completeness=[entry, entry]), context())


def test_cuts_of_many_layers_and_cuts_alike_are_drawn() -> None:
    gap = RNG.uniform(0, 0.02, 3)
    names = tuple(f"conv{place}" for place in range(200))
    cuts = [names, names, names[:2], names[:1]]
    entries = [Completeness(cut, *[np.ones(3)] * 3, gap=gap) for cut in cuts]
    drawn(Result("what", completeness=entries), context())


def test_units_resolved_to_the_input_have_their_own_numbers() -> None:
    rows = [{"unit": unit} for unit in (12, 3)]
    result = Result(
        "what",
        {"relu1": RNG.normal(size=(5, 2, 3, 8, 8))},
        {"relu1": RNG.normal(size=(5, 2, 8, 8))},
        report={"resolved": {"relu1": rows}},
    )
    found = drawn(result, context(conv("relu1", 20)))
    assert set(found) == {"maps.png", "units.png", "layers.png", "inputs.png"}
    assert found["units.png"].caption.startswith("All 2 units")
    (entry,) = ranking.by_layer(result, context(conv("relu1", 20)))
    assert [entry.label(index) for index in range(2)] == ["#12", "#3"]


@pytest.mark.parametrize("name", ["cost $x_1$ \\frac{", "層/出力", "\udc80", "a" * 300, "a\nb"])
def test_names_are_drawn_as_they_are(name: str) -> None:
    layer = conv(name, 3)
    named = replace(
        context(layer), names=(name,) * 2, labels=np.array([0, 1]), class_names={0: name}
    )
    drawn(Result("what", {name: RNG.normal(size=(2, 3))}), named)


def test_pictures_of_the_inputs_are_shown_where_there_are_any() -> None:
    layer = conv("relu1", 3)
    result = Result("what", {"relu1": RNG.normal(size=(2, 3))})
    red = np.zeros((30, 40, 3), np.uint8)
    red[..., 0], red[..., 1] = 255, 200

    def reddish(chart: Chart) -> int:
        pixels = np.asarray(Image.open(io.BytesIO(chart.png)).convert("RGB")).astype(int)
        return int((np.abs(pixels - [255, 200, 0]).sum(axis=-1) < 12).sum())

    plain = drawn(result, context(layer))["inputs.png"]
    shown = drawn(result, replace(context(layer), pictures=lambda index: red))["inputs.png"]
    assert reddish(plain) == 0
    assert reddish(shown) > 1000


def test_drawing_leaves_the_user_s_matplotlib_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawn(Result("what", {"x": np.ones(3)}), context(conv("x", 3)))
    assert dict(matplotlib.rcParams) == before


def test_only_curves_over_the_common_axis_are_drawn() -> None:
    curves = {
        "removed": np.arange(3.0),
        "top": np.ones(3),
        "random": np.ones((2, 3)),
        "longer": np.ones(4),
        "number": np.array(1.0),
    }
    assert {name: curve.shape for name, curve in drawable(curves).items()} == {
        "top": (1, 3),
        "random": (2, 3),
    }
    assert drawable({"top": np.ones(3)}) == {}


def test_orders_are_drawn_beside_the_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in words and in a colour of its own, dashed, so that the ranking stands out."""
    axes = []
    figure = style.figure

    def kept(height: float) -> object:
        made = figure(height)
        axes.append(made)
        return made

    monkeypatch.setattr(lines.style, "figure", kept)
    curves = {"removed": np.arange(4.0), "random": RNG.normal(size=(3, 4))}
    names = ("top", "bottom", "activation", "weight_norm", "conductance", "gradient_x_activation")
    curves |= {name: RNG.normal(size=4) for name in names}
    drawn(Result("what", curves=curves), context(conv("relu1", 3)))
    found = {line.get_label(): line for line in axes[0].axes[0].get_lines()}
    assert set(found) == {
        "highest scores first",
        "lowest scores first",
        "random order (mean of 3)",
        "highest mean |activation| first",
        "largest weights first",
        "highest conductance first",
        "highest gradient × activation first",
    }
    assert len({line.get_color() for line in found.values()}) == 7
    dashed = {label for label, line in found.items() if line.get_linestyle() == "--"}
    assert dashed == {label for label in found if "scores" not in label and "random" not in label}


def test_units_are_ranked_over_all_layers() -> None:
    result = Result("what", {"b": np.array([3.0, -9.0, np.nan]), "a": np.array([5.0, 3.0])})
    layers = ranking.by_layer(result, context(conv("a", 2), conv("b", 3)))

    def named(units: list[ranking.Unit]) -> list[tuple[str, int]]:
        return [(unit.scores.layer, unit.index) for unit in units]

    assert named(ranking.highest(layers, 3)) == [("a", 0), ("a", 1), ("b", 0)]
    assert named(ranking.lowest(layers, 2)) == [("b", 1), ("a", 1)]
    assert named(ranking.strongest(layers, 2)) == [("b", 1), ("a", 0)]
    assert len(ranking.highest(layers, 100)) == 4


def test_long_names_are_shortened_and_stay_different() -> None:
    names = [f"resnetv17_stage{i}_conv{j}_fwd/relu_output_0" for i in range(3) for j in range(3)]
    for limit in (12, 20, 34, 60):
        found = style.shortened(["x", *names], limit)
        assert found["x"] == "x"
        assert len(set(found.values())) == 10
        assert all(len(text) <= limit + 1 for text in found.values())
    assert style.shortened(names, 20)[names[4]] == "…_stage1_conv1_fwd/…"
    assert style.shortened(["short"], 10) == {"short": "short"}
    assert style.short("abcdefghijkl", 8) == "ab…hijkl"
