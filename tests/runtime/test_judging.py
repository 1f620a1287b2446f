"""The value of a game from options: what it needs, what fits it, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from graph.nets import net, normal
from mho.data.dataset import Dataset
from mho.errors import InvalidOption
from mho.graph.model import Model
from mho.graph.target import scored
from mho.methods.ablation import Ablation
from mho.methods.activation import Activation
from mho.runtime.judging import score_of, value_of
from mho.runtime.problem import Problem
from mho.value import Asked
from runtime.bound import data, problem

X, W = normal(1, 6, 3), normal(2, 3, 4)
SCORES = X @ W
LABELS = [0, 1, 2, 3, 0, 1]
GROUPS = {"a": np.array([1, 1, 0, 0, 0, 0], bool), "b": np.array([0, 0, 1, 1, 1, 1], bool)}


@dataclass(frozen=True, kw_only=True)
class Drawing(Ablation):
    """A method that draws minibatches."""

    uses: ClassVar[frozenset[str]] = Ablation.uses | {"minibatch"}


def model(closing: str = "Identity") -> Model:
    return net(f"z = Gemm(x, w)  y = {closing}(z)", "(float[N,3] x) => (float[N,4] y)", w=W)


def known(**more: Any) -> Dataset:
    return replace(data(X, LABELS), groups=GROUPS, **more)


def judged(method: Any = Ablation, given: Dataset | None = None, **options: Any):  # type: ignore[no-untyped-def]
    made = problem(model(), known() if given is None else given)
    return value_of(method(**options), made)


def test_labels_or_the_target() -> None:
    for options, expected in (
        ({"value": "accuracy"}, LABELS),
        ({"value": "logit", "target": "label"}, LABELS),
        ({"value": "logit", "target": "2"}, [2] * 6),
        ({"value": "margin"}, SCORES.argmax(axis=1)),
    ):
        value, samples, notes = judged(**options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(samples.judged, expected)
        assert value.name == options["value"]
        assert notes == ()


def test_what_is_asked_reaches_the_value() -> None:
    value, samples, notes = judged(value="recall", classes=("3", "1"))
    assert (value.asked, notes) == (Asked(classes=(3, 1)), ())
    assert (samples.subgroups, samples.truth) == ({}, None)
    value, samples, _ = judged(value="gap", subgroups=("a", "b"))
    assert value.words == "accuracy over subgroup 'a' minus that over subgroup 'b'"
    assert list(samples.subgroups) == ["a", "b"]
    truth = normal(3, 6, 4).astype(np.float64)
    _, samples, _ = judged(given=known(truth=truth), value="squared_error")
    np.testing.assert_array_equal(samples.truth, truth)
    assert judged(value="logit", score="probability")[0].asked.probabilities


@pytest.mark.parametrize(
    ("options", "given", "subject", "message"),
    [
        ({"value": "accuracy"}, data(X), "labels", "'accuracy' needs a label for every input"),
        ({"value": "recall"}, known(), "classes", "name them by index with --classes"),
        ({"value": "gap"}, known(), "subgroups", "name them with --subgroups"),
        (
            {"value": "gap", "subgroups": ("a", "x")},
            known(),
            "subgroups",
            "no subgroup 'x'; they have a, b: name",
        ),
        (
            {"value": "subgroup_accuracy", "subgroups": ("x",)},
            data(X, LABELS),
            "subgroups",
            "no subgroup 'x'; they have none at all: .*'groups/<name>'",
        ),
        ({"value": "squared_error"}, known(), "targets", "needs the targets of every input; .*npy"),
        (
            {"value": "squared_error"},
            known(truth=np.zeros((6, 2))),
            "targets",
            r"have 2 numbers for each input, but the output has 4; .* shape \(6, 4\)",
        ),
        ({"value": "logit", "target": "label"}, data(X), "target", "'label' needs a label"),
        ({"value": "logit", "target": "4"}, known(), "target", "target is 4, but"),
        ({"value": "logit", "classes": ("4",)}, known(), "classes", "class 4 of --classes"),
        ({"value": "top_k_accuracy"}, known(), "rank", "5 highest of 4 scores"),
        ({"value": "accuracy"}, data(X, [0, 1, 2, 3, 4, 0]), "labels", "label of input 4 is 4"),
        (
            {"value": "cross_entropy", "score": "probability"},
            known(),
            "score",
            "takes scores before softmax; leave --score at 'logit'",
        ),
    ],
)
def test_what_does_not_fit(
    options: dict[str, Any], given: Dataset, subject: str, message: str
) -> None:
    with pytest.raises(InvalidOption, match=message) as caught:
        judged(given=given, **options)
    assert caught.value.subject == subject


def test_single_outputs_have_no_classes() -> None:
    single = net("y = Gemm(x, w)", "(float[N,3] x) => (float[N,1] y)", w=normal(1, 3, 1))
    made = problem(single, known())
    for name in ("accuracy", "margin"):
        with pytest.raises(InvalidOption, match=f"'{name}' compares classes, but the output"):
            value_of(Ablation(value=name), made)
    for name in ("logit", "probability"):
        _, samples, _ = value_of(Ablation(value=name), made)
        assert not samples.judged.any()


def test_a_ratio_takes_no_minibatches() -> None:
    options = {"value": "precision", "classes": ("0",), "minibatch": 3}
    with pytest.raises(InvalidOption, match="'precision' is no sum over the inputs") as caught:
        judged(Drawing, **options)
    assert caught.value.subject == "minibatch"
    assert judged(Ablation, **options)[0].name == "precision"  # ablation draws none
    assert judged(Drawing, **{**options, "value": "recall"})[0].linear


@pytest.mark.parametrize(
    ("options", "notes"),
    [
        (
            {"value": "accuracy", "classes": ("3",), "rank": 3, "subgroups": ("q",)},
            [("classes", "accuracy"), ("rank", "accuracy"), ("subgroups", "accuracy")],
        ),
        ({"value": "accuracy", "score": "probability"}, [("score", "accuracy")]),
        ({"value": "recall", "classes": ("0",), "target": "label"}, []),
        ({"value": "logit", "score": "probability", "rank": 2}, [("rank", "logit")]),
        (
            {"value": "top_k_accuracy", "rank": 3, "classes": ("9",)},
            [("classes", "top_k_accuracy")],
        ),
    ],
)
def test_options_without_a_meaning_get_a_note(
    options: dict[str, Any], notes: list[tuple[str, str]]
) -> None:
    expected = tuple(
        f"option '{option}' was set, but has no meaning for value '{value}' and was not used"
        for option, value in notes
    )
    assert judged(**options)[2] == expected


def test_a_target_beside_labels_or_classes_gets_a_note() -> None:
    assert judged(value="accuracy", target="2")[2] == (
        "option 'target' was set, but value 'accuracy' judges by the labels",
    )
    assert judged(value="logit", target="2", classes=("1",))[2] == (
        "option 'target' was set, but value 'logit' looks at --classes",
    )
    _, _, notes = judged(given=known(truth=np.zeros((6, 4))), value="squared_error", target="2")
    assert notes == (
        "option 'target' was set, but has no meaning for value 'squared_error' and was not used",
    )


def test_remarks_of_a_value_are_notes() -> None:
    right = SCORES.argmax(axis=1)
    wrong = np.where(GROUPS["a"], right, (right + 1) % 4)
    _, _, notes = judged(given=replace(known(), labels=wrong), value="gap", subgroups=("a",))
    assert len(notes) == 1
    assert "better by 1 on inputs in subgroup 'a'" in notes[0]


@pytest.mark.parametrize("closing", ["Identity", "Softmax", "Sigmoid"])
def test_a_regressor_is_compared_as_it_answers(closing: str) -> None:
    method = Ablation(value="squared_error")
    assert score_of(method) == "output"
    made = problem(model(closing), known(truth=np.zeros((6, 4))))
    made = Problem(**{**vars(made), "model": scored(model(closing), score=score_of(method))})
    value, samples, _ = value_of(method, made)
    answers = {
        "Identity": SCORES,
        "Softmax": np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True),
        "Sigmoid": 1 / (1 + np.exp(-SCORES)),
    }[closing]
    found = value.per_sample(made.scores(), samples)
    np.testing.assert_allclose(found, -(answers**2).mean(axis=1), rtol=1e-5)


def test_other_values_take_the_scores_that_are_asked_for() -> None:
    assert score_of(Ablation()) == "logit"
    assert score_of(Ablation(value="logit", score="probability")) == "probability"
    assert score_of(Activation()) == "logit"
