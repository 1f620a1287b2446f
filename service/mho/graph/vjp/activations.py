"""Derivatives of activations.

Where the output tells the derivative, the input is not read: it need not be kept, and onnxruntime
can fuse the activation with the convolution before it. A choice is a product with a mask, because
onnxruntime's Where takes thirty times as long.
"""

from __future__ import annotations

import math

from mho.graph.broadcast import unbroadcast
from mho.graph.rule import Call, rule
from mho.graph.term import Term

# rectifiers: at the kink they have the derivative of the left side


def _leaky(at: Call) -> Term:
    alpha = at.number("alpha", 0.01)
    above = (at.y if alpha >= 0 else at.x).above_zero()
    if 0 <= alpha <= 1:
        return at.dy * above.op("Max", above.number(alpha))
    return at.dy * (above * (1 - alpha) + alpha)


def _prelu_input(at: Call) -> Term:
    slope = at.input(1)
    return at.dy * (at.x.above_zero() * (1 - slope) + slope)


def _prelu_slope(at: Call) -> Term:
    below = at.dy * at.x.op("Min", at.x.number(0))
    return unbroadcast(below, at.input(1), at.y.dims)


def _thresholded(at: Call) -> Term:
    alpha = at.number("alpha", 1.0)
    return at.dy * (at.y > 0 if alpha >= 0 else at.x > alpha).cast(at.dy)


def _shrink(at: Call) -> Term:
    return at.dy * (at.x.op("Abs") > at.number("lambd", 0.5)).cast(at.dy)


rule("Relu", lambda at: at.dy * at.y.above_zero())
rule("LeakyRelu", _leaky)
rule("PRelu", _prelu_input, _prelu_slope)
rule("ThresholdedRelu", _thresholded)
rule("Shrink", _shrink)

# exponential below zero


def _exponential(at: Call, low: float, high: float) -> Term:
    """Of y = high·x above zero and y = low·(eˣ − 1) below, where the derivative is y + low."""
    told = low >= 0 and high > 0
    below = at.y.op("Min", at.y.number(0)) if told else at.y * (at.x <= 0).cast(at.y)
    slope = below + low
    if high != low:
        slope = slope + (at.y if told else at.x).above_zero() * (high - low)
    return at.dy * slope


def _selu(at: Call) -> Term:
    gamma = at.number("gamma", 1.0507009873554805)
    return _exponential(at, gamma * at.number("alpha", 1.6732632423543772), gamma)


def _celu(at: Call) -> Term:
    """Below zero y is α·(exp(x/α) − 1) and its derivative y/α + 1."""
    return at.dy * (at.y.op("Min", at.y.number(0)) * (1 / at.number("alpha", 1.0)) + 1)


rule("Elu", lambda at: _exponential(at, at.number("alpha", 1.0), 1.0))
rule("Selu", _selu)
rule("Celu", _celu)

# sigmoids


def _inside(at: Call, low: float, high: float) -> Term:
    """Where the output is strictly between the two, as numbers."""
    return (at.y > low).op("And", at.y < high).cast(at.dy)


rule("Sigmoid", lambda at: at.dy * at.y * (1 - at.y))
rule("Tanh", lambda at: at.dy * (1 - at.y * at.y))
rule("HardSigmoid", lambda at: at.dy * (_inside(at, 0.0, 1.0) * at.number("alpha", 0.2)))


def _softsign(at: Call) -> Term:
    """(1 + |x|)⁻²; from the output it would be inexact where that is close to 1."""
    root = at.x.op("Abs") + 1
    return at.dy / (root * root)


rule("Softsign", _softsign)
rule("Softplus", lambda at: at.dy * at.x.op("Sigmoid"))

# gates: the input times a function of it


def _hard_swish(at: Call) -> Term:
    """y = x·h with h = clip(x/6 + ½, 0, 1); at a kink the derivative is that of the flat side."""
    gate = at.x.op("HardSigmoid", alpha=1 / 6, beta=0.5)
    inside = (at.x.op("Abs") < 3).cast(at.x)
    return at.dy * (at.x * inside * (1 / 6) + gate)


def _swish(at: Call) -> Term:
    """y = x·s with s = σ(αx), and s′ = α·s·(1 − s)."""
    alpha = at.number("alpha", 1.0)
    gate = (at.x if alpha == 1 else at.x * alpha).op("Sigmoid")
    rest = at.y * (1 - gate)
    return at.dy * ((rest if alpha == 1 else rest * alpha) + gate)


def _mish(at: Call) -> Term:
    """y = x·t with t = tanh(ln(1 + eˣ)) and t′ = (1 − t²)·σ(x).

    t is n/(2 − n) with n = s·(2 − s) and s = σ(x), which neither overflows nor needs Softplus, a
    slow operator in onnxruntime.
    """
    s = at.x.op("Sigmoid")
    n = s * (2 - s)
    t = n / (2 - n)
    return at.dy * (at.x * s * (1 - t * t) + t)


def _gelu(at: Call) -> Term:
    if at.text("approximate", "none") == "tanh":
        return at.dy * _gelu_tanh(at.x)
    return at.dy * _gelu_exact(at.x)


def _gelu_exact(x: Term) -> Term:
    """Φ(x) + x·φ(x), the normal distribution and its density."""
    scaled = x * math.sqrt(0.5)
    density = (-(scaled * scaled)).op("Exp") * (2 / math.sqrt(math.pi))
    return ((scaled * density + scaled.op("Erf")) + 1) * 0.5


def _gelu_tanh(x: Term) -> Term:
    """Of ½x·(1 + t) with t = tanh(c·(x + kx³)): ½(1 + t) + ½x·(1 − t²)·c·(1 + 3kx²)."""
    c, k = math.sqrt(2 / math.pi), 0.044715
    square = x * x
    t = (x * (square * (c * k) + c)).op("Tanh")
    inner = x * (square * (3 * c * k) + c)
    return ((1 - t * t) * inner + t + 1) * 0.5


rule("HardSwish", _hard_swish)
rule("Swish", _swish)
rule("Mish", _mish)
rule("Gelu", _gelu)
