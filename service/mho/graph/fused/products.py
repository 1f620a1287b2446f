"""Convolutions and matrix products with what is done before or after them."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from mho.graph.fusion import Whole, fused
from mho.graph.term import Term

_ACTIVATIONS = {
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Selu": ("alpha", "gamma"),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "Softplus": (),
    "Softsign": (),
}
"""Activations that may follow, and their parameters in the order of the fusion."""

_OF_ACTIVATION: dict[str, Any] = {
    "activation": "",
    "activation_params": (0.0,),
    "activation_alpha": 0.0,
    "activation_beta": 0.0,
    "activation_gamma": 0.0,
}
_LAYOUTS: dict[str, Any] = {"input_layout": "", "output_layout": ""}
_CONV: dict[str, Any] = {
    "auto_pad": "NOTSET",
    "dilations": (1,),
    "group": 1,
    "kernel_shape": (1,),
    "pads": (0,),
    "strides": (1,),
}
_GEMM: dict[str, Any] = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}


@fused("FusedConv", needs=(0, 1), inputs=4, at_once=True, **_CONV, **_OF_ACTIVATION, **_LAYOUTS)
def fused_conv(whole: Whole) -> Term | None:
    """Convolution, sum with the last input, activation."""
    if not _known(whole):
        return None
    kept = _given(whole, _CONV)
    result = whole.x.op("Conv", whole.input(1), whole.optional(2), **kept)
    return _activated(whole, result + whole.input(3) if whole.has(3) else result)


@fused("FusedGemm", needs=(0, 1), inputs=3, at_once=True, **_GEMM, **_OF_ACTIVATION)
def fused_gemm(whole: Whole) -> Term | None:
    if not _known(whole):
        return None
    kept = _given(whole, _GEMM)
    return _activated(whole, whole.x.op("Gemm", whole.input(1), whole.optional(2), **kept))


@fused(
    "FusedMatMul",
    "TransposeMatMul",
    needs=(0, 1),
    alpha=1.0,
    transA=0,
    transB=0,
    transBatchA=0,
    transBatchB=0,
)
def fused_mat_mul(whole: Whole) -> Term | None:
    """α·A·B, each with its last two axes exchanged, or its first axis made the last but one."""
    orders = [_order(whole, position, name) for position, name in enumerate("AB")]
    if None in orders:
        return None
    a, b = (
        whole.input(i).transpose(order) if order else whole.input(i)
        for i, order in enumerate(orders)
    )
    alpha = whole.number("alpha")
    return (a if alpha == 1 else a * alpha) @ b


def _order(whole: Whole, position: int, name: str) -> list[int] | None:
    """How an operand is transposed, empty where it is not; None where its rank is not known."""
    swapped, moved = whole.integer(f"trans{name}"), whole.integer(f"transBatch{name}")
    if not swapped and not moved:
        return []
    rank = whole.rank(position)
    if rank is None:
        return None
    if rank < 2:
        return []
    order = [*range(1, rank - 1), 0, rank - 1] if moved else list(range(rank))
    if swapped:
        order[-1], order[-2] = order[-2], order[-1]
    return [] if order == list(range(rank)) else order


def _given(whole: Whole, names: dict[str, Any]) -> dict[str, ir.Attr]:
    return {name: attr for name, attr in whole.node.attributes.items() if name in names}


def _known(whole: Whole) -> bool:
    activation = whole.text("activation")
    return not activation or activation in _ACTIVATIONS


def _activated(whole: Whole, x: Term) -> Term:
    activation = whole.text("activation")
    if not activation:
        return x
    listed = whole.node.attributes.get("activation_params")
    given = [] if listed is None else list(listed.as_floats())
    parameters = {}
    for place, name in enumerate(_ACTIVATIONS[activation]):
        if f"activation_{name}" in whole.node.attributes:
            parameters[name] = whole.number(f"activation_{name}")
        elif place < len(given):
            parameters[name] = given[place]
    return x.op(activation, **parameters)
