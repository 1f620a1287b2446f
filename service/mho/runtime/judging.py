"""The value function of a game, from options, and what is known of the inputs that it judges."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from mho.errors import InvalidOption
from mho.method import GameMethod, Method
from mho.runtime.problem import Problem, checked_labels, judged_by
from mho.types import BoolArray, Float32Array, FloatArray, IntArray
from mho.value import Needs, Samples, Value, chosen

_ABOUT_VALUES = ("target", "classes", "rank", "subgroups", "score")
"""Options that mean something to some values only."""


def value_of(method: GameMethod[Any], problem: Problem) -> tuple[Value, Samples, tuple[str, ...]]:
    """The value that ``method`` names, the samples as it sees them, and notes.

    InvalidOption where something that the value needs is not there, or where an option does not fit
    the value, the model's output or the data.
    """
    value = chosen(method)
    if value.on_scores and method.score == "probability":
        raise InvalidOption(
            f"value '{value.name}' takes scores before softmax; leave --score at 'logit'",
            subject="score",
        )
    if not value.linear and method.minibatch and "minibatch" in method.uses:
        raise InvalidOption(
            f"value '{value.name}' is no sum over the inputs, so that a part of them gives "
            "another value on average; leave --minibatch at 0",
            subject="minibatch",
        )
    _check_there(value, problem)
    scores = problem.scores()
    value.check(scores.shape[1])
    known = Samples(
        _judged(value, method, problem, scores),
        _subgroups(value, problem),
        _truth(problem, scores.shape[1]) if Needs.TRUTH in value.needs else None,
    )
    notes = (*_unused(value, method), *value.remarks(scores, known))
    return value, known, notes


def score_of(method: Method[Any, Any]) -> str:
    """Which scores the model has to yield, as ``scored`` takes it: those that the options ask for,
    unless the value takes the output as it is."""
    if isinstance(method, GameMethod) and chosen(method).on_output:
        return "output"
    return method.score


def _check_there(value: Value, problem: Problem) -> None:
    """InvalidOption where the data do not carry what the value needs."""
    if Needs.LABELS in value.needs and problem.data.labels is None:
        raise InvalidOption(
            f"value '{value.name}' needs a label for every input; pass --labels, or take "
            "--value logit",
            subject="labels",
        )
    if Needs.TRUTH in value.needs and problem.data.truth is None:
        raise InvalidOption(
            f"value '{value.name}' needs the targets of every input; pass --labels with a .npy of "
            "floats of shape (inputs, outputs), or 'targets' in the .npz of the inputs",
            subject="targets",
        )


def _judged(
    value: Value, method: GameMethod[Any], problem: Problem, scores: Float32Array
) -> IntArray:
    """``(inputs,)``: the label of each input, or the class that the options name."""
    if Needs.LABELS not in value.needs:
        target = method.target if "target" in value.takes else "argmax"
        return judged_by(problem, target, scores)
    assert problem.data.labels is not None  # that they are there was checked
    return checked_labels(problem.data.labels, scores.shape[1])


def _truth(problem: Problem, outputs: int) -> FloatArray | None:
    """``(inputs, outputs)``. InvalidOption where the targets are not as wide as the output."""
    truth = problem.data.truth
    if truth is not None and truth.shape[1] != outputs:
        raise InvalidOption(
            f"the targets have {truth.shape[1]} numbers for each input, but the output has "
            f"{outputs}; give targets of shape {(len(truth), outputs)}, or choose another "
            "--output",
            subject="targets",
        )
    return truth


def _subgroups(value: Value, problem: Problem) -> dict[str, BoolArray]:
    """Those that the value looks at. InvalidOption for one that the data do not have."""
    if Needs.SUBGROUPS not in value.needs:
        return {}
    there = problem.data.groups
    for name in value.asked.subgroups:
        if name not in there:
            listed = ", ".join(sorted(there))
            raise InvalidOption(
                f"the data have no subgroup '{name}'; "
                + (f"they have {listed}" if listed else "they have none at all")
                + ": name one of these, or put boolean arrays 'groups/<name>' into the .npz of the "
                "inputs",
                subject="subgroups",
            )
    return {name: there[name] for name in value.asked.subgroups}


def _unused(value: Value, method: GameMethod[Any]) -> tuple[str, ...]:
    """A sentence for every option that was set and does not change V."""
    defaults = {entry.name: entry.default for entry in fields(method)}
    judges_by_labels = Needs.LABELS in value.needs
    notes = []
    for name in _ABOUT_VALUES:
        if name not in method.uses or getattr(method, name) == defaults[name]:
            continue
        if name == "target" and judges_by_labels:
            if method.target != "label":
                notes.append(
                    f"option 'target' was set, but value '{value.name}' judges by the labels"
                )
        elif name == "target" and name in value.takes and value.asked.classes:
            notes.append(f"option 'target' was set, but value '{value.name}' looks at --classes")
        elif name not in value.takes:
            notes.append(
                f"option '{name}' was set, but has no meaning for value '{value.name}' and was not "
                "used"
            )
    return tuple(notes)
