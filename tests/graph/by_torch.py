"""An ONNX graph run by torch in float64, operator by operator, so that autograd knows every tensor
of the graph by its own name. It has the operators of the ``light`` models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as f

from mho.graph.model import Model

Attributes = Mapping[str, Any]


def run(model: Model, feeds: Mapping[str, Any]) -> dict[str, Tensor]:
    """All tensors by name, floats in float64; those that depend on a float feed keep their
    gradient."""
    values: dict[ir.Value | None, Any] = {None: None}
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        values[value] = _tensor(value.const_value.numpy())
    for value in model.graph.inputs:
        fed = _tensor(feeds[value.name or ""])
        values[value] = fed.requires_grad_() if fed.is_floating_point() else fed
    for node in model.graph:
        attributes = {name: attribute.value for name, attribute in node.attributes.items()}
        made = _OPERATORS[node.op_type](attributes, *(values[v] for v in node.inputs))
        if made.requires_grad:
            made.retain_grad()
        values[node.outputs[0]] = made
    return {value.name or "": tensor for value, tensor in values.items() if value is not None}


def _tensor(array: Any) -> Tensor:
    made = np.array(array)
    return torch.from_numpy(made.astype(np.float64) if made.dtype.kind == "f" else made)


def _padded(at: Attributes, x: Tensor, fill: float) -> Tensor:
    pads = at.get("pads", (0, 0, 0, 0))
    return f.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=fill)


def _conv(at: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    return f.conv2d(
        _padded(at, x, 0.0),
        w,
        b,
        stride=tuple(at.get("strides", (1, 1))),
        dilation=tuple(at.get("dilations", (1, 1))),
        groups=at.get("group", 1),
    )


def _max_pool(at: Attributes, x: Tensor) -> Tensor:
    x = _padded(at, x, -torch.inf)
    return f.max_pool2d(x, tuple(at["kernel_shape"]), tuple(at.get("strides", (1, 1))))


def _average_pool(at: Attributes, x: Tensor) -> Tensor:
    """Of what is no padding."""

    def mean(tensor: Tensor) -> Tensor:
        padded = _padded(at, tensor, 0.0)
        return f.avg_pool2d(padded, tuple(at["kernel_shape"]), tuple(at.get("strides", (1, 1))))

    return mean(x) / mean(torch.ones_like(x))


def _normalised(
    at: Attributes, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    return f.batch_norm(x, mean, variance, scale, shift, eps=at.get("epsilon", 1e-5))


def _lrn(at: Attributes, x: Tensor) -> Tensor:
    return f.local_response_norm(
        x, at["size"], at.get("alpha", 1e-4), at.get("beta", 0.75), at.get("bias", 1.0)
    )


def _gemm(at: Attributes, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if at.get("transA") else a
    b = b.T if at.get("transB") else b
    product = at.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + at.get("beta", 1.0) * c


def _reshape(at: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([x.shape[i] if d == 0 else d for i, d in enumerate(shape.tolist())])


def _gather_elements(at: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    return torch.gather(x, at.get("axis", 0), indices)


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda at, a, b: a + b,
    "AveragePool": _average_pool,
    "BatchNormalization": _normalised,
    "Concat": lambda at, *x: torch.cat(x, at["axis"]),
    "Conv": _conv,
    "Dropout": lambda at, x, *_options: x * 1.0,
    "Flatten": lambda at, x: x.flatten(1) if at.get("axis", 1) == 1 else x.flatten(0),
    "GatherElements": _gather_elements,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda at, x: x.mean((2, 3), keepdim=True),
    "Identity": lambda at, x: x * 1.0,
    "LRN": _lrn,
    "MaxPool": _max_pool,
    "Mul": lambda at, a, b: a * b,
    "Relu": lambda at, x: f.relu(x),
    "Reshape": _reshape,
    "Shape": lambda at, x: torch.tensor(x.shape),
    "Softmax": lambda at, x: f.softmax(x, at.get("axis", -1)),
    "Squeeze": lambda at, x, axes: x.squeeze(axes.tolist()),
    "Sum": lambda at, *x: torch.stack(torch.broadcast_tensors(*x)).sum(0),
    "Transpose": lambda at, x: x.permute(tuple(at["perm"])),
    "Unsqueeze": lambda at, x, axes: x.unsqueeze(int(axes)),
}
