"""Error and precision against evaluations, and how many evaluations a given one takes.

The error of values is the root of their mean square deviation from the reference over players,
freed from the part that is the reference's own error. The precision of a ranking is the share of
its twenty highest that are among the reference's twenty highest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from contenders import TOP, Point

from mho.types import BoolArray, FloatArray

PLAIN = "permutation"
"""Whom all are compared with."""
DEFAULT = "assisted"


@dataclass(frozen=True)
class Curve:
    """Of one contender, means over seeds; each ``(budgets,)``, in the order of cost.

    error: no less than the reference's own, below which nothing can be told. biased: whether values
    are not right on average.
    """

    cost: FloatArray
    error: FloatArray
    precision: FloatArray
    biased: BoolArray

    @property
    def known(self) -> BoolArray:
        """The points whose error counts: unbiased ones alone, if there are any."""
        return np.ones_like(self.biased) if self.biased.all() else ~self.biased


@dataclass(frozen=True)
class Compared:
    """All about one game. walk: evaluations of a permutation. default: of the default estimator
    without a budget, one point. agreement: mean square deviation of the plain estimator from the
    reference, over what their standard errors lead to expect. certain: the precision that the
    reference has by its own errors, more than which cannot be told."""

    title: str
    players: int
    walk: int
    curves: Mapping[str, Curve]
    default: Curve | None
    reference: Point
    agreement: float
    certain: float


def curve(points: Sequence[Sequence[Point]], reference: Point) -> Curve:
    """From the points of each budget, one for every seed."""
    cost, error, precision = [], [], []
    own = noise(reference) ** 2
    for found in points:
        squares = [float(np.mean((p.values - reference.values) ** 2)) for p in found]
        error.append(np.sqrt(max(own, float(np.mean(squares)) - own)))
        cost.append(float(np.mean([p.cost for p in found])))
        precision.append(float(np.mean([_precision(p, reference) for p in found])))
    order = np.argsort(cost, kind="stable")
    biased = [any(p.biased for p in found) for found in points]
    return Curve(*(np.array(each)[order] for each in (cost, error, precision, biased)))


def agreement(plain: Sequence[Point], reference: Point) -> float:
    """1 where the reference and unbiased values of independent seeds differ as they may."""
    mean = np.mean([p.values for p in plain], axis=0)
    square = np.sum([p.std_error**2 for p in plain], axis=0) / len(plain) ** 2
    expected = square + reference.std_error**2
    drawn = expected > 0  # players that never change V have no error
    return float(np.mean((mean - reference.values)[drawn] ** 2 / expected[drawn]))


def noise(reference: Point) -> float:
    """The root mean square error of the reference, by its own account."""
    return float(np.sqrt(np.mean(reference.std_error**2)))


def certain(reference: Point) -> float:
    """Mean precision of values that err as the reference does, if these were the true ones."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(400):
        noisy = reference.values + reference.std_error * generator.normal(
            size=len(reference.values)
        )
        found.append(_precision(replace(reference, ranking=noisy), reference))
    return float(np.mean(found))


def plain_cost(plain: Curve, error: float) -> float:
    """Evaluations at which permutation sampling has ``error``: its square falls as one over them,
    as that of every mean of independent draws."""
    return float(_unit(plain) / error**2)


def plain_error(plain: Curve, cost: float) -> float:
    """The error that permutation sampling has at so many evaluations."""
    return float(np.sqrt(_unit(plain) / cost))


def cost_of_error(found: Curve, error: float) -> tuple[str, float]:
    """Evaluations at which a curve comes down to ``error``, on straight lines in logarithms: as
    text, ``<`` or ``>`` before the end of a curve that is below or above all along, and as number,
    NaN for the latter."""
    known = found.known
    return _crossed(np.log(found.cost[known]), -np.log(found.error[known]), -np.log(error))


def cost_of_precision(found: Curve, precision: float) -> tuple[str, float]:
    """The same for a precision that a curve rises to."""
    return _crossed(np.log(found.cost), found.precision, precision)


def precision_at(found: Curve, cost: float) -> float:
    """On straight lines over the logarithm of cost; that of the end beyond it."""
    return float(np.interp(np.log(cost), np.log(found.cost), found.precision))


def _crossed(log_cost: FloatArray, height: FloatArray, wanted: float) -> tuple[str, float]:
    above = np.flatnonzero(height >= wanted - 1e-12)
    if not len(above):
        return f"> {np.exp(log_cost[-1]):,.0f}", np.nan
    at = int(above[0])
    if at == 0:
        cost = float(np.exp(log_cost[0]))
        return f"≤ {cost:,.0f}", cost
    share = (wanted - height[at - 1]) / (height[at] - height[at - 1])
    cost = float(np.exp(log_cost[at - 1] + share * (log_cost[at] - log_cost[at - 1])))
    return f"{cost:,.0f}", cost


def _unit(plain: Curve) -> float:
    """Evaluations times squared error, which is the same at every budget, over all of them."""
    known = plain.known
    return float(np.exp(np.mean(np.log(plain.cost[known] * plain.error[known] ** 2))))


def _precision(point: Point, reference: Point) -> float:
    def highest(scores: FloatArray) -> set[int]:
        return set(np.argsort(-scores, kind="stable")[:TOP].tolist())

    return len(highest(point.ranking) & highest(reference.values)) / TOP
