"""maps.png: where the scores lie, over the pictures of the inputs or beside the names."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mho.artifacts import style
from mho.artifacts.canvas import Box
from mho.artifacts.chart import Chart
from mho.artifacts.charts import charts
from mho.artifacts.context import Context
from mho.artifacts.grid import fits
from mho.artifacts.panels import panels, subjects, titles
from mho.artifacts.scale import Scale, greyed, resized, scale
from mho.results import Result

RNG = np.random.default_rng(0)
GREY = np.full((30, 40, 3), 128, np.uint8)


def context(inputs: int = 5, picture: np.ndarray | None = None, **more: Any) -> Context:
    known: dict[str, Any] = {
        "method": "grad_cam",
        "options": {},
        "seed": 0,
        "engine": "gradient",
        "why": "",
        "model_digest": "a",
        "data_digest": "b",
        "layers": {},
        "names": tuple(f"photo {index}.jpg" for index in range(inputs)),
        "pictures": lambda index: picture,
    }
    return Context(**{**known, **more})


def found(maps: dict[str, np.ndarray], **report: Any) -> Result:
    return Result("what", maps=maps, report=report)


def drawn(result: Result, of: Context) -> Chart:
    (chart,) = charts(result, of)
    assert chart.file == "maps.png"
    assert chart.caption.endswith(".")
    image = Image.open(io.BytesIO(chart.png))
    assert image.width == round(style.WIDTH * style.DPI)
    assert 180 <= image.height <= 3000
    return chart


def tinted(chart: Chart) -> tuple[int, int]:
    """How many pixels are clearly blue, and how many clearly red."""
    pixels = np.asarray(Image.open(io.BytesIO(chart.png)).convert("RGB")).astype(int)
    difference = pixels[..., 2] - pixels[..., 0]
    return int((difference > 60).sum()), int((difference < -60).sum())


@pytest.mark.parametrize("picture", [None, GREY], ids=["alone", "over a picture"])
@pytest.mark.parametrize("positions", [(7, 7), (9,), (3, 7, 7)], ids=str)
def test_colours_tell_the_sign(positions: tuple[int, ...], picture: np.ndarray | None) -> None:
    of = context(picture=picture)
    above = drawn(found({"relu1": np.ones((5, *positions))}), of)
    below = drawn(found({"relu1": -np.ones((5, *positions))}), of)
    bar = 40 * 500  # about what a bar of both colours has
    assert tinted(above)[0] > bar > tinted(above)[1]
    assert tinted(below)[1] > bar > tinted(below)[0]
    assert "the bluer, the higher" in above.caption
    assert "blue above 0, red below" in below.caption
    assert ("all positions but the last two" in above.caption) == (len(positions) == 3)


def test_a_map_lies_where_its_picture_shows_it() -> None:
    corner = np.zeros((4, 4))
    corner[0, 0] = 1.0
    share = resized(corner, 80, 60)
    assert share.shape == (60, 80)
    assert share[:5, :5].min() > 0.7
    assert share.min() == 0.0  # no swing to the other sign
    assert share.max() <= 1.0
    assert share[30:, 40:].max() < 1e-6
    grey = greyed(GREY, 80, 60)
    over = Scale(1.0, signed=True).over(share, grey)
    np.testing.assert_allclose(over[30:, 40:], grey[30:, 40:, None].repeat(3, -1))
    assert over[2, 2, 2] - over[2, 2, 0] > 0.3


def test_one_bright_spot_fades_nothing() -> None:
    scores = np.full((2, 50, 50), 0.5)
    scores[0, 3, 3] = -1e6
    assert scale(scores, signed=True).limit == 0.5
    spot = np.zeros((2, 50, 50))
    spot[0, 3, 3] = -7.0
    assert scale(spot, signed=True).limit == 7.0
    assert scale(np.zeros((1, 2)), signed=False).limit == 0.0
    share = Scale(0.5, signed=True).share(np.array([-np.inf, -1, -0.25, np.nan, 0.5, np.inf]))
    np.testing.assert_array_equal(share, [-1, -1, -0.5, 0, 1, 1])
    np.testing.assert_allclose(Scale(0.5, signed=False).alone(np.zeros(1)), [[1, 1, 1]], atol=0.04)


@pytest.mark.parametrize(
    "maps",
    [
        np.zeros((1, 5, 5)),
        np.ones((1, 1, 1)),
        np.ones((3, 1)),
        np.array([[[np.nan, 1.0], [np.inf, -np.inf]]]),
        np.array([[np.nan, 1.0]]),
        np.full((2, 3, 3), 1e308),
        np.full((2, 2, 3, 3), 1e308),
        np.full((2, 3), 1e-310),
        RNG.normal(size=(2, 3, 400)),
        RNG.normal(size=(2, 400, 3)),
        RNG.normal(size=(2, 30, 1)),
        RNG.normal(size=(2, 2, 3, 4, 5)),
        RNG.normal(size=(1, 1500, 2100)).astype(np.float32),
        RNG.normal(size=(2, 5000)),
        np.arange(12).reshape(2, 6),
    ],
    ids=lambda maps: f"{maps.shape}",
)
@pytest.mark.parametrize("picture", [None, GREY], ids=["alone", "over a picture"])
def test_odd_maps_are_drawn_without_a_warning(maps: np.ndarray, picture: np.ndarray | None) -> None:
    drawn(found({"relu1": maps}), context(len(maps), picture))


@pytest.mark.parametrize(
    "maps",
    [np.zeros((0, 5, 5)), np.zeros((3, 0)), np.zeros(3), np.full((2, 3, 3), np.nan)],
    ids=lambda maps: f"{maps.shape}",
)
def test_what_has_no_inputs_positions_or_numbers_is_not_drawn(maps: np.ndarray) -> None:
    def picture(index: int) -> np.ndarray:
        raise IndexError(index)

    assert charts(found({"relu1": maps}), context(0, pictures=picture)) == []


@pytest.mark.parametrize("size", [(1, 1), (90, 30), (30, 90), (2, 900), (900, 1200)], ids=str)
def test_pictures_of_any_size_are_drawn(size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    maps = {"a": RNG.normal(size=(3, 6, 6)), "b": RNG.normal(size=(3, 8))}
    drawn(found(maps), context(3, picture))


def test_inputs_without_a_picture_among_others_have_their_map_alone() -> None:
    result = found({"a": RNG.normal(size=(3, 6, 6)), "b": RNG.normal(size=(3, 8))})
    for first, others in ((None, GREY), (GREY, None)):
        some = {0: first, 1: others, 2: others}
        drawn(result, context(3, pictures=lambda index, some=some: some[index]))


@pytest.mark.parametrize(
    ("scores", "picture", "wanted"),
    [
        ((13, 13), (227, 227), True),
        ((1, 1), (20, 200), True),
        ((3, 7), (227, 500), True),
        ((224, 3), (224, 224), False),  # colours taken for a position
        ((3, 224), (224, 224), False),
        ((13, 13), (20, 200), False),
    ],
)
def test_a_map_of_other_sides_is_not_laid_over_a_picture(
    scores: tuple[int, int], picture: tuple[int, int], wanted: bool
) -> None:
    assert fits(scores, (*picture, 3)) == wanted
    image = np.zeros((*picture, 3), np.uint8)
    caption = drawn(found({"a": np.ones((1, *scores)), "b": np.ones((1, 9))}), context(1, image))
    assert ("lies over its input" in caption.caption) == (wanted and scores != (1, 1))


@pytest.mark.parametrize("positions", [(6, 6), (9,)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 40])
def test_what_is_left_out_is_said(count: int, positions: tuple[int, ...]) -> None:
    maps = {f"layer {place}": RNG.normal(size=(200, *positions)) for place in range(count)}
    for picture in (None, GREY):
        caption = drawn(found(maps), context(200, picture)).caption
        assert " of 200 inputs, at even steps" in caption
        assert ("6 of 40 maps, at even steps" in caption) == (count == 40)


def test_of_many_units_the_weightiest_are_shown() -> None:
    maps = RNG.normal(size=(3, 40, 5, 5))
    maps[:, [7, 30]] *= 1e3
    rows = [{"unit": 100 + place} for place in range(40)]
    result = found({"relu1": maps}, resolved={"relu1": rows})
    assert [panel.unit for panel in panels(result)] == list(range(100, 140))
    assert "6 of 40 units, those of largest |score|" in drawn(result, context(3, GREY)).caption


def test_a_unit_of_a_layer_is_a_panel_of_its_own() -> None:
    maps = {"relu2": RNG.normal(size=(3, 2, 5, 5)), "relu1": RNG.normal(size=(3, 5, 5))}
    result = found(maps, resolved={"relu2": [{"unit": 12}, {"unit": 3}]})
    shown = panels(result)
    assert titles(shown, 20) == [["relu2", "#12"], ["relu2", "#3"], ["relu1"]]
    np.testing.assert_array_equal(shown[1].scores, maps["relu2"][:, 1])
    drawn(result, context(3))
    tokens = found(
        {"emb": RNG.normal(size=(3, 2, 9))}, resolved={"emb": [{"unit": 1}, {"unit": 2}]}
    )
    assert drawn(tokens, context(3)).png != drawn(tokens, context(3, GREY)).png


def test_an_axis_of_one_position_tells_nothing() -> None:
    shapes = {(2, 9, 1): (2, 9), (2, 1, 9): (2, 9), (2, 1, 1): (2, 1), (2, 1, 3, 3): (2, 3, 3)}
    for given, left in shapes.items():
        (panel,) = panels(found({"a": np.zeros(given)}))
        assert panel.scores.shape == left


def test_maps_of_different_kinds_share_a_picture() -> None:
    maps = {
        "conv": RNG.normal(size=(4, 6, 6)),
        "block1": RNG.normal(size=(4, 17)),
        "block2": RNG.normal(size=(4, 17)),
        "audio": RNG.normal(size=(4, 9000)),
    }
    caption = drawn(found(maps), context(4, GREY)).caption
    assert "means of neighbours" in caption


def test_the_class_that_is_explained_is_named() -> None:
    of = context(3, labels=np.array([1, 0, 1]), class_names={0: "tench", 1: "goldfish"})
    maps = {"a": RNG.normal(size=(3, 5, 5))}
    varied = found(maps, targets=[0, 1, 7])
    assert [(s.name, s.about) for s in subjects(varied, of, 3, 8, pictured=False)] == [
        ("photo 1.jpg", "tench · explained: goldfish"),
        ("photo 0.jpg", "goldfish · explained: tench"),
        ("photo 2.jpg", "goldfish · explained: class 7"),
    ]
    assert "explained" not in drawn(varied, of).caption
    alike = found(maps, targets=[1, 1, 1])
    assert "explained: goldfish" in drawn(alike, of).caption
    assert subjects(alike, of, 3, 8, pictured=False)[0].about == "tench"
    assert "explained: class 1" in drawn(alike, replace(of, class_names={})).caption
    unknown = replace(of, class_names={}, labels=None)
    assert "explained" not in drawn(alike, unknown).caption
    assert "explained" not in drawn(found(maps, targets=[1]), of).caption


@pytest.mark.parametrize("name", ["cost $x_1$ \\frac{", "層/出力", "\udc80", "a" * 300, "a\nb", ""])
def test_names_are_drawn_as_they_are(name: str) -> None:
    of = context(names=(name,) * 2, labels=np.array([0, 1]), class_names={0: name})
    for positions in ((5, 5), (9,)):
        drawn(found({name: RNG.normal(size=(2, *positions))}, targets=[0, 0]), of)


def test_equal_maps_are_equal_files() -> None:
    result = found({"a": RNG.normal(size=(3, 5, 5)), "b": RNG.normal(size=(3, 9))})
    assert drawn(result, context(3, GREY)).png == drawn(result, context(3, GREY)).png


def test_the_largest_box_of_a_ratio_lies_in_the_middle() -> None:
    assert Box(1, 2, 4, 2).inside(1.0) == Box(2, 2, 2, 2)
    assert Box(1, 2, 2, 4).inside(0.5) == Box(1, 3.5, 2, 1)
