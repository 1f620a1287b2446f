"""Which engine can serve each layer, told without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mho.evaluation import Layer
from mho.graph.backward import Obstacle, obstacles
from mho.graph.emit import tensor_named
from mho.graph.flow import is_float
from mho.graph.model import Model


def with_engines(model: Model, layers: Sequence[Layer]) -> tuple[list[Layer], tuple[str, ...]]:
    """``layers`` with the engines that can serve them for the model's first float output, and a
    sentence for every operator that keeps the gradient from some of them."""
    outputs = [value for value in model.graph.outputs if is_float(value)]
    if not outputs:
        return list(layers), ()
    blocked = obstacles(model.graph, outputs[0])
    found: list[Layer] = []
    behind: dict[Obstacle, int] = {}
    for layer in layers:
        obstacle = blocked.get(tensor_named(model.graph, layer.name))
        if obstacle is None:
            found.append(replace(layer, engines=("gradient", "finite_difference")))
        else:
            found.append(replace(layer, engines=("finite_difference",)))
            behind[obstacle] = behind.get(obstacle, 0) + 1
    notes = tuple(
        f"no gradient engine for {count} of {len(layers)} layers: {obstacle.message()}"
        for obstacle, count in behind.items()
    )
    return found, notes
