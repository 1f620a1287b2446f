"""What a picture of a result is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chart:
    """A picture: the name of its file, what it shows in words, and the PNG itself."""

    file: str
    title: str
    caption: str
    png: bytes
