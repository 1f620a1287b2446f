"""Adversarial inputs: every input moved, within a small box around it, until it is answered wrong.

One step along the sign of the gradient of the cross-entropy is FGSM (Goodfellow, Shlens & Szegedy
2015, section 4). PGD (Madry et al. 2018, section 2.1) begins at a point drawn from the box, takes
many smaller steps and comes back into the box after each. The gradient is that of our own graph
with respect to its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from mho.data.dataset import Dataset
from mho.data.preprocess import Preprocess
from mho.errors import InvalidOption, Unsupported
from mho.graph import path_input
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.flow import is_float
from mho.graph.input_slopes import input_slope_output, input_slopes
from mho.graph.model import Model
from mho.graph.worth import ARGUMENT, WANTED, valued
from mho.method import GameMethod
from mho.runtime.cost import Preparation
from mho.runtime.problem import Problem, checked_labels
from mho.sampling.draws import stream
from mho.types import JSON, Array, BoolArray, Float32Array, IntArray
from mho.value import Needs, Surrogate, Value

_ATTACK = 0x61747461636B
"""Tells the starts of an attack from other draws that the seed makes."""
_REACH = 2.5
"""All steps together reach so many times as far as the box, as Madry et al. have it."""
_BRIGHTEST = 255.0
_MOST_NAMED = 5


@dataclass(frozen=True)
class Attack:
    """kind: ``fgsm`` or ``pgd``. epsilon: half the side of the box: a share of the pixel range
    where the preprocess spec is known, else in the input's own units. steps: of pgd. goal: the
    class that inputs are to be taken for; None where any but the right one will do.
    probabilities: whether the model's scores are those after softmax.
    """

    kind: str
    epsilon: float
    steps: int
    seed: int
    goal: int | None
    probabilities: bool


@dataclass(frozen=True)
class Attacked:
    """data: the moved inputs, with the labels that they were moved away from. facts: for the
    report. notes: for the reader."""

    data: Dataset
    facts: Mapping[str, JSON]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Box:
    """Where an input may be moved to, in its own units: ``radius`` from where it is, and between
    ``low`` and ``high`` unless it lies beyond already. All broadcast to a batch of it."""

    radius: Float32Array
    low: Float32Array
    high: Float32Array


def attack_of(method: GameMethod[object], value: Value) -> Attack | None:
    """The attack that ``method`` asks for; where the value is the success of an attack on certain
    classes, it goes for the first of them.

    InvalidOption where the value compares numbers, not classes.
    """
    if method.attack == "none":
        return None
    if Needs.TRUTH in value.needs:
        raise InvalidOption(
            f"attack '{method.attack}' makes the model mistake one class for another, but value "
            f"'{value.name}' compares its outputs with targets; take --attack none, or another "
            "--value",
            subject="attack",
        )
    goals = value.asked.classes if value.name == "attack_success" else ()
    return Attack(
        method.attack,
        method.epsilon,
        method.attack_steps,
        method.seed,
        goals[0] if goals else None,
        probabilities=method.score == "probability",
    )


def attacked(problem: Problem, attack: Attack, say: Callable[[str], None]) -> Attacked:
    """The inputs of ``problem`` after ``attack``; ``say`` hears how many are done.

    Without labels the inputs are moved away from the model's own answers. InvalidOption where the
    model's inputs are no numbers, its scores have no gradient with respect to them, or there are no
    classes to be confused; TooExpensive where it is going to take longer than the settings allow.
    """
    before = problem.scores()
    if before.shape[1] < 2:
        raise InvalidOption(
            f"attack '{attack.kind}' makes the model mistake one class for another, but the output "
            "has one score for each input; take --attack none, or another --output",
            subject="attack",
        )
    labels, notes = _labels(problem, before)
    moving = _Moving(problem, attack, labels, before.shape[1])
    inputs = moving.all(say)
    frozen = {**problem.data.inputs, **inputs}
    for array in inputs.values():
        array.flags.writeable = False
    data = replace(problem.data, inputs=MappingProxyType(frozen), labels=labels, digest="")
    after = replace(problem, data=data).scores()
    was, now = (_fooled(scores, labels, attack.goal) for scores in (before, after))
    facts: dict[str, JSON] = {
        "attack": {
            "kind": attack.kind,
            "epsilon": attack.epsilon,
            "steps": 1 if attack.kind == "fgsm" else attack.steps,
            "goal": attack.goal,
            "away_from": "labels" if problem.data.labels is not None else "answers",
            "fooled_before": float(was.mean()),
            "fooled_after": float(now.mean()),
        }
    }
    return Attacked(data, facts, (*notes, *_said(problem.data, was, attack), *moving.notes()))


def _labels(problem: Problem, scores: Float32Array) -> tuple[IntArray, tuple[str, ...]]:
    if problem.data.labels is not None:
        return checked_labels(problem.data.labels, scores.shape[1]), ()
    note = "the inputs have no labels, so the attack moves them away from the model's own answers"
    return np.argmax(scores, axis=1).astype(np.int64), (note,)


def _fooled(scores: Float32Array, labels: IntArray, goal: int | None) -> BoolArray:
    """``(inputs,)``: answered with the goal, or with another class than the label's."""
    answers = np.argmax(scores, axis=1)
    return np.asarray(answers != labels if goal is None else answers == goal)


def _said(data: Dataset, fooled: BoolArray, attack: Attack) -> tuple[str, ...]:
    notes = []
    if fooled.any():
        named = [data.names[int(index)] for index in np.flatnonzero(fooled)[:_MOST_NAMED]]
        more = "" if fooled.sum() <= _MOST_NAMED else ", …"
        how = "wrong" if attack.goal is None else f"taken for class {attack.goal}"
        notes.append(
            f"{int(fooled.sum())} of {len(data)} inputs were {how} before the attack already: "
            f"{', '.join(named)}{more}"
        )
    return tuple(notes)


class _Moving:
    """Moves inputs batch by batch, each through all steps."""

    def __init__(self, problem: Problem, attack: Attack, labels: IntArray, classes: int) -> None:
        self._problem = problem
        self._attack = attack
        self._classes = classes
        self._labels = labels
        self._toward = attack.goal is not None
        self._judged = labels if attack.goal is None else np.full_like(labels, attack.goal)
        model = valued(problem.model, Surrogate.LOG_PROBABILITY, probabilities=attack.probabilities)
        self._names = _movable(model, problem.data.inputs, attack)
        self._batches = problem.batches(input_slopes(model, self._names))
        self._boxes = {
            name: _box(problem.data, problem.data.inputs[name], attack.epsilon)
            for name in self._names
        }
        self._lost = np.zeros(len(labels), dtype=bool)

    def all(self, say: Callable[[str], None]) -> dict[str, Array]:
        """Graph input -> ``(inputs, ...)``, moved."""
        data = self._problem.data
        made = {name: np.empty_like(data.inputs[name]) for name in self._names}
        done, total = 0, len(data)
        work = Preparation(
            f"attack {self._attack.kind}",
            say,
            self._problem.settings.cost_limit_seconds,
            remedy="give fewer inputs or --attack-steps",
            option="attack",
        )
        while done < total:
            work.reached(done, total, "inputs")
            rows = np.arange(done, min(total, done + self._batches.rows))
            for name, values in self._moved(rows).items():
                made[name][rows] = values
            done += len(rows)
        return made

    def notes(self) -> tuple[str, ...]:
        """What the user may not expect of the moved inputs."""
        notes = []
        own = [name for name, box in self._boxes.items() if not np.isfinite(box.high).all()]
        if own:
            notes.append(
                f"the attack's epsilon of {self._attack.epsilon:g} is in the own units of "
                f"{', '.join(own)} and no range of values is kept, for no preprocess spec is given"
            )
        if self._toward and (still := int((self._labels == self._judged).sum())):
            notes.append(
                f"{still} inputs are of class {self._attack.goal}, the attack's goal, and were "
                "left as they are"
            )
        if self._lost.any():
            notes.append(
                f"the gradient was not finite somewhere on the way of {int(self._lost.sum())} "
                "inputs, which stayed where they were in these steps"
            )
        return tuple(notes)

    def _moved(self, rows: IntArray) -> dict[str, Float32Array]:
        clean = {n: self._problem.data.inputs[n][rows].astype(np.float32) for n in self._names}
        at, count, share = clean, 1, 1.0
        if self._attack.kind == "pgd":
            count = self._attack.steps
            share = _REACH / count
            at = self._starts(rows, clean)
        # one that is of the goal's class already has nowhere to go
        free = (
            self._labels[rows] != self._judged[rows] if self._toward else np.ones(len(rows), bool)
        )
        for _ in range(count):
            at = self._stepped(rows, at, clean, share)
        return {
            name: np.where(_spread(free, values), values, clean[name])
            for name, values in at.items()
        }

    def _starts(self, rows: IntArray, clean: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """Points drawn from the box; each input has its own draw, whatever the batch."""
        found = {}
        draws = [stream(self._attack.seed, _ATTACK, int(row)) for row in rows]
        for name, values in clean.items():
            noise = np.stack([d.uniform(-1, 1, values.shape[1:]) for d in draws])
            found[name] = self._kept(name, values + self._boxes[name].radius * noise, values)
        return found

    def _stepped(
        self,
        rows: IntArray,
        at: Mapping[str, Float32Array],
        clean: Mapping[str, Float32Array],
        share: float,
    ) -> dict[str, Float32Array]:
        """``share`` of the box's radius further in every element."""
        slopes = self._slopes(rows, at)
        finite = np.ones(len(rows), dtype=bool)
        for slope in slopes.values():
            finite &= np.isfinite(slope.reshape(len(rows), -1)).all(axis=1)
        self._lost[rows] |= ~finite
        moved = {}
        for name, values in at.items():
            # the log-odds of the label are to fall, or those of the goal to rise; they have the
            # sign of the log-probability's slope, and do not fade where that is close to 0
            way = np.sign(slopes[name]) * (1.0 if self._toward else -1.0)
            step = np.where(_spread(finite, way), way, 0.0) * self._boxes[name].radius * share
            moved[name] = self._kept(name, values + step, clean[name])
        return moved

    def _slopes(self, rows: IntArray, at: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        data = self._problem.data
        wanted = (self._judged[rows][:, None] == np.arange(self._classes)).astype(np.float32)

        def feeds(a: int, b: int) -> dict[str, Array]:
            fed: dict[str, Array] = {n: array[rows[a:b]] for n, array in data.inputs.items()}
            fed |= {n: v[a:b].astype(data.inputs[n].dtype) for n, v in at.items()}
            fed[WANTED] = wanted[a:b]
            return fed

        parts: dict[str, list[Array]] = {name: [] for name in self._names}
        for _, _, found in self._batches.run(len(rows), feeds):
            for name, listed in parts.items():
                listed.append(found[input_slope_output(name)])
        return {name: np.concatenate(listed) for name, listed in parts.items()}

    def _kept(self, name: str, values: Array, clean: Float32Array) -> Float32Array:
        """``values`` brought back into the box and the range."""
        box = self._boxes[name]
        low = np.maximum(clean - box.radius, np.minimum(box.low, clean))
        high = np.minimum(clean + box.radius, np.maximum(box.high, clean))
        return np.clip(values, low, high).astype(np.float32)


def _movable(model: Model, inputs: Mapping[str, Array], attack: Attack) -> list[str]:
    """The graph inputs that hold real numbers on which the scores depend; InvalidOption where there
    is none, or no gradient with respect to one."""
    graph = model.graph
    fed = {value.name for value in graph.inputs}
    values = {name: tensor_named(graph, name) for name in inputs if name in fed}
    names = [name for name, value in values.items() if is_float(value) and _leads(model, name)]
    if not names:
        kinds = ", ".join(f"'{name}' ({array.dtype})" for name, array in inputs.items())
        raise InvalidOption(
            f"attack '{attack.kind}' moves real numbers by small steps, but the model takes "
            f"{kinds}, on which its score does not depend in such steps; take --attack none, and "
            "give adversarial inputs as they are",
            subject="attack",
        )
    blocked = obstacles(graph, tensor_named(graph, ARGUMENT))
    for name in names:
        if values[name] in blocked:
            raise InvalidOption(
                f"attack '{attack.kind}' needs the gradient of the score with respect to "
                f"'{name}': {blocked[values[name]].message()}; take --attack none, and give "
                "adversarial inputs as they are",
                subject="attack",
            )
    return names


def _leads(model: Model, name: str) -> bool:
    """Whether a differentiable way leads from the graph input to the scores."""
    try:
        path_input.named(model, name, ARGUMENT)
    except Unsupported:
        return False
    return True


def _box(data: Dataset, array: Array, epsilon: float) -> _Box:
    """A share of the pixel range through scale and std of each colour; the input's own units where
    it is no picture that mho knows the making of."""
    spec = data.preprocess
    axis = None if spec is None else _colours(spec, array)
    if spec is None or axis is None:
        nowhere = np.float32(np.inf)
        return _Box(np.full(1, epsilon, np.float32), np.array(-nowhere), np.array(nowhere))
    mean, std = np.asarray(spec.mean), np.asarray(spec.std)
    ends = np.stack([-mean / std, (_BRIGHTEST * spec.scale - mean) / std])
    shape = [-1 if place == axis else 1 for place in range(array.ndim)]
    radius = np.abs(_BRIGHTEST * epsilon * spec.scale / std)
    return _Box(*(_single(v, shape) for v in (radius, ends.min(axis=0), ends.max(axis=0))))


def _single(values: Array, shape: Sequence[int]) -> Float32Array:
    return values.astype(np.float32).reshape(shape)


def _colours(spec: Preprocess, array: Array) -> int | None:
    """The axis of the colours; None where ``array`` is no batch of such pictures."""
    axis = 1 if spec.layout == "NCHW" else 3
    return axis if array.ndim == 4 and array.shape[axis] == len(spec.mean) else None


def _spread(rows: BoolArray, like: Array) -> BoolArray:
    """``(rows,)`` as it broadcasts to ``like``."""
    return rows.reshape(-1, *[1] * (like.ndim - 1))
