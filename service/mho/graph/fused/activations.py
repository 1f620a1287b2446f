"""Activations, alone or with what is added before them."""

from __future__ import annotations

import math

from mho.graph.fusion import Whole, fused
from mho.graph.term import Term


@fused("Gelu")
def gelu(whole: Whole) -> Term:
    return _gelu(whole.x)


@fused("BiasGelu", needs=(0, 1))
def bias_gelu(whole: Whole) -> Term:
    return _gelu(whole.x + whole.input(1))


@fused("BiasSplitGelu", needs=(0, 1))
def bias_split_gelu(whole: Whole) -> Term:
    """The left half of the features times GELU of the right half."""
    left, right = (whole.x + whole.input(1)).ops("Split", outputs=2, axis=-1, num_outputs=2)
    return left * _gelu(right)


@fused("FastGelu", inputs=2)
def fast_gelu(whole: Whole) -> Term:
    """½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), x with its bias where there is one."""
    x = whole.x + whole.input(1) if whole.has(1) else whole.x
    inner = (x * x * 0.044715 + 1) * (x * math.sqrt(2 / math.pi))
    return x * 0.5 * (inner.op("Tanh") + 1)


@fused("QuickGelu", alpha=1.702)
def quick_gelu(whole: Whole) -> Term:
    """x·σ(αx)."""
    return whole.x * (whole.x * whole.number("alpha")).op("Sigmoid")


@fused("BiasAdd", needs=(0, 1, 2))
def bias_add(whole: Whole) -> Term:
    return whole.x + whole.input(1) + whole.input(2)


def _gelu(x: Term) -> Term:
    """½x·(1 + erf(x/√2)), in the order in which onnxruntime recognises it and fuses it again."""
    return x * ((x / math.sqrt(2)).op("Erf") + 1) * 0.5
