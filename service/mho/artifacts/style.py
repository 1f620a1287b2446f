"""How every picture looks: one palette, one set of sizes, and the way from a figure to PNG bytes.

Colours are those of Okabe and Ito and a red-blue scale, which people with the common kinds of
colour blindness can tell apart. Matplotlib is used without pyplot, so that nothing is kept between
pictures.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
PURPLE = "#AA4A9C"
GREY = "#767676"
INK = "#222222"
FAINT = "#E4E4E4"
FRAME = "#BDBDBD"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, "#B8860B", "#444444")

DPI = 150
WIDTH = 9.0
"""Inches; every picture is as wide as the page."""

_CAPTION_CHARACTERS = 118

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a tensor's name is a dollar
    "axes.unicode_minus": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Everything that makes or renders a figure happens in here."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc says
        matplotlib.rcParams.update(_SETTINGS)  # type: ignore[arg-type]  # its keys are literals
        warnings.filterwarnings("ignore", message="Glyph")  # names in scripts the font lacks
        yield


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of ``width`` by ``height`` inches, laid out by itself."""
    made = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(made)
    return made


def png(made: Figure) -> bytes:
    """The figure as PNG, without the time of day, so that equal results give equal files."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=DPI, metadata={"Software": "mho"})
    return buffer.getvalue()


def header(made: Figure, text: str, caption: str) -> None:
    """A title in plain words over a smaller caption, flush left, above everything else."""
    lines = textwrap.wrap(caption, _CAPTION_CHARACTERS)
    height = made.get_size_inches()[1]
    made.text(0.09 / WIDTH, 1 - 0.10 / height, text, va="top", fontsize=13, fontweight="bold")
    made.text(0.09 / WIDTH, 1 - 0.37 / height, "\n".join(lines), va="top", color=GREY)
    engine = made.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, 0, 1, 1 - header_height(caption) / height))


def header_height(caption: str) -> float:
    """Inches that the header takes."""
    return 0.42 + 0.175 * len(textwrap.wrap(caption, _CAPTION_CHARACTERS))


def number(value: float) -> str:
    """``value`` beside a scale of colours."""
    text = f"{value:,.0f}" if 100 <= abs(value) < 1e6 else f"{value:.2g}"
    return text.replace("-", "−")


def clean(text: str) -> str:
    """``text`` as one line without what cannot be drawn: controls, halves of characters."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def short(name: str, limit: int) -> str:
    """``name`` cut in its middle to ``limit`` characters; its end, which tells most, is kept."""
    name = clean(name)
    if len(name) <= limit:
        return name
    head = (limit - 1) // 3
    return f"{name[:head]}…{name[len(name) - (limit - 1 - head) :]}"


def shortened(names: Sequence[str], limit: int) -> dict[str, str]:
    """Name -> what stands for it in a picture, all different.

    What all long names begin and end with goes first, as far as it must; where that does not help,
    each is cut in its middle; those that would then look alike are told apart by their place.
    """
    long = [name for name in names if len(name) > limit]
    start, end = _shared(long)
    rest = max((len(name) - start - end + 2 for name in long), default=0)
    if rest <= limit:
        room = limit - rest  # for what need not go
        end = max(0, end - room // 2)
        start = max(0, start - (room - room // 2))
        cut = {name: name[start : len(name) - end] for name in long}
        for name, text in cut.items():
            cut[name] = f"{'…' if start else ''}{text}{'…' if end else ''}"
        return {name: clean(cut.get(name, name)) for name in names}
    once = {name: short(name, limit) for name in names}
    seen = Counter(once.values())
    return {
        name: text if seen[text] == 1 else f"{short(name, limit - 5)} [{place}]"
        for place, (name, text) in enumerate(once.items())
    }


def _shared(names: Sequence[str]) -> tuple[int, int]:
    """How many characters all names begin and end with, without overlap."""
    if len(names) < 2:
        return 0, 0
    start = _prefix(names)
    return start, _prefix([name[start:][::-1] for name in names])


def _prefix(names: Sequence[str]) -> int:
    first, last = min(names), max(names)  # what these two share, all that lie between share too
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return place
    return min(len(first), len(last))
