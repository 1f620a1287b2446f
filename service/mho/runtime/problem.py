"""What all evaluators share: a model that yields scores, the data, and the class each input is
judged by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mho.config import Settings
from mho.data.dataset import Dataset
from mho.errors import InvalidData, InvalidOption, Unsupported
from mho.evaluation import Layer
from mho.graph.model import Model
from mho.graph.target import SCORES
from mho.runtime.batches import Batches, rows_for
from mho.runtime.session import Sessions
from mho.types import Array, Feeds, Float32Array, FloatArray, IntArray


@dataclass(frozen=True)
class Problem:
    """model: has the one output ``mho/scores``. single: it takes one input at a time."""

    model: Model
    single: bool
    data: Dataset
    layers: tuple[Layer, ...]
    sessions: Sessions
    settings: Settings

    def batches(self, model: Model, *, copies: int = 1) -> Batches:
        """What runs rows through ``model``, a rewrite of the problem's own.

        copies: how many rows inside the graph there are for each of those that are counted.
        """
        session = self.sessions.get(model)
        if self.single:
            return Batches(session, 1)
        rows = rows_for(model, self.settings, self.sessions.provider.name)
        return Batches(session, max(1, rows // copies))

    def outputs(self, model: Model, inputs: Feeds) -> dict[str, Array]:
        """All outputs of ``model`` for ``inputs`` (graph input -> ``(rows, ...)``), by name.

        Unsupported where an output has not one row for every input.
        """
        total = len(next(iter(inputs.values())))
        parts: dict[str, list[Array]] = {}
        batches = self.batches(model)
        for start, stop, found in batches.run(
            total, lambda a, b: {name: array[a:b] for name, array in inputs.items()}
        ):
            for name, value in found.items():
                if np.ndim(value) == 0 or len(value) != stop - start:
                    raise Unsupported(
                        f"tensor '{name}' has the shape {list(np.shape(value))} for "
                        f"{stop - start} inputs; its first dimension must be the batch",
                        subject=name,
                    )
                parts.setdefault(name, []).append(value)
        return {name: np.concatenate(values) for name, values in parts.items()}

    def scores(self) -> Float32Array:
        """``(inputs, classes)`` of the unchanged model; InvalidData where it gives NaN."""
        scores = self.outputs(self.model, self.data.inputs)[SCORES]
        undefined = np.isnan(scores).any(axis=1)
        if undefined.any():
            name = self.data.names[int(np.argmax(undefined))]
            raise InvalidData(
                f"the model's score is NaN for {int(undefined.sum())} of {len(scores)} inputs, the "
                f"first is '{name}'; leave them out, or check the preprocessing",
                subject="inputs",
            )
        return scores


@dataclass(frozen=True)
class Judged:
    """classes: ``(inputs,)``, the class by which each input is judged. scores: ``(inputs,)``, F,
    the score of that class at the input."""

    classes: IntArray
    scores: FloatArray


def judge(problem: Problem, target: str) -> Judged:
    """Each input's class for ``target`` and its score; errors as of ``judged_by``."""
    scores = problem.scores()
    classes = judged_by(problem, target, scores)
    return Judged(classes, scores[np.arange(len(classes)), classes].astype(np.float64))


def judged_by(problem: Problem, target: str, scores: Float32Array | None = None) -> IntArray:
    """``(inputs,)``: the class index of each input for ``target``: an index, ``argmax``, ``label``.

    scores: those of ``problem``, where they were evaluated already. InvalidOption where there are
    no labels, or an index is beyond the classes.
    """
    if target == "label" and problem.data.labels is None:
        raise InvalidOption(
            "target 'label' needs a label for every input; pass --labels", subject="target"
        )
    if scores is None:
        scores = problem.scores()
    if target == "argmax":
        return np.asarray(np.argmax(scores, axis=1), dtype=np.int64)
    classes = scores.shape[1]
    if target == "label":
        assert problem.data.labels is not None
        return checked_labels(problem.data.labels, classes)
    try:
        index = int(target)
    except ValueError:
        raise InvalidOption(
            f"target is '{target}'; it must be a class index, argmax or label", subject="target"
        ) from None
    if not 0 <= index < classes:
        raise InvalidOption(
            f"target is {index}, but the output has the classes 0 to {classes - 1}",
            subject="target",
        )
    return np.full(len(problem.data), index, dtype=np.int64)


def checked_labels(labels: IntArray, classes: int) -> IntArray:
    """``labels`` as int64; InvalidOption where one is no class of the output."""
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        bad = int(np.argmax(wrong))
        raise InvalidOption(
            f"the label of input {bad} is {int(labels[bad])}, but the output has the classes 0 to "
            f"{classes - 1}; give the class index of every input",
            subject="labels",
        )
    return labels.astype(np.int64)
