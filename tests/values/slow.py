"""Every value function written slowly, from its definition, and the samples to try it on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mho.registry import entries
from mho.value import Asked, Samples, Surrogate, Value

VALUES = entries("mho.values", Value)

# Ties (rows 1 and 3), right and wrong answers, labels of three classes of four.
SCORES = np.array(
    [
        [2.0, 1.0, -1.0, 0.5],
        [0.5, 0.5, 3.0, 0.5],
        [1.0, 0.25, 0.0, -2.0],
        [1.0, 1.0, 0.0, 1.0],
        [-1.0, 2.0, 1.5, 0.0],
        [0.0, -1.0, 0.5, 4.0],
    ],
    dtype=np.float32,
)
LABELS = np.array([0, 3, 1, 1, 1, 3])
GROUPS = {
    "few": np.array([True, False, False, True, False, False]),
    "others": np.array([False, True, True, False, False, False]),
    "late": np.array([False, False, False, True, True, True]),
}
TRUTH = np.random.default_rng(0).normal(size=(6, 4))
KNOWN = Samples(LABELS, GROUPS, TRUTH)
ROWS = range(6)


def probabilities(row: int) -> list[float]:
    exps = [math.exp(float(s)) for s in SCORES[row]]
    return [e / sum(exps) for e in exps]


def answer(row: int) -> int:
    """The first of the highest."""
    best = 0
    for index in range(1, 4):
        if SCORES[row, index] > SCORES[row, best]:
            best = index
    return best


def ranked(row: int) -> list[int]:
    return sorted(range(4), key=lambda index: (-SCORES[row, index], index))


def mean(values: Iterator[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def right(row: int) -> float:
    return float(answer(row) == LABELS[row])


def accuracy_in(name: str, inside: bool = True) -> float:
    return mean(right(i) for i in ROWS if bool(GROUPS[name][i]) is inside)


def precision_of(classes: tuple[int, ...]) -> float:
    return mean(right(i) for i in ROWS if answer(i) in classes)


@dataclass(frozen=True)
class Row:
    """A value, what is asked of it, V of ``SCORES`` from its definition, and V in words."""

    name: str
    asked: Asked
    slow: Callable[[], float]
    words: str

    def value(self) -> Value:
        return VALUES[self.name](self.asked)


SLOW = [
    Row("accuracy", Asked(), lambda: mean(right(i) for i in ROWS), "accuracy"),
    Row(
        "top_k_accuracy",
        Asked(rank=2),
        lambda: mean(float(LABELS[i] in ranked(i)[:2]) for i in ROWS),
        "top-2 accuracy",
    ),
    Row(
        "recall",
        Asked(classes=(1,)),
        lambda: mean(right(i) for i in ROWS if LABELS[i] == 1),
        "recall of class 1",
    ),
    Row(
        "recall",
        Asked(classes=(0, 3)),
        lambda: mean(right(i) for i in ROWS if LABELS[i] in (0, 3)),
        "recall of classes 0, 3",
    ),
    Row("precision", Asked(classes=(0,)), lambda: precision_of((0,)), "precision of class 0"),
    Row(
        "precision",
        Asked(classes=(0, 1, 3)),
        lambda: precision_of((0, 1, 3)),
        "precision of classes 0, 1, 3",
    ),
    Row(
        "cross_entropy",
        Asked(),
        lambda: mean(math.log(probabilities(i)[LABELS[i]]) for i in ROWS),
        "cross_entropy",
    ),
    Row(
        "cross_entropy",
        Asked(classes=(1, 3)),
        lambda: mean(math.log(probabilities(i)[LABELS[i]]) for i in ROWS if LABELS[i] in (1, 3)),
        "cross_entropy of classes 1, 3",
    ),
    Row("logit", Asked(), lambda: mean(float(SCORES[i, LABELS[i]]) for i in ROWS), "logit"),
    Row(
        "logit",
        Asked(classes=(0, 2), probabilities=True),
        lambda: mean((float(SCORES[i, 0]) + float(SCORES[i, 2])) / 2 for i in ROWS),
        "logit of probabilities of classes 0, 2",
    ),
    Row(
        "probability",
        Asked(),
        lambda: mean(probabilities(i)[LABELS[i]] for i in ROWS),
        "probability",
    ),
    Row(
        "probability",
        Asked(classes=(0, 2)),
        lambda: mean(probabilities(i)[0] + probabilities(i)[2] for i in ROWS),
        "probability of classes 0, 2",
    ),
    Row(
        "probability",
        Asked(classes=(2,), probabilities=True),
        lambda: mean(float(SCORES[i, 2]) for i in ROWS),
        "probability of class 2",
    ),
    Row(
        "margin",
        Asked(),
        lambda: mean(
            float(SCORES[i, LABELS[i]])
            - max(float(SCORES[i, c]) for c in range(4) if c != LABELS[i])
            for i in ROWS
        ),
        "margin",
    ),
    Row(
        "margin",
        Asked(classes=(1, 2)),
        lambda: mean(float(max(SCORES[i, 1:3])) - float(max(SCORES[i, [0, 3]])) for i in ROWS),
        "margin of classes 1, 2",
    ),
    Row(
        "squared_error",
        Asked(),
        lambda: -mean((float(SCORES[i, o]) - TRUTH[i, o]) ** 2 for i in ROWS for o in range(4)),
        "squared_error",
    ),
    Row(
        "attack_success",
        Asked(),
        lambda: mean(float(answer(i) != LABELS[i]) for i in ROWS),
        "attack_success",
    ),
    Row(
        "attack_success",
        Asked(classes=(0, 2)),
        lambda: mean(float(answer(i) in (0, 2)) for i in ROWS if LABELS[i] not in (0, 2)),
        "attack_success towards classes 0, 2",
    ),
    Row(
        "subgroup_accuracy",
        Asked(subgroups=("few",)),
        lambda: accuracy_in("few"),
        "accuracy over subgroup 'few'",
    ),
    Row(
        "subgroup_accuracy",
        Asked(subgroups=("few", "late")),
        lambda: mean(right(i) for i in ROWS if GROUPS["few"][i] or GROUPS["late"][i]),
        "accuracy over subgroups 'few', 'late'",
    ),
    Row(
        "gap",
        Asked(subgroups=("others", "late")),
        lambda: accuracy_in("others") - accuracy_in("late"),
        "accuracy over subgroup 'others' minus that over subgroup 'late'",
    ),
    Row(
        "gap",
        Asked(subgroups=("few", "late")),  # one input is in both
        lambda: accuracy_in("few") - accuracy_in("late"),
        "accuracy over subgroup 'few' minus that over subgroup 'late'",
    ),
    Row(
        "gap",
        Asked(subgroups=("late",)),
        lambda: accuracy_in("late") - accuracy_in("late", inside=False),
        "accuracy over subgroup 'late' minus that over all others",
    ),
]
IDS = [f"{row.name}-{index}" for index, row in enumerate(SLOW)]


def worth(value: Value, scores: np.ndarray, index: np.ndarray | None = None) -> np.ndarray:
    """V of coalitions ``(coalitions, samples, classes)``, as an evaluator takes it, over the
    samples at ``index`` of those that matter."""
    weights = value.weights(KNOWN)
    matter = np.flatnonzero(weights)
    picked = matter if index is None else matter[index]
    raised = weights[picked] * len(matter) / len(picked)
    known = KNOWN.take(np.tile(picked, len(scores)))
    return value.worth(scores[:, picked], known, np.tile(raised, (len(scores), 1)))


def stand_in(value: Value, scores: np.ndarray) -> np.ndarray:
    """``(samples,)``: the formula of the surrogate, slowly, with its sign."""
    wanted = value.wanted(KNOWN, 4)
    found = []
    for row in range(6):
        z = scores[row].astype(np.float64)
        inside, outside = z[wanted[row]], z[~wanted[row]]
        p = z if value.asked.probabilities else np.exp(z) / np.exp(z).sum()
        found.append(
            {
                Surrogate.SCORE: lambda: inside.mean(),  # noqa: B023 - called at once
                Surrogate.LOG_PROBABILITY: lambda: np.log(p[wanted[row]].sum()),  # noqa: B023
                Surrogate.PROBABILITY: lambda: p[wanted[row]].sum(),  # noqa: B023
                Surrogate.MARGIN: lambda: inside.max() - outside.max(),  # noqa: B023
                Surrogate.SQUARED_ERROR: lambda: ((z - TRUTH[row]) ** 2).mean(),  # noqa: B023
            }[value.surrogate]()
        )
    return value.sign * np.array(found)
