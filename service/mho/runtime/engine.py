"""Which engine gives the derivatives, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mho.errors import InvalidOption
from mho.evaluation import Layer
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.model import Model
from mho.method import Method

GRADIENT, FINITE_DIFFERENCE = "gradient", "finite_difference"


@dataclass(frozen=True)
class Engine:
    """name: ``gradient`` or ``finite_difference``. why: the reason, for the reader."""

    name: str
    why: str


def choose(
    asked: str, model: Model, target: str, tensors: Iterable[str], *, single: bool
) -> Engine:
    """The engine for the derivatives of ``target`` with respect to ``tensors`` of ``model``.

    ``auto`` takes the gradient graph where every operator on the way has a rule. InvalidOption
    where ``gradient`` was asked for and that is not so.
    """
    if asked == FINITE_DIFFERENCE:
        return Engine(FINITE_DIFFERENCE, "asked for")
    reason = obstacle(model, target, tensors, single=single)
    if asked == GRADIENT:
        if reason:
            raise InvalidOption(
                f"engine 'gradient' can't serve this run: {reason}; take 'finite_difference', "
                "which works for every operator, or 'auto'",
                subject="engine",
            )
        return Engine(GRADIENT, "asked for")
    if reason:
        return Engine(FINITE_DIFFERENCE, f"auto: {reason}")
    return Engine(GRADIENT, "auto: every operator on the way has a derivative rule")


def gradient_alone(
    method: Method[Any, Any], model: Model, target: str, layers: Iterable[Layer]
) -> Engine:
    """The gradient engine for a method that can't do with another; InvalidOption where it can't
    serve ``layers``."""
    why = ""
    if method.engine == FINITE_DIFFERENCE:
        why = "finite differences do not give it"
    else:
        why = obstacle(model, target, [layer.name for layer in layers], single=False)
    if why:
        raise InvalidOption(
            f"{method.name} is made of gradients at the input: {why}; take conductance, which "
            "works with every operator, or other --layers",
            subject="engine",
        )
    asked = method.engine == GRADIENT
    return Engine(GRADIENT, "asked for" if asked else f"{method.name} is made of gradients")


def obstacle(model: Model, target: str, tensors: Iterable[str], *, single: bool) -> str:
    """What keeps the gradient of ``target`` from one of ``tensors``; empty where nothing does.

    single: the model takes one input at a time.
    """
    if single:
        return "the model takes one input at a time, and derivatives are had in batches"
    blocked = obstacles(model.graph, tensor_named(model.graph, target))
    for name in tensors:
        found = blocked.get(tensor_named(model.graph, name))
        if found is not None:
            return f"from '{name}', {found.message()}"
    return ""
