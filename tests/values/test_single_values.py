"""What is particular to one value function, and the options that name one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from mho.errors import InvalidOption
from mho.value import Asked, Samples, chosen
from values.slow import GROUPS, KNOWN, LABELS, SCORES, TRUTH, VALUES, stand_in, worth


def test_rank_one_is_accuracy_and_rank_must_leave_something_out() -> None:
    top = VALUES["top_k_accuracy"](Asked(rank=1))
    np.testing.assert_array_equal(
        top.per_sample(SCORES, KNOWN), VALUES["accuracy"]().per_sample(SCORES, KNOWN)
    )
    with pytest.raises(InvalidOption, match=r"5 highest of 4 scores hold every label.*1 to 3"):
        VALUES["top_k_accuracy"]().check(4)


def test_precision_of_a_class_that_is_never_answered_is_0() -> None:
    value = VALUES["precision"](Asked(classes=(3,)))
    never = np.tile(np.float32([1, 0, 0, 0]), (1, 6, 1))
    assert worth(value, never) == [0.0]
    assert value.remarks(never[0], KNOWN) == (
        "the unchanged model answers none of 6 inputs with class 3, so that its precision counts "
        "as 0",
    )
    assert value.remarks(SCORES, KNOWN) == ()


def test_what_stands_in_for_precision_is_its_derivative_at_equal_probabilities() -> None:
    """The ratio of Σ p(label) over inputs of the class to Σ p(class) over all inputs."""
    value = VALUES["precision"](Asked(classes=(1,)))
    inside = LABELS == 1

    def ratio(z: np.ndarray) -> float:
        p = np.exp(z[:, 1]) / np.exp(z).sum(axis=1)
        return float(p[inside].sum() / p.sum())

    def linear(z: np.ndarray) -> float:
        return float((value.weights(KNOWN) * stand_in(value, z)).sum())

    steps = np.random.default_rng(4).normal(size=(5, 6, 4)) * 1e-4
    by_ratio = np.array([ratio(step) - ratio(-step) for step in steps])
    by_sum = np.array([linear(step) - linear(-step) for step in steps])
    share = inside.mean()
    np.testing.assert_allclose(by_ratio, by_sum * share * (1 - share) / 0.25, rtol=1e-3)


def test_precision_where_all_inputs_are_of_its_classes() -> None:
    value = VALUES["precision"](Asked(classes=(0, 1, 3)))
    np.testing.assert_allclose(value.weights(KNOWN), np.full(6, 1 / 6))


def test_a_gap_says_which_side_is_ahead() -> None:
    ahead = VALUES["gap"](Asked(subgroups=("late", "others")))
    (remark,) = ahead.remarks(SCORES, KNOWN)
    assert "better by 0.667 on inputs in subgroup 'late' than on those in subgroup 'oth" in remark
    assert VALUES["gap"](Asked(subgroups=("others", "late"))).remarks(SCORES, KNOWN) == ()
    (remark,) = VALUES["gap"](Asked(subgroups=("late",))).remarks(SCORES, KNOWN)
    assert "than on those outside subgroup 'late'" in remark
    np.testing.assert_allclose(ahead.weights(KNOWN).sum(), 0, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("recall", Asked(classes=(2,)), "no input is labelled class 2, so that V has nothing"),
        ("precision", Asked(classes=(2,)), "no input is labelled class 2"),
        ("cross_entropy", Asked(classes=(2,)), "no input is labelled class 2"),
        ("attack_success", Asked(classes=(0, 1, 3)), "labelled other than classes 0, 1, 3"),
        ("subgroup_accuracy", Asked(subgroups=("none",)), "no input is in subgroup 'none'"),
        ("gap", Asked(subgroups=("few", "none")), "no input is in subgroup 'none'"),
        ("gap", Asked(subgroups=("all",)), "no input is outside subgroup 'all'"),
        ("gap", Asked(subgroups=("all", "again")), "in subgroup 'all' and those in .* are the sam"),
    ],
)
def test_nothing_to_be_taken_over(name: str, asked: Asked, message: str) -> None:
    known = Samples(
        LABELS,
        {**GROUPS, "none": np.zeros(6, bool), "all": np.ones(6, bool), "again": np.ones(6, bool)},
    )
    with pytest.raises(InvalidOption, match=message):
        VALUES[name](asked).weights(known)


def test_a_margin_needs_others() -> None:
    with pytest.raises(InvalidOption, match="name all 2 classes of the output"):
        VALUES["margin"](Asked(classes=(1, 0))).check(2)


def test_large_scores_do_not_overflow() -> None:
    huge = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype=np.float32)
    known = Samples(np.array([1, 1]))
    found = VALUES["cross_entropy"]().per_sample(huge, known)
    np.testing.assert_allclose(found, [-2e4, 0])
    np.testing.assert_allclose(VALUES["probability"]().per_sample(huge, known), [0, 1])


def test_the_probability_of_a_single_output_is_logistic() -> None:
    scores = np.array([[-1e4], [-1.0], [0.0], [2.0]], dtype=np.float32)
    known = Samples(np.zeros(4, np.int64))
    expected = [0, 1 / (1 + math.exp(1)), 0.5, 1 / (1 + math.exp(-2))]
    value = VALUES["probability"]()
    value.check(1)
    np.testing.assert_allclose(value.per_sample(scores, known), expected)
    np.testing.assert_array_equal(VALUES["logit"]().per_sample(scores, known), scores[:, 0])


@dataclass(frozen=True)
class Written:
    value: str = "recall"
    classes: tuple[str, ...] = ("3", "03", "1")
    rank: int = 2
    subgroups: tuple[str, ...] = ("a", "b", "a")
    score: str = "probability"


def test_options_as_they_are_written() -> None:
    assert chosen(Written()).asked == Asked((3, 1), 2, ("a", "b"), probabilities=True)
    for wrong in ("dog", "-1", "1.5", "", "9" * 11, "٣"):
        with pytest.raises(InvalidOption, match="is no class index") as caught:
            chosen(Written(classes=("1", wrong)))
        assert caught.value.subject == "classes"
    with pytest.raises(InvalidOption, match="value 'beauty' does not exist"):
        chosen(Written(value="beauty"))
    with pytest.raises(InvalidOption, match="names 3; name two, or one"):
        chosen(Written(value="gap", subgroups=("a", "b", "c")))


def test_samples_may_be_taken_several_times() -> None:
    taken = KNOWN.take(np.array([2, 2, 0]))
    assert len(taken) == 3
    np.testing.assert_array_equal(taken.judged, [1, 1, 0])
    np.testing.assert_array_equal(taken.subgroups["few"], [False, False, True])
    assert taken.truth is not None
    np.testing.assert_array_equal(taken.truth[0], TRUTH[2])
    assert Samples(LABELS).take(np.array([1])).truth is None
