"""What all evaluators share: a model that yields scores, the data, and the class each input is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mho.config import Settings
from mho.data.dataset import Dataset
from mho.errors import InvalidOption
from mho.evaluation import Layer
from mho.graph.model import Model
from mho.graph.target import SCORES
from mho.runtime.batches import Batches
from mho.runtime.session import Session, Sessions
from mho.types import Array, Feeds, Float32Array, IntArray


@dataclass(frozen=True)
class Problem:
    """model: has the one output ``mho/scores``. single: it takes one input at a time."""

    model: Model
    single: bool
    data: Dataset
    layers: tuple[Layer, ...]
    sessions: Sessions
    settings: Settings

    def batches(self, model: Model) -> tuple[Session, Batches]:
        """A session for ``model``, a rewrite of the problem's own, and what runs rows through it."""
        session = self.sessions.get(model)
        provider = self.sessions.provider.name
        return session, Batches(session, model, self.settings, provider, single=self.single)

    def outputs(self, model: Model, inputs: Feeds) -> dict[str, Array]:
        """All outputs of ``model`` for ``inputs`` (graph input -> ``(rows, ...)``), by name."""
        total = len(next(iter(inputs.values())))
        _, batches = self.batches(model)
        parts: dict[str, list[Array]] = {}
        for _, _, found in batches.run(total, lambda a, b: {k: v[a:b] for k, v in inputs.items()}):
            for name, value in found.items():
                parts.setdefault(name, []).append(value)
        return {name: np.concatenate(values) for name, values in parts.items()}

    def scores(self) -> Float32Array:
        """``(inputs, classes)`` of the unchanged model."""
        return self.outputs(self.model, self.data.inputs)[SCORES]


def judged_by(problem: Problem, target: str) -> IntArray:
    """``(inputs,)``: the class index of each input for ``target``: an index, ``argmax`` or ``label``.

    InvalidOption where there are no labels, or an index is beyond the classes.
    """
    scores = problem.scores()
    if target == "argmax":
        return np.argmax(scores, axis=1).astype(np.int64)
    classes = scores.shape[1]
    if target == "label":
        labels = problem.data.labels
        if labels is None:
            raise InvalidOption(
                "target 'label' needs a label for every input; pass --labels", subject="target"
            )
        return checked_labels(labels, classes)
    try:
        index = int(target)
    except ValueError:
        raise InvalidOption(
            f"target is '{target}'; it must be a class index, argmax or label", subject="target"
        ) from None
    if not 0 <= index < classes:
        raise InvalidOption(
            f"target is {index}, but the output has the classes 0 to {classes - 1}", subject="target"
        )
    return np.full(len(problem.data), index, dtype=np.int64)


def checked_labels(labels: IntArray, classes: int) -> IntArray:
    """``labels`` as they are; InvalidOption where one is no class of the output."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        bad = int(labels.max() if labels.max() >= classes else labels.min())
        raise InvalidOption(
            f"the labels go up to {bad}, but the output has the classes 0 to {classes - 1}; give the "
            "class index of every input",
            subject="labels",
        )
    return labels


