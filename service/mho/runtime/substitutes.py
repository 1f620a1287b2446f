"""What removed units become: means over a reference, zero, given values, or another input's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mho.data import attachments
from mho.data.dataset import Dataset
from mho.errors import InvalidData, InvalidOption, ResourceExhausted
from mho.evaluation import Layer
from mho.graph.reduce import activation_output, activations
from mho.method import GameMethod
from mho.runtime.problem import Problem
from mho.sampling.draws import stream
from mho.types import JSON, Array, Feeds, FloatArray, IntArray

_DONORS = 0x646F6E6F72
"""Tells the draw of donors from others that the seed makes."""


@dataclass(frozen=True)
class Donors:
    """Inputs whose activations removed units take.

    inputs: graph input -> ``(donors, ...)``. donor: ``(inputs,)``, which of them stands in for each
    input of the game, for all its removed units and in every coalition.
    """

    inputs: Feeds
    donor: IntArray


Substitutes = Mapping[str, Array] | Donors
"""Layer -> ``(units,)``, the same at every position, or the layer's shape without the batch; or
whose activations are taken."""


@dataclass(frozen=True)
class Chosen:
    """facts: for the report. notes: for the reader."""

    substitutes: Substitutes
    facts: Mapping[str, JSON]
    notes: tuple[str, ...] = ()


def substitutes(
    method: GameMethod[object], problem: Problem, reference: Dataset | None, file: Path | None
) -> Chosen:
    """What ``method`` puts in the place of units of ``problem.layers``; a reference defaults to the
    inputs.

    InvalidData where a mean is not finite or a file does not fit, InvalidOption where there is
    nothing to draw donors from, ResourceExhausted where means at all positions are too large.
    """
    name, over = method.substitute, problem.data if reference is None else reference
    notes: tuple[str, ...] = ()
    if reference is not None and (file is not None or name == "zero"):
        what = "a file" if file is not None else "zero"
        notes = (f"option 'reference' was set, but the substitute is {what}, which needs none",)
    if file is not None:
        return Chosen(_from_file(file, problem.layers), {"substitute": "file"}, notes)
    facts: dict[str, JSON] = {"substitute": name}
    if name == "zero":
        zeros = {layer.name: np.zeros(layer.units, np.float32) for layer in problem.layers}
        return Chosen(zeros, facts, notes)
    if name == "mean":
        return Chosen(_means(problem, over), facts)
    if name == "position_mean":
        return Chosen(_position_means(problem, over), facts)
    if name == "resample":
        donors = _donors(problem, reference, method.seed)
        whose = "another input" if reference is None else "an input of the reference"
        note = (
            f"a removed unit takes its activation on {whose}, drawn once for each input from seed "
            f"{method.seed}; report.donors names them"
        )
        return Chosen(donors, facts | {"donors": [over.names[i] for i in donors.donor]}, (note,))
    raise InvalidOption(
        f"substitute is '{name}', which is neither mean, position_mean, zero, resample nor a file "
        "that exists",
        subject="substitute",
    )


def _means(problem: Problem, over: Dataset) -> dict[str, Array]:
    """Layer -> ``(units,)``: means over inputs and positions."""
    found = problem.outputs(activations(problem.model, problem.layers, "mean"), over.inputs)
    means: dict[str, Array] = {}
    for layer in problem.layers:
        means[layer.name] = found[activation_output(layer.name)].mean(axis=0, dtype=np.float64)
        _check_finite(means[layer.name], layer)
    return means


def _position_means(problem: Problem, over: Dataset) -> dict[str, Array]:
    """Layer -> its shape without the batch: means over inputs."""
    graph = activations(problem.model, problem.layers, None)
    first = {name: array[:1] for name, array in over.inputs.items()}
    found = problem.sessions.get(graph).run(first)
    own = {name: array[:1] for name, array in problem.data.inputs.items()}
    own_shapes = {name: array.shape for name, array in own.items()}
    if own_shapes != {name: array.shape for name, array in first.items()}:
        _check_positions(problem, found, problem.sessions.get(graph).run(own))
    size = sum(8 * array.size for array in found.values())
    if size > problem.settings.memory_bytes:
        raise ResourceExhausted(
            f"means at every position of {len(problem.layers)} layers take {size} bytes; at most "
            f"{problem.settings.memory_bytes} are held (setting memory_bytes); take --substitute "
            "mean, or fewer --layers",
            subject="substitute",
        )
    sums: dict[str, FloatArray] = {}
    batches = problem.batches(graph)
    for _, _, batch in batches.run(
        len(over), lambda a, b: {name: array[a:b] for name, array in over.inputs.items()}
    ):
        for name, value in batch.items():
            total = value.sum(axis=0, dtype=np.float64)
            sums[name] = sums[name] + total if name in sums else total
    means: dict[str, Array] = {}
    for layer in problem.layers:
        means[layer.name] = sums[activation_output(layer.name)] / len(over)
        _check_finite(means[layer.name], layer)
    return means


def _check_positions(
    problem: Problem, found: Mapping[str, Array], wanted: Mapping[str, Array]
) -> None:
    for layer in problem.layers:
        name = activation_output(layer.name)
        if found[name].shape != wanted[name].shape:
            raise InvalidOption(
                f"layer '{layer.name}' has the shape {list(found[name].shape[1:])} on the "
                f"reference and {list(wanted[name].shape[1:])} on the inputs, so that there is no "
                "mean at each position; take --substitute mean, or a reference of the inputs' size",
                subject="substitute",
            )


def _check_finite(mean: Array, layer: Layer) -> None:
    if not np.isfinite(mean).all():
        raise InvalidData(
            f"the mean activation of layer '{layer.name}' is not finite; choose another "
            "--substitute, or other --layers",
            subject="substitute",
        )


def _donors(problem: Problem, reference: Dataset | None, seed: int) -> Donors:
    """From the reference with replacement; else all inputs in another order, in which none stands
    in for itself."""
    data, generator = problem.data, stream(seed, _DONORS)
    if reference is not None:
        for name, array in data.inputs.items():
            if reference.inputs[name].shape[1:] != array.shape[1:]:
                raise InvalidOption(
                    f"the reference has the shape {list(reference.inputs[name].shape[1:])} for "
                    f"'{name}' and the inputs {list(array.shape[1:])}, so that activations on one "
                    "can't replace those on the other; give a reference of the inputs' size",
                    subject="reference",
                )
        drawn = generator.integers(len(reference), size=len(data))
        return Donors(reference.inputs, drawn.astype(np.int64))
    if len(data) < 2:
        raise InvalidOption(
            "substitute 'resample' takes activations on another input, but there is only one; give "
            "a --reference, or take --substitute mean",
            subject="substitute",
        )
    places = np.arange(len(data))
    while True:  # one order in e moves every input
        drawn = generator.permutation(len(data))
        if (drawn != places).all():
            return Donors(data.inputs, drawn.astype(np.int64))


def _from_file(file: Path, layers: Sequence[Layer]) -> dict[str, Array]:
    names = [layer.name for layer in layers]
    found = attachments.keyed(file, "substitute", names, f"{len(layers)} layers are masked")
    values = {}
    for layer in layers:
        array = np.asarray(found[layer.name])
        per_unit = array.shape == (layer.units,)
        per_position = array.ndim == len(layer.shape) - 1 and all(
            not isinstance(wanted, int) or wanted == length
            for wanted, length in zip(layer.shape[1:], array.shape, strict=True)
        )
        if not (per_unit or per_position):
            raise InvalidData(
                f"the substitute of '{layer.name}' has shape {array.shape}; {(layer.units,)} (per "
                f"unit) or {layer.shape[1:]} (per position) is needed",
                subject="substitute",
            )
        values[layer.name] = array
    return values
