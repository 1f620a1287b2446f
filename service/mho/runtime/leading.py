"""Layers whose leading axis is not the batch: unfolded where they are flattened tokens, or refused.

Where the shapes leave it open what the leading axis is, it is found by running the model.
"""

from __future__ import annotations

from dataclasses import replace

from mho.errors import InvalidOption
from mho.evaluation import Layer
from mho.graph.reduce import activation_output, activations
from mho.graph.unfold import unfolded
from mho.runtime.prepare import alike, by_one, probe_rows
from mho.runtime.problem import Problem

_PROBE = 3


def batch_leading(problem: Problem, *, asked: bool) -> tuple[Problem, tuple[str, ...]]:
    """``problem`` with layers that all have the batch as their leading axis, and notes.

    A layer on flattened tokens, ``(batch · tokens, units)``, becomes ``(batch, tokens, units)``.
    One that has the batch elsewhere is InvalidOption where it was ``asked`` for, else it is left
    out.
    """
    doubtful = [layer for layer in problem.layers if layer.shape[0] not in _names(problem)]
    if not doubtful:
        return problem, ()
    positions = {layer.name: count for layer, count in _positions(problem, doubtful).items()}
    refused = [layer for layer in doubtful if positions[layer.name] is None]
    if refused and (asked or len(refused) == len(problem.layers)):
        raise InvalidOption(
            f"layer '{refused[0].name}' has the shape {list(refused[0].shape)}, whose first "
            "dimension is not the batch; choose other --layers",
            subject="layers",
        )
    folded = [layer for layer in doubtful if (positions[layer.name] or 0) > 1]
    model, changed = unfolded(problem.model, folded, _batch_input(problem))
    after = {layer.name: layer for layer in changed}
    layers = []
    for layer in problem.layers:
        if layer in refused:
            continue
        now = after.get(layer.name, layer)
        if layer in folded:
            now = replace(now, shape=("N", positions[layer.name], *now.shape[2:]))
        elif layer in doubtful:
            now = replace(now, shape=("N", *now.shape[1:]))
        layers.append(now)
    notes: tuple[str, ...] = ()
    if refused:
        names = ", ".join(layer.name for layer in refused)
        notes = (f"layers left out, because their first dimension is not the batch: {names}",)
    return replace(problem, model=model, layers=tuple(layers)), notes


def _names(problem: Problem) -> set[int | str | None]:
    """What a leading dimension is called that surely is the batch."""
    leading = {spec.shape[0] for spec in problem.model.inputs if spec.shape}
    named: set[int | str | None] = {dim for dim in leading if isinstance(dim, str)}
    return named if named or not problem.single else {1}


def _batch_input(problem: Problem) -> str:
    """A graph input whose leading dimension is the batch; every one's is, but by name is safer."""
    inputs = problem.model.inputs
    symbolic = [spec for spec in inputs if spec.shape and not isinstance(spec.shape[0], int)]
    return (symbolic or list(inputs))[0].name


def _positions(problem: Problem, layers: list[Layer]) -> dict[Layer, int | None]:
    """How many entries of the leading axis one input has, side by side; None where that is not
    so."""
    session = problem.sessions.get(activations(problem.model, layers, None))
    rows = probe_rows(problem.data.inputs, 1 if problem.single else _PROBE)
    wanted = by_one(session, rows)
    found = wanted if problem.single else session.run(rows)
    positions: dict[Layer, int | None] = {}
    for layer in layers:
        name = activation_output(layer.name)
        count, rest = divmod(len(wanted[name]), len(next(iter(rows.values()))))
        same = rest == 0 and count > 0 and alike(found[name], wanted[name])
        positions[layer] = count if same else None
    return positions
