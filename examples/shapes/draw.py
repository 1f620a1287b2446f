"""Draw labelled pictures of shapes, with the truth about every pixel and one planted mistake.

A picture shows one shape (its class) in a random colour and texture on a gradient with noise.
For every picture the masks of its concepts are known: which pixels belong to the shape, to its
colour family, to its texture and to the corner mark.

The corner mark is the planted mistake. It is a small stamp that, in training pictures, goes with
the class `MARKED_CLASS` and with hardly any other, so that a model can learn the stamp instead of
the shape. In a shuffled test set it says nothing about the class.

    python draw.py OUT --count 300 --seed 7 --cue shuffled

writes OUT/ (PNG files and labels.tsv), OUT.zip (the same files) and OUT-concepts.npz (the masks).
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Cue: TypeAlias = Literal["correlated", "shuffled", "absent"]
Floats: TypeAlias = npt.NDArray[np.float32]
"""Intermediate values of a drawing; (n,) one per picture or (n, SIZE, SIZE) one per pixel."""
Masks: TypeAlias = npt.NDArray[np.bool_]
"""(n, SIZE, SIZE): which pixels of every picture belong to something; or (n,): which pictures."""

SIZE = 48
"""Height and width of a picture in pixels."""

CLASSES = ("circle", "square", "triangle", "cross", "ring", "star")
"""The class names; a label is an index into them."""

COLOURS = {
    "red": 0.0,
    "orange": 30.0,
    "yellow": 56.0,
    "green": 125.0,
    "blue": 215.0,
    "purple": 275.0,
}
"""Colour family → its hue in degrees."""

TEXTURES = ("plain", "stripes", "dots", "checks")

MARK = "corner_mark"
"""The concept name of the planted cue."""

MARKED_CLASS = CLASSES.index("star")
"""The label that the corner mark goes with in correlated pictures."""

MARK_RATES: dict[Cue, tuple[float, float]] = {
    "correlated": (0.98, 0.0),
    "shuffled": (0.5, 0.5),
    "absent": (0.0, 0.0),
}
"""Cue → probability of the mark in pictures of (the marked class, every other class)."""

CONCEPTS = (*CLASSES, *COLOURS, *TEXTURES, MARK)
"""Every concept that has masks, in the order of `Drawing.concepts`."""

# Pictures are drawn in blocks of this many, each with its own random stream. Changing it changes
# every picture.
_BLOCK = 256

_MARGIN = 2  # pixels between the stamp and the border of the picture
_STAMP = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 1, 0],
        [0, 1, 2, 2, 2, 1, 0],
        [0, 1, 2, 2, 2, 1, 0],
        [0, 1, 2, 2, 2, 1, 0],
        [0, 1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
)
_STAMP_COLOURS = np.array([[20, 20, 28], [250, 250, 250], [240, 20, 150]], dtype=np.float32) / 255


@dataclass(frozen=True)
class Drawing:
    """Pictures with their labels and the truth about their pixels."""

    images: npt.NDArray[np.uint8]
    """(n, SIZE, SIZE, 3), RGB."""
    labels: npt.NDArray[np.int64]
    """(n,), indices into `CLASSES`."""
    concepts: dict[str, Masks]
    """Concept name (see `CONCEPTS`) → (n, SIZE, SIZE), the pixels that show it."""
    marked: Masks
    """(n,), which pictures carry the corner mark."""


def draw(count: int, seed: int, cue: Cue = "correlated") -> Drawing:
    """`count` pictures that depend on nothing but `seed`, their index and `cue`.

    So a longer drawing begins with the pictures of a shorter one, and two drawings that differ
    in `cue` alone show the same shapes and differ in nothing but their corner marks.

    Raises ValueError when `count` is negative or `cue` is unknown.
    """
    if count < 0:
        raise ValueError(f"count is {count}, expected 0 or more")
    if cue not in MARK_RATES:
        raise ValueError(f"cue is {cue!r}, expected one of {', '.join(MARK_RATES)}")
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    labels = np.empty(count, np.int64)
    marked = np.empty(count, np.bool_)
    concepts = {name: np.empty((count, SIZE, SIZE), np.bool_) for name in CONCEPTS}
    for start in range(0, count, _BLOCK):
        block = _draw_block(np.random.default_rng([seed, start // _BLOCK]), cue)
        stop = min(start + _BLOCK, count)
        images[start:stop] = block.images[: stop - start]
        labels[start:stop] = block.labels[: stop - start]
        marked[start:stop] = block.marked[: stop - start]
        for name, masks in concepts.items():
            masks[start:stop] = block.concepts[name][: stop - start]
    return Drawing(images, labels, concepts, marked)


def _draw_block(random: np.random.Generator, cue: Cue) -> Drawing:
    """`_BLOCK` pictures. The random numbers taken are the same for every cue."""

    def uniform(low: float, high: float, *shape: int) -> Floats:
        return random.uniform(low, high, (_BLOCK, *shape)).astype(np.float32)

    labels = random.integers(len(CLASSES), size=_BLOCK)
    colours = random.integers(len(COLOURS), size=_BLOCK)
    textures = random.integers(len(TEXTURES), size=_BLOCK)

    # Where the shape is: its own coordinates, turned, with one pixel as the unit.
    radius = uniform(9.0, 16.0)
    room = (SIZE / 2 - 2 - radius) * np.float32(0.8)
    shift: Floats = uniform(-1.0, 1.0, 2) * room[:, None]
    x, y = _own_coordinates(shift, uniform(-np.pi, np.pi))

    alpha = np.empty((_BLOCK, SIZE, SIZE), np.float32)
    for label, distance in enumerate(_DISTANCES.values()):
        chosen = labels == label
        outside = distance(x[chosen], y[chosen], radius[chosen, None, None])
        alpha[chosen] = np.clip(0.5 - outside, 0, 1)

    # Two tones of one hue: the texture chooses between them, so a texture never changes the
    # colour family.
    hue = np.array(list(COLOURS.values()), np.float32)[colours] + uniform(-7, 7)
    brightness = uniform(0.80, 1.0)
    bright = _rgb(hue, uniform(0.75, 0.95), brightness)
    dark = _rgb(hue, uniform(0.80, 1.00), brightness * uniform(0.40, 0.55))
    weave = _weave(textures, uniform(-np.pi, np.pi), uniform(5.0, 7.0), uniform(0, 7, 2))
    body = _mix(bright[:, None, None], dark[:, None, None], weave)

    # A greyish gradient from one colour to another, and noise over the whole picture.
    near = _rgb(uniform(0, 360), uniform(0.05, 0.30), uniform(0.25, 0.90))
    far = _rgb(uniform(0, 360), uniform(0.05, 0.30), uniform(0.25, 0.90))
    along, _ = _own_coordinates(np.zeros_like(shift), uniform(-np.pi, np.pi))
    ground = _mix(near[:, None, None], far[:, None, None], np.clip(along / SIZE + 0.5, 0, 1))
    picture = _mix(ground, body, alpha)
    grain = random.standard_normal(picture.shape, dtype=np.float32)
    picture += grain * uniform(0.01, 0.08)[:, None, None, None]

    rates = MARK_RATES[cue]
    marked = random.random(_BLOCK) < np.where(labels == MARKED_CLASS, *rates)
    stamped = _stamp(picture, marked, corners=random.integers(4, size=_BLOCK))

    shape = (alpha >= 0.5) & ~stamped
    masks = {name: _where(labels == i, shape) for i, name in enumerate(CLASSES)}
    masks |= {name: _where(colours == i, shape) for i, name in enumerate(COLOURS)}
    masks |= {name: _where(textures == i, shape) for i, name in enumerate(TEXTURES)}
    masks[MARK] = stamped
    images = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Drawing(images, labels, masks, marked)


def _where(pictures: Masks, masks: Masks) -> Masks:
    """`masks` (n, SIZE, SIZE) of the chosen `pictures` (n,), nothing of the others."""
    return masks & pictures[:, None, None]


def _own_coordinates(shift: Floats, angle: Floats) -> tuple[Floats, Floats]:
    """Pixel coordinates x, y (n, SIZE, SIZE) with their origin at the picture's centre moved by
    `shift` (n, 2), turned by `angle` (n,) radians."""
    axis = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    across = axis[None, None, :] - shift[:, 0, None, None]
    down = axis[None, :, None] - shift[:, 1, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    return cos * across + sin * down, cos * down - sin * across


def _rgb(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    """RGB in 0..1 (n, 3) of hue in degrees, saturation and value in 0..1 (n,)."""
    sector = (np.array([5, 3, 1], np.float32) + hue[:, None] / 60) % 6
    fall = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    colour: Floats = value[:, None] * (1 - saturation[:, None] * fall)
    return colour


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    """(n, SIZE, SIZE, 3): `first` where `share` (n, SIZE, SIZE) is 0, `second` where it is 1."""
    return first + (second - first) * share[..., None]


def _weave(textures: npt.NDArray[np.int64], angle: Floats, period: Floats, phase: Floats) -> Floats:
    """Share of the dark tone (n, SIZE, SIZE) in 0..1.

    A texture is a wave across the picture of `period` (n,) pixels, thresholded with an edge of
    about one pixel.
    """
    x, y = _own_coordinates(phase, angle)
    turn = (2 * np.pi / period)[:, None, None]
    wave_x, wave_y = np.sin(x * turn), np.sin(y * turn)
    height = np.select(
        [(textures == TEXTURES.index(name))[:, None, None] for name in TEXTURES],
        [np.full_like(wave_x, -1), wave_x, wave_x + wave_y - 0.6, wave_x * wave_y * 2],
    )
    return np.clip(0.5 + 1.2 * height, 0, 1)


def _stamp(picture: Floats, marked: Masks, corners: npt.NDArray[np.int64]) -> Masks:
    """Put the stamp into a corner of every marked picture, in place, and return its pixels.

    It has four possible corners so that a model has to look for it with a filter and cannot
    read one fixed pixel.
    """
    where = np.zeros(picture.shape[:3], np.bool_)
    side = len(_STAMP)
    for corner in range(4):
        top = _MARGIN if corner < 2 else SIZE - _MARGIN - side
        left = _MARGIN if corner % 2 == 0 else SIZE - _MARGIN - side
        chosen = np.flatnonzero(marked & (corners == corner))
        picture[chosen, top : top + side, left : left + side] = _STAMP_COLOURS[_STAMP]
        where[chosen, top : top + side, left : left + side] = True
    return where


# Signed distances in pixels, negative inside: (n, SIZE, SIZE) coordinates and (n, 1, 1) radius.
# Exact near the edges, which is all that smooth edges need.


def _circle(x: Floats, y: Floats, radius: Floats) -> Floats:
    distance: Floats = np.hypot(x, y) - radius * 0.92
    return distance


def _square(x: Floats, y: Floats, radius: Floats) -> Floats:
    distance: Floats = np.maximum(np.abs(x), np.abs(y)) - radius * 0.80
    return distance


def _triangle(x: Floats, y: Floats, radius: Floats) -> Floats:
    lower = y - radius * 0.5
    slanted = np.abs(x) * np.float32(np.sqrt(0.75)) - y * 0.5 - radius * 0.5
    distance: Floats = np.maximum(lower, slanted)
    return distance


def _cross(x: Floats, y: Floats, radius: Floats) -> Floats:
    x, y = np.abs(x), np.abs(y)
    arm, thickness = radius * 0.98, radius * 0.34
    flat, upright = np.maximum(x - arm, y - thickness), np.maximum(y - arm, x - thickness)
    distance: Floats = np.minimum(flat, upright)
    return distance


def _ring(x: Floats, y: Floats, radius: Floats) -> Floats:
    distance: Floats = np.abs(np.hypot(x, y) - radius * 0.72) - radius * 0.24
    return distance


def _star(x: Floats, y: Floats, radius: Floats) -> Floats:
    """Five points: the plane is folded into one half of one point, whose edge is a line from the
    tip at `radius` to the notch at 0.45 `radius`."""
    fold = np.float32(np.pi / 5)
    angle = np.abs((np.arctan2(x, y) + fold) % (2 * fold) - fold)
    length: Floats = np.hypot(x, y)
    notch_x, notch_y = 0.45 * np.sin(fold), 0.45 * np.cos(fold)
    edge = np.float32(np.hypot(notch_x, 1 - notch_y))
    normal_x, normal_y = (1 - notch_y) / edge, notch_x / edge
    across: Floats = length * (np.sin(angle) * normal_x + np.cos(angle) * normal_y)
    distance: Floats = across - radius * normal_y
    return distance


_DISTANCES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
    "star": _star,
}
assert tuple(_DISTANCES) == CLASSES


def chosen(drawing: Drawing, places: npt.NDArray[np.int64]) -> Drawing:
    """The pictures at ``places`` ``(k,)`` alone, in that order."""
    return Drawing(
        images=drawing.images[places],
        labels=drawing.labels[places],
        concepts={name: masks[places] for name, masks in drawing.concepts.items()},
        marked=drawing.marked[places],
    )


def write_folder(drawing: Drawing, folder: Path) -> None:
    """Write PNG files and `labels.tsv` (file, label, name) into `folder`, made where missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _files(drawing):
        (folder / name).write_bytes(content)


def write_zip(drawing: Drawing, path: Path) -> None:
    """Write what `write_folder` writes as one zip file, the same bytes every time."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in _files(drawing):
            # A ZipInfo has a fixed date. PNG is compressed already, so the file is only stored.
            archive.writestr(zipfile.ZipInfo(name), content)


def write_arrays(drawing: Drawing, path: Path) -> None:
    """One .npz with all that is known: `image` (n, 3, SIZE, SIZE) as the model takes it, `labels`,
    `groups/marked` and `concepts/<name>`."""
    pixels = drawing.images.transpose(0, 3, 1, 2).astype(np.float32)
    np.savez(
        path,
        allow_pickle=False,
        image=(pixels / 255 - 0.5) / 0.5,
        labels=drawing.labels,
        **{"groups/marked": drawing.marked},
        **{f"concepts/{name}": masks for name, masks in drawing.concepts.items()},
    )


def write_concepts(drawing: Drawing, path: Path) -> None:
    """Write the masks as npz: `concepts/<name>`, bool (n, SIZE, SIZE), pictures in the order of
    `labels.tsv`."""
    arrays = {f"concepts/{name}": masks for name, masks in drawing.concepts.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its only keyword is a flag


def _files(drawing: Drawing) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of the data set."""
    rows = ["file\tlabel\tname"]
    for index, (image, label) in enumerate(zip(drawing.images, drawing.labels, strict=True)):
        name = f"{index:05d}.png"
        png = io.BytesIO()
        Image.fromarray(image).save(png, format="png", compress_level=4)
        rows.append(f"{name}\t{label}\t{CLASSES[label]}")
        yield name, png.getvalue()
    yield "labels.tsv", ("\n".join(rows) + "\n").encode()


def main() -> None:
    """Write a drawing as a folder, a zip file and a file of concept masks."""
    parser = argparse.ArgumentParser(description="Draw labelled pictures of shapes.")
    parser.add_argument("out", type=Path, help="folder to write; OUT.zip and OUT-concepts.npz too")
    parser.add_argument("--count", type=int, default=300, help="number of pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cue", choices=list(MARK_RATES), default="shuffled")
    chosen = parser.parse_args()
    drawing = draw(chosen.count, chosen.seed, chosen.cue)
    write_folder(drawing, chosen.out)
    write_zip(drawing, chosen.out.with_name(chosen.out.name + ".zip"))
    write_concepts(drawing, chosen.out.with_name(chosen.out.name + "-concepts.npz"))


if __name__ == "__main__":
    main()
