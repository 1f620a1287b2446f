"""result.json: its keys are a contract."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mho.artifacts import ranking
from mho.artifacts.context import Context
from mho.artifacts.summary import plain, summary, text
from mho.evaluation import Layer
from mho.results import Completeness, Result

CONV = Layer("fire9/concat", "Concat", 3, ("N", 3, 2, 2), 1)
TOKENS = Layer("mlp/act", "MatMul", 4, ("N", 5, 4), 2)

CONTEXT = Context(
    method="conductance",
    options={"layers": ["fire9/*"], "tolerance": 0.01},
    seed=7,
    engine="finite_difference",
    why="there is no gradient engine yet",
    model_digest="a" * 64,
    data_digest="b" * 64,
    layers={CONV.name: CONV, TOKENS.name: TOKENS},
    names=("x.png", "y.png"),
    seconds=1.5,
    provider="CPUExecutionProvider",
    versions={"mho": "0.1"},
)


def test_the_keys_are_those_that_were_promised() -> None:
    found = summary(Result(estimand="what"), CONTEXT)
    assert list(found) == [
        *("format", "method", "options", "attachments", "estimand", "model", "data", "seed"),
        *(
            "engine",
            "why",
            "provider",
            "versions",
            "seconds",
            "evaluations",
            "completeness",
            "std_error",
        ),
        *("interval_factor", "layers", "top_units", "curves", "maps", "report", "notes"),
        *("pictures", "files"),
    ]
    assert found["format"] == "mho-result/1"
    assert found["model"] == {"name": "", "digest": "a" * 64}
    assert found["data"] == {"name": "", "digest": "b" * 64, "inputs": 2}
    assert found["seed"] == 7
    assert found["engine"] == "finite_difference"
    assert found["layers"][1] == {
        "name": "mlp/act",
        "op_type": "MatMul",
        "units": 4,
        "shape": ["N", 5, 4],
        "axis": 2,
    }


def test_a_method_without_derivatives_has_no_engine() -> None:
    found = summary(Result(estimand="what"), replace(CONTEXT, engine="", why=""))
    assert found["engine"] is None
    assert found["why"] is None


def test_scores_of_a_data_set_are_ranked_by_magnitude_with_errors() -> None:
    result = Result(
        estimand="what",
        scores={CONV.name: np.array([0.1, -0.5, 0.3])},
        std_error={CONV.name: np.array([0.01, 0.02, 0.04])},
    )
    found = summary(result, CONTEXT)
    assert found["top_units"] == {
        CONV.name: [
            {"unit": 1, "score": -0.5, "std_error": 0.02},
            {"unit": 2, "score": 0.3, "std_error": 0.04},
            {"unit": 0, "score": 0.1, "std_error": 0.01},
        ]
    }
    assert found["std_error"] == {CONV.name: {"median": 0.02, "max": 0.04}}


def test_scores_per_input_are_ranked_by_the_mean_of_their_magnitude() -> None:
    scores = np.array([[1.0, 4.0, 0.0], [1.0, -2.0, 0.5]])
    top = summary(Result(estimand="what", scores={CONV.name: scores}), CONTEXT)["top_units"]
    assert top[CONV.name] == [
        {"unit": 1, "score": 1.0, "magnitude": 3.0},
        {"unit": 0, "score": 1.0, "magnitude": 1.0},
        {"unit": 2, "score": 0.25, "magnitude": 0.25},
    ]


def test_neurons_are_named_by_unit_and_position_wherever_the_unit_axis_is() -> None:
    conv, tokens = np.zeros((2, 3, 2, 2)), np.zeros((2, 5, 4))
    conv[:, 2, 0, 1] = 1
    tokens[:, 3, 1] = -2
    result = Result(estimand="what", scores={TOKENS.name: tokens, CONV.name: conv})
    top = summary(result, CONTEXT)["top_units"]
    assert list(top) == [CONV.name, TOKENS.name]  # the order of the graph
    assert top[CONV.name][0] == {"unit": 2, "score": 1, "position": [0, 1], "magnitude": 1}
    assert top[TOKENS.name][0] == {"unit": 1, "score": -2, "position": [3], "magnitude": 2}
    assert len(top[CONV.name]) == 10


def test_units_resolved_to_the_input_are_summed_over_it_and_keep_their_numbers() -> None:
    scores = np.zeros((2, 3, 3, 4, 5))  # inputs, chosen units, the shape of the input
    scores[:, 1, 0, 2, 3] = 2.0, -4.0
    scores[:, 2, :, 0, 0] = 0.5
    rows = [{"unit": unit, "conductance": 0.0, "resolved": 0.0} for unit in (7, 200, 12)]
    result = Result(
        estimand="what",
        scores={CONV.name: scores},
        maps={CONV.name: scores.sum(axis=2)},
        report={"resolved": {CONV.name: rows}},
    )
    found = summary(result, CONTEXT)
    assert found["top_units"][CONV.name] == [
        {"unit": 200, "score": -1.0, "magnitude": 3.0},
        {"unit": 12, "score": 1.5, "magnitude": 1.5},
        {"unit": 7, "score": 0.0, "magnitude": 0.0},
    ]
    assert found["maps"] == [CONV.name]
    assert found["report"]["resolved"] == {CONV.name: rows}


@pytest.mark.parametrize(
    ("shape", "axis", "place", "named"),
    [
        ((13,), 1, (4,), {"unit": 4}),
        ((3, 6, 8), 1, (2, 5, 7), {"unit": 2, "position": [5, 7]}),
        ((6, 8, 3), 3, (5, 7, 2), {"unit": 2, "position": [5, 7]}),
        ((9, 50), 2, (8, 31), {"unit": 31, "position": [8]}),
        ((16, 9), 1, (11, 8), {"unit": 11, "position": [8]}),
    ],
    ids=["table", "image", "image, colours last", "embedding", "time"],
)
def test_elements_of_the_path_input_are_named_by_unit_and_position(
    shape: tuple[int, ...], axis: int, place: tuple[int, ...], named: dict[str, object]
) -> None:
    layer = Layer("data", "Input", shape[axis - 1], ("N", *shape), axis)
    scores = np.zeros((2, *shape))
    scores[(slice(None), *place)] = -1.0
    context = replace(CONTEXT, layers={"data": layer})
    top = summary(Result("what", {"data": scores}), context)["top_units"]["data"]
    assert top[0] == {**named, "score": -1.0, "magnitude": 1.0}


def test_a_large_result_has_a_small_summary() -> None:
    layer = Layer("data", "Input", 3, ("N", 3, 227, 227), 1)
    scores = np.random.default_rng(0).normal(size=(8, 3, 227, 227))
    result = Result("what", {"data": scores}, {"data": scores.sum(axis=1)})
    assert len(text(summary(result, replace(CONTEXT, layers={"data": layer})))) < 5000


def test_means_do_not_depend_on_how_many_inputs_are_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = np.random.default_rng(0).normal(size=(7, 3))
    monkeypatch.setattr(ranking, "_AT_ONCE", 6)
    (entry,) = ranking.by_layer(Result("what", {CONV.name: scores}), CONTEXT)
    np.testing.assert_allclose(entry.mean, scores.mean(axis=0))
    np.testing.assert_allclose(entry.magnitude, np.abs(scores).mean(axis=0))


def test_groups_have_their_names() -> None:
    result = Result(
        estimand="what",
        scores={"groups": np.array([0.0, 3.0])},
        report={"groups": ["head 0", "head 1"]},
    )
    top = summary(result, CONTEXT)["top_units"]["groups"]
    assert top[0] == {"unit": 1, "score": 3.0, "name": "head 1"}


def test_completeness_keeps_every_input() -> None:
    entry = Completeness(
        layers=(CONV.name,),
        difference=np.array([4.0, 5.0]),
        total=np.array([4.1, 5.0]),
        gap=np.array([0.025, np.nan]),
        floor=np.array([0.1, 0.2]),
    )
    found = summary(Result(estimand="what", completeness=[entry]), CONTEXT)["completeness"]
    assert found == [
        {
            "layers": [CONV.name],
            "gap": {"median": 0.025, "max": 0.025, "per_input": [0.025, None]},
            "difference": [4.0, 5.0],
            "total": [4.1, 5.0],
            "floor": [0.1, 0.2],
        }
    ]


def test_the_json_is_strict() -> None:
    result = Result(
        estimand="what",
        scores={CONV.name: np.array([np.nan, np.inf, 1.0])},
        report={"value": float("nan"), "list": [float("inf"), {"x": -float("inf")}]},
    )
    found = summary(result, CONTEXT)
    written = text(found)
    assert json.loads(written, parse_constant=lambda name: 1 / 0) == found
    assert found["report"] == {"value": None, "list": [None, {"x": None}]}
    assert [row["score"] for row in found["top_units"][CONV.name]] == [None, 1.0, None]


def test_plain_turns_what_numpy_has_into_what_json_has() -> None:
    value = {1: np.float32(0.5), "a": np.arange(3), "b": (np.bool_(True), np.int64(3)), "c": b"x"}
    assert plain(value) == {"1": 0.5, "a": [0, 1, 2], "b": [True, 3], "c": "b'x'"}


def test_what_is_flat_stays_on_one_line() -> None:
    value = {"a": [1, 2], "b": {"c": {"d": 1}}, "e": [], "f": [{"g": "ü"}]}
    assert text(value) == (
        '{\n  "a": [1, 2],\n  "b": {\n    "c": {"d": 1}\n  },\n  "e": [],\n'
        '  "f": [\n    {"g": "ü"}\n  ]\n}\n'
    )
