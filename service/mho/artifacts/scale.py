"""Scores over positions -> colours: alone on white, or laid over a picture that has become grey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from PIL import Image

from mho.artifacts import style
from mho.artifacts.canvas import Box, Canvas
from mho.artifacts.context import Picture
from mho.types import FloatArray

_ROBUST = 99.5
"""Percentile of ``|score|`` at which colours end, so that one bright spot fades nothing."""
_LOOKED_AT = 1 << 21
"""Scores from which the percentile is taken."""

_SIGNED, _ONE_SIGN = "RdBu", "Blues"
_PALE, _FULL = 0.4, 0.88  # over a picture; what is weak is transparent rather than pale
_OPACITY, _GAMMA = 0.92, 0.5
_FADED = 0.45  # what is left of a picture's contrast
_MID_GREY = 0.78


@dataclass(frozen=True)
class Scale:
    """limit: the ``|score|`` that has the full colour; 0 where no score differs from 0. signed:
    whether there are two colours, blue above 0 and red below, or only the one above."""

    limit: float
    signed: bool

    def share(self, scores: FloatArray) -> FloatArray:
        """Scores as -1..1; what is not a number becomes 0, which has no colour."""
        with np.errstate(over="ignore"):
            share = np.nan_to_num(scores / (self.limit or 1.0), posinf=1.0, neginf=-1.0)
        return np.clip(share, -1.0, 1.0)

    def alone(self, share: FloatArray) -> FloatArray:
        """``(..., 3)`` RGB in 0..1, white at 0."""
        colours = colormaps[_SIGNED if self.signed else _ONE_SIGN]
        found = colours((1 + share) / 2 if self.signed else share)
        return np.asarray(found[..., :3], np.float64)

    def over(self, share: FloatArray, grey: FloatArray) -> FloatArray:
        """The same over ``grey`` of the same shape; the weaker, the more transparent."""
        strength = np.abs(share)
        pale = np.where(strength > 0, _PALE + (_FULL - _PALE) * strength, 0) * np.sign(share)
        opacity = (_OPACITY * strength**_GAMMA)[..., None]
        return opacity * self.alone(pale) + (1 - opacity) * grey[..., None]

    def bar(self, canvas: Canvas, box: Box, *, laid_over: bool) -> None:
        """Draw the colours from one end to the other into ``box``, and their scores below it."""
        low = -1.0 if self.signed else 0.0
        share = np.linspace(low, 1, 256)[None]
        over = self.over(share, np.full(share.shape, _MID_GREY))
        canvas.image(over if laid_over else self.alone(share), box)
        if not self.limit:
            canvas.text("nothing to show", box.left, box.top + box.height + 0.04, color=style.GREY)
            return
        sides = ("left", "center", "right") if self.signed else ("left", "right")
        for side, end in zip(sides, np.linspace(low, 1, len(sides)), strict=True):
            left = box.left + box.width * (end - low) / (1 - low)
            text = style.number(float(end) * self.limit)
            canvas.text(text, left, box.top + box.height + 0.04, ha=side, color=style.GREY)


def scale(scores: FloatArray, *, signed: bool) -> Scale:
    """Colours for all of ``scores``: up to the 99.5th percentile of ``|score|`` where it is not 0,
    or else to the largest."""
    found = np.abs(scores.reshape(-1)[:: 1 + scores.size // _LOOKED_AT])
    found = found[np.isfinite(found)]
    limit = float(np.percentile(found, _ROBUST)) if found.size else 0.0
    return Scale(limit or float(found.max(initial=0.0)), signed)


def resized(share: FloatArray, width: int, height: int) -> FloatArray:
    """``(rows, columns)`` brought smoothly to ``(height, width)``.

    Linearly: a cubic curve swings beyond its points, and what is beside a peak would get a score of
    the other sign.
    """
    image = Image.fromarray(share.astype(np.float32))
    made = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(made, np.float64)


def greyed(picture: Picture, width: int, height: int) -> FloatArray:
    """The picture's lightness in 0..1, paler, ``(height, width)``."""
    image = Image.fromarray(picture).convert("L").resize((width, height), Image.Resampling.LANCZOS)
    return 1 - _FADED * (1 - np.asarray(image, np.float64) / 255)


def thumbnail(picture: Picture, box: Box) -> FloatArray:
    """``(rows, columns, 3)`` in 0..1, not larger than can be seen in ``box``."""
    image = Image.fromarray(picture)
    if image.width > box.pixels[0]:
        image = image.resize(box.pixels, Image.Resampling.LANCZOS)
    return np.asarray(image, np.float64) / 255
