"""Error and precision against evaluations, one row of two pictures for every game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from contenders import TOP
from learning_curves import DEFAULT, PLAIN, Compared, Curve, plain_error
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from mho.artifacts import style

_HEIGHT = 2.55
"""Inches of a row."""
_BELOW, _ABOVE = 0.6, 1.6
"""Of the lowest and the highest error of permutation sampling, to where the picture goes."""


@dataclass(frozen=True)
class Look:
    """How a contender is drawn; front: over the others."""

    colour: str
    dash: str = "-"
    width: float = 1.3
    marker: str = ""
    front: bool = False


_LOOKS = {
    PLAIN: Look(style.INK, width=2.0, marker="o", front=True),
    f"{PLAIN}, 16 inputs": Look(style.INK, "--", 1.5),
    DEFAULT: Look(style.BLUE, width=2.4, marker="o", front=True),
    f"{DEFAULT}, top {TOP}": Look(style.BLUE, ":", 1.8, front=True),
    "gradient": Look(style.GREEN, width=2.0, marker="o", front=True),
    "regression_msr": Look(style.PURPLE, width=1.8, marker="o", front=True),
    "antithetic": Look("#8C8C8C", width=1.6),
    "truncated": Look("#B8860B"),
    f"tmab, top {TOP}": Look("#B8860B", "--"),
    "TMAB as published": Look(style.ORANGE, "--"),
    "shapiq PermutationSamplingSV": Look("#8C8C8C", ":"),
    "shapiq StratifiedSamplingSV": Look("#C9A0C0", "-."),
    "shapiq OwenSamplingSV": Look("#C9A0C0", ":"),
    "shapiq KernelSHAP": Look("#E69F00"),
    "shapiq KernelSHAP, leverage": Look("#E69F00", "--"),
    "shapiq UnbiasedKernelSHAP": Look("#CC4444", ":"),
    "shapiq SVARM": Look("#CC4444", "-."),
}
_UNKNOWN = Look("#56B4E9", "-.")


def draw(compared: Sequence[Compared]) -> bytes:
    """PNG."""
    names = [name for name in _LOOKS if any(name in found.curves for found in compared)]
    names += sorted({name for found in compared for name in found.curves} - set(names))
    caption = (
        "An evaluation is V of one coalition over all inputs; slopes count for three. Error: root "
        "mean square over the players, no less than that of the reference. Hollow diamond: the "
        "default without a budget. Thin black: permutation sampling by the law of means. Dotted "
        f"across: of how many of the top {TOP} the reference is certain."
    )
    with style.drawing():
        legend = 0.22 * -(-len(names) // 4) + 0.1
        height = _HEIGHT * len(compared) + style.header_height(caption) + legend
        figure = style.figure(height)
        style.header(figure, "Evaluations that estimators of Shapley values take", caption)
        axes = figure.subplots(len(compared), 2, squeeze=False)
        for (left, right), found in zip(axes, compared, strict=True):
            _errors(left, found)
            _precisions(right, found)
        handles = [_line(name) for name in names]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, handlelength=2.6)
        return style.png(figure)


def _errors(axes: Axes, found: Compared) -> None:
    plain = found.curves[PLAIN]
    axes.set_title(found.title, fontweight="bold")
    axes.set_xscale("log")
    axes.set_yscale("log")
    least = min(float(one.cost[0]) for one in found.curves.values())
    ends = np.array([least, float(plain.cost[-1])])
    law = [plain_error(plain, cost) for cost in ends]
    axes.plot(ends, law, color=style.INK, linewidth=0.8)
    for name, one in found.curves.items():
        _curve(axes, name, one.cost, one.error)
    lead = [one.error[one.known] for name, one in found.curves.items() if name in (PLAIN, DEFAULT)]
    lowest = float(np.concatenate(lead).min())
    axes.set_ylim(lowest * _BELOW, law[0] * _ABOVE)
    _default(axes, found.default, error=True)
    _finish(axes, "error", ends)


def _precisions(axes: Axes, found: Compared) -> None:
    plain = found.curves[PLAIN]
    axes.set_xscale("log")
    for name, one in found.curves.items():
        _curve(axes, name, one.cost, TOP * one.precision)
    axes.axhline(TOP * found.certain, color=style.GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_ylim(0, TOP * 1.02)
    axes.set_yticks(range(0, TOP + 1, 5))
    _default(axes, found.default, error=False)
    least = min(float(one.cost[0]) for one in found.curves.values())
    _finish(axes, f"found of the top {TOP}", np.array([least, float(plain.cost[-1])]))


def _curve(axes: Axes, name: str, cost: np.ndarray, height: np.ndarray) -> None:
    look = _LOOKS.get(name, _UNKNOWN)
    axes.plot(cost, height, **_drawn(look), zorder=4 if look.front else 2)


def _default(axes: Axes, own: Curve | None, *, error: bool) -> None:
    if own is None:
        return
    height = own.error if error else TOP * own.precision
    axes.plot(
        own.cost, height, marker="D", markersize=7, markerfacecolor="white",
        markeredgecolor=style.BLUE, markeredgewidth=1.8, linestyle="", zorder=5,
    )  # fmt: skip


def _finish(axes: Axes, label: str, ends: np.ndarray) -> None:
    axes.set_xlim(ends[0] / 1.15, ends[1] * 1.15)
    axes.set_xlabel("evaluations")
    axes.set_ylabel(label)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,g}"))
            axis.set_minor_formatter(NullFormatter())
    axes.grid(color=style.FAINT, linewidth=0.6, which="major")
    axes.set_axisbelow(True)


def _line(name: str) -> Line2D:
    return Line2D([], [], label=name, **_drawn(_LOOKS.get(name, _UNKNOWN)))


def _drawn(look: Look) -> dict[str, object]:
    return {
        "color": look.colour,
        "linestyle": look.dash,
        "linewidth": look.width,
        "marker": look.marker,
        "markersize": 4,
    }
