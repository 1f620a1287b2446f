"""An ONNX graph as a torch module with the same weights, so that torch and Captum can be measured
beside mho. It has the operators of the networks that are measured, and a module for every node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.nn import functional

from mho.graph.model import Model


class Twin(nn.Module):
    """``model`` from its one float input to ``output``, node by node.

    ``layer(name)`` is the module that makes the tensor ``name``, which is what Captum hooks.
    """

    def __init__(self, model: Model, output: str) -> None:
        super().__init__()
        nodes = list(model.graph)
        (self._input,) = (value.name for value in model.graph.inputs)
        self._output = output
        self._steps: list[tuple[str, list[str]]] = []
        self._last: dict[str, int] = {}
        self.nodes = nn.ModuleDict()
        for node in nodes:
            name = node.outputs[0].name or ""
            reads = [v.name or "" for v in node.inputs if v is not None and v.const_value is None]
            self.nodes[_key(name)] = _module(node)
            self._last.update(dict.fromkeys(reads, len(self._steps)))
            self._steps.append((name, reads))
            if name == output:
                break

    def layer(self, name: str) -> nn.Module:
        return self.nodes[_key(name)]

    def forward(self, x: Tensor) -> Tensor:
        values = {self._input: x}
        for place, (name, reads) in enumerate(self._steps):
            values[name] = self.nodes[_key(name)](*(values[read] for read in reads))
            for read in reads:
                if self._last[read] == place:
                    values.pop(read, None)
        found: Tensor = values[self._output]
        return found


class _Function(nn.Module):
    """A node without weights."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *values: Tensor) -> Tensor:
        return self._function(*values)


def _key(name: str) -> str:
    return name.replace(".", "\u2024") or "\u2024"


def _module(node: ir.Node) -> nn.Module:
    weights = [
        torch.from_numpy(np.array(value.const_value.numpy()))
        for value in node.inputs
        if value is not None and value.const_value is not None
    ]
    made = _MODULES[node.op_type](node, weights)
    return made.requires_grad_(requires_grad=False).eval()


def _attribute(node: ir.Node, name: str, default: Any) -> Any:
    found = node.attributes.get(name)
    return default if found is None else found.value


def _pads(node: ir.Node) -> tuple[int, ...]:
    """Padding that is alike on both sides."""
    pads: Sequence[int] = _attribute(node, "pads", (0, 0, 0, 0))
    half = len(pads) // 2
    assert tuple(pads[:half]) == tuple(pads[half:]), f"{node.name} has uneven padding"
    return tuple(pads[:half])


def _convolution(node: ir.Node, weights: list[Tensor]) -> nn.Module:
    outputs, per_group, *kernel = weights[0].shape
    groups = _attribute(node, "group", 1)
    made = nn.Conv2d(
        per_group * groups,
        outputs,
        tuple(kernel),
        stride=tuple(_attribute(node, "strides", (1, 1))),
        padding=_pads(node),
        dilation=tuple(_attribute(node, "dilations", (1, 1))),
        groups=groups,
        bias=len(weights) > 1,
    )
    made.weight.data = weights[0]
    if made.bias is not None:
        made.bias.data = weights[1]
    return made


def _normalisation(node: ir.Node, weights: list[Tensor]) -> nn.Module:
    made = nn.BatchNorm2d(len(weights[0]), eps=_attribute(node, "epsilon", 1e-5))
    made.weight.data, made.bias.data = weights[:2]
    made.running_mean, made.running_var = weights[2:]
    return made


def _dense(node: ir.Node, weights: list[Tensor]) -> nn.Module:
    kernel = weights[0] if _attribute(node, "transB", 0) else weights[0].T.contiguous()
    made = nn.Linear(kernel.shape[1], kernel.shape[0])
    made.weight.data, made.bias.data = kernel, weights[1]
    return made


def _largest(node: ir.Node, _: list[Tensor]) -> nn.Module:
    return nn.MaxPool2d(
        tuple(_attribute(node, "kernel_shape", ())),
        tuple(_attribute(node, "strides", (1, 1))),
        _pads(node),
        ceil_mode=bool(_attribute(node, "ceil_mode", 0)),
    )


def _mean(node: ir.Node, _: list[Tensor]) -> nn.Module:
    return nn.AvgPool2d(
        tuple(_attribute(node, "kernel_shape", ())),
        tuple(_attribute(node, "strides", (1, 1))),
        _pads(node),
        ceil_mode=bool(_attribute(node, "ceil_mode", 0)),
        count_include_pad=bool(_attribute(node, "count_include_pad", 0)),
    )


def _joined(node: ir.Node, _: list[Tensor]) -> nn.Module:
    axis = _attribute(node, "axis", 1)
    return _Function(lambda *values: torch.cat(values, dim=axis))


_MODULES: dict[str, Callable[[ir.Node, list[Tensor]], nn.Module]] = {
    "Conv": _convolution,
    "BatchNormalization": _normalisation,
    "Gemm": _dense,
    "MaxPool": _largest,
    "AveragePool": _mean,
    "Concat": _joined,
    "Relu": lambda _node, _weights: nn.ReLU(),
    "Add": lambda _node, _weights: _Function(torch.add),
    "Sum": lambda _node, _weights: _Function(torch.add),
    "GlobalAveragePool": lambda _node, _weights: nn.AdaptiveAvgPool2d(1),
    "Flatten": lambda _node, _weights: nn.Flatten(),
    "Reshape": lambda _node, _weights: nn.Flatten(),
    "Dropout": lambda _node, _weights: nn.Identity(),
    "Identity": lambda _node, _weights: nn.Identity(),
    "Softmax": lambda _node, _weights: _Function(lambda x: functional.softmax(x, dim=-1)),
}
