"""Torch modules as ONNX models, and their gradients by autograd in float64 at every tensor that a
torch function returns.

An exporter renames tensors, so that a tensor of the ONNX model is found among torch's by its value.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from graph.flips import bends, flips
from graph.nets import loaded
from graph.slopes import differentiated, gradient_output, run_single, seed_input
from mho.graph import units
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.flow import each_read, is_float
from mho.graph.model import Model
from mho.graph.target import SCORES, TARGET, TARGET_SCORE, scored, targeted

_SAME_VALUE = 1e-4
"""Relative l2 up to which a float32 and a float64 tensor are taken to be one."""


@contextmanager
def quiet() -> Any:
    """Without what the exporters print, log and warn of, all of it about themselves."""
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def exported(module: nn.Module, inputs: Mapping[str, torch.Tensor], *, dynamo: bool) -> Model:
    """The module as ``load`` makes it, with a symbolic batch."""
    args, names = tuple(inputs.values()), list(inputs)
    with quiet():
        if dynamo:
            proto = torch.onnx.export(
                module,
                args,
                dynamo=True,
                opset_version=18,
                input_names=names,
                dynamic_shapes=tuple({0: "N"} for _ in names),
            ).model_proto
        else:
            buffer = io.BytesIO()
            torch.onnx.export(
                module,
                args,
                buffer,
                dynamo=False,
                opset_version=18,
                input_names=names,
                dynamic_axes={name: {0: "N"} for name in names},
            )
            proto = onnx.load_from_string(buffer.getvalue())
    return loaded(proto)


class _Recorder(TorchFunctionMode):
    """Keeps every float tensor that a torch function returns."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[torch.Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.requires_grad and not tensor.is_leaf:
                tensor.retain_grad()
                self.kept.append(tensor)
        return made


@dataclass
class Autograd:
    """One run of a module in float64. ``(value, gradient)`` of inputs and recorded tensors."""

    pairs: list[tuple[np.ndarray, np.ndarray]]

    def at(self, value: np.ndarray, *, reshaped: bool) -> list[tuple[np.ndarray, np.ndarray]]:
        """What has the value of ``value``, in its shape, with the gradients there.

        reshaped: whether torch's own shape may be another. That is then the same tensor unless
        something reads the one and not the other.
        """
        found = []
        for own, gradient in self.pairs:
            fits = own.size == value.size if reshaped else own.shape == value.shape
            if fits and distance(value, own.reshape(value.shape)) < _SAME_VALUE:
                found.append((own.reshape(value.shape), gradient.reshape(value.shape)))
        return found


def autograd(
    module: nn.Module, inputs: Mapping[str, torch.Tensor], scores: np.ndarray, target: np.ndarray
) -> Autograd:
    """Gradients of Σ scores[i, target[i]] where ``scores`` are the model's in float32."""
    module = module.double()
    fed = [t.double().requires_grad_() if t.dtype.is_floating_point else t for t in inputs.values()]
    with quiet(), _Recorder() as recorder:
        module(*fed)
    chosen = next(
        tensor
        for tensor in reversed(recorder.kept)
        if tensor.numel() == scores.size
        and distance(scores, tensor.detach().numpy().reshape(scores.shape)) < _SAME_VALUE
    )
    flat = chosen.reshape(scores.shape)
    flat[torch.arange(len(target)), torch.from_numpy(target)].sum().backward()
    tensors = [*recorder.kept, *(t for t in fed if t.dtype.is_floating_point)]
    pairs = [(t.detach().numpy(), t.grad.numpy()) for t in tensors if t.grad is not None]
    return Autograd(pairs)


def distance(found: np.ndarray, exact: np.ndarray) -> float:
    """Relative l2."""
    scale = float(np.linalg.norm(exact))
    return float(np.linalg.norm(found.astype(np.float64) - exact)) / (scale or 1.0)


@dataclass
class Comparison:
    """errors: tensor -> relative l2 of its gradient. unmatched: layers that torch has no tensor
    for. flips: choices of ReLUs and pools that were made otherwise than in float64; above: the
    tensors from which the target is reached through one of these.
    """

    errors: dict[str, float] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    flips: int = 0
    above: set[str] = field(default_factory=set)

    def count(self, model: Model, node: ir.Node, flips: int) -> None:
        """Note the ``flips`` of ``node``."""
        self.flips += flips
        if flips:
            self.above |= _above(model, node)

    @property
    def worst(self) -> float:
        return max(self.errors.values())


def asked_of(model: Model) -> list[str]:
    """The layers of a ``targeted`` model, and all other float tensors that have a gradient."""
    layers = [layer.name for layer in units.layers(model)]
    blocked = obstacles(model.graph, tensor_named(model.graph, TARGET_SCORE))
    values = [*model.graph.inputs, *(v for node in model.graph for v in node.outputs)]
    others = [v.name or "" for v in values if is_float(v) and v.name and v not in blocked]
    return list(dict.fromkeys([*layers, *others]))


def compared(
    model: Model,
    module: nn.Module,
    inputs: Mapping[str, torch.Tensor],
    run: Callable[[Model, Mapping[str, Any]], Mapping[str, Any]] = run_single,
) -> Comparison:
    """The gradients of one logit per row at all tensors that torch has too, against autograd."""
    asked = targeted(scored(model))
    layers = {layer.name for layer in units.layers(asked)}
    names = asked_of(asked)
    bent = [(node, _first(node)) for node in bends(asked.graph)]
    shown = [*names, *(tensor for _, tensor in bent)]
    made = differentiated(asked, TARGET_SCORE, names, also=shown)
    feeds: dict[str, Any] = {name: tensor.numpy() for name, tensor in inputs.items()}
    rows = len(next(iter(feeds.values())))
    scores = run_single(asked, {**feeds, TARGET: np.zeros(rows, np.int64)})[SCORES]
    target = np.random.default_rng(0).integers(0, scores.shape[1], rows)
    found = run(made, {**feeds, TARGET: target, seed_input(TARGET_SCORE): np.ones(rows)})
    exact = autograd(module, inputs, scores, target)
    result = Comparison()
    for name in names:
        candidates = exact.at(found[name], reshaped=name in layers)
        gradient = found.get(gradient_output(name))
        if candidates and gradient is not None:
            result.errors[name] = min(distance(gradient, own) for _, own in candidates)
        elif name in layers:
            result.unmatched.append(name)
    for node, tensor in bent:
        for value, _ in exact.at(found[tensor], reshaped=True)[:1]:
            result.count(asked, node, flips(node, found[tensor], value))
    return result


def _above(model: Model, node: ir.Node) -> set[str]:
    """All tensors that ``node`` depends on."""
    needed = set(node.inputs)
    for earlier in reversed(list(model.graph)):
        if needed.intersection(earlier.outputs):
            needed.update(each_read(earlier))
    return {value.name or "" for value in needed if value is not None}


def _first(node: ir.Node) -> str:
    value = node.inputs[0]
    assert value is not None
    return value.name or ""
