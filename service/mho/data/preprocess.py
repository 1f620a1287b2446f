"""How a picture becomes a model's input, and back: the SPEC of ``--preprocess``.

The keys are applied in this order, and a key that is absent does nothing::

    resize    shorter side in pixels, or [height, width]
    resample  how to resize, with antialiasing: bilinear (default), bicubic, lanczos, box, nearest
    crop      centre crop, one side in pixels or [height, width]
    channels  RGB (default), BGR or GRAY
    scale     factor on the pixel values 0..255, a number or a fraction such as 1/255
    mean      subtracted after scale: one number, or one per channel in the model's channel order
    std       divided by: the same
    layout    NCHW (default) or NHWC
    dtype     float32

>>> parse("{resize: 256, crop: 224, scale: 1/255}").size
(224, 224)
"""

from __future__ import annotations

import json
import reprlib
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from mho.errors import InvalidData, InvalidOption
from mho.types import Array, Float32Array

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
_CHANNELS = {"RGB": 3, "BGR": 3, "GRAY": 1}
_LAYOUTS = ("NCHW", "NHWC")
_MAX_SIDE = 16_384
_MAX_RESIZED_PIXELS = 64_000_000
_MAX_SPEC_BYTES = 64 * 1024


@dataclass(frozen=True)
class Preprocess:
    """A checked spec; the keys are described at the head of this module.

    ``mean`` and ``std`` have one number per channel; ``resize`` and ``crop`` are
    ``(height, width)``, except that ``resize`` may be the length of the shorter side.
    """

    resize: int | tuple[int, int] | None = None
    resample: str = "bilinear"
    crop: tuple[int, int] | None = None
    channels: str = "RGB"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: str = "NCHW"
    dtype: str = "float32"

    @property
    def size(self) -> tuple[int, int] | None:
        """``(height, width)`` of what comes out; None where it depends on the picture."""
        if self.crop is not None:
            return self.crop
        return self.resize if isinstance(self.resize, tuple) else None

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape of one preprocessed picture of that size, without the batch axis."""
        channels = _CHANNELS[self.channels]
        return (channels, height, width) if self.layout == "NCHW" else (height, width, channels)

    def apply(self, image: Image.Image, name: str = "the picture") -> Float32Array:
        """An RGB picture -> ``(channels, height, width)``, or with the channels last for NHWC.

        InvalidData names the picture where it is smaller than the crop or becomes too large.
        """
        image = self._cropped(self._resized(image, name), name)
        if self.channels == "GRAY":
            pixels = np.asarray(image.convert("L"))[..., None]
        else:
            pixels = np.asarray(image.convert("RGB"))
            if self.channels == "BGR":
                pixels = pixels[..., ::-1]
        return self._scaled(pixels)

    def black(self, height: int, width: int) -> Float32Array:
        """What the black picture of the model's own size becomes, in the shape of ``apply``."""
        return self._scaled(np.zeros((height, width, _CHANNELS[self.channels]), np.uint8))

    def displayed(self, array: Array) -> NDArray[np.uint8]:
        """The inverse of all but resize and crop: ``(height, width, 3)`` RGB, 0..255."""
        pixels = self.unscaled(array).round().clip(0, 255).astype(np.uint8)
        if self.channels == "GRAY":
            pixels = np.repeat(pixels, 3, axis=-1)
        elif self.channels == "BGR":
            pixels = pixels[..., ::-1]
        return np.ascontiguousarray(pixels)

    def unscaled(self, array: Array) -> Float32Array:
        """Pixel values 0..255 before rounding: ``(height, width, channels)`` in model's order."""
        moved = np.moveaxis(array, -3, -1) if self.layout == "NCHW" else array
        pixels = (moved * self._vector(self.std) + self._vector(self.mean)) / np.float32(self.scale)
        return np.asarray(pixels, np.float32)

    def to_json(self) -> dict[str, Any]:
        """The spec with every key, such that ``parse(json.dumps(...))`` gives it back."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    def text(self) -> str:
        """The spec as one canonical line of JSON."""
        return json.dumps(self.to_json(), sort_keys=True)

    def _vector(self, numbers: tuple[float, ...]) -> Float32Array:
        return np.asarray(numbers, np.float32)

    def _scaled(self, pixels: Array) -> Float32Array:
        """``(height, width, channels)`` of 0..255 -> the model's numbers and layout."""
        numbers = pixels.astype(np.float32) * np.float32(self.scale)
        numbers = (numbers - self._vector(self.mean)) / self._vector(self.std)
        if self.layout == "NCHW":
            numbers = np.moveaxis(numbers, -1, 0)
        return np.ascontiguousarray(numbers, np.float32)

    def _resized(self, image: Image.Image, name: str) -> Image.Image:
        if self.resize is None:
            return image
        if isinstance(self.resize, tuple):
            height, width = self.resize
        else:  # the longer side is cut to a whole number, as torchvision does it
            short, long = sorted(image.size)
            longer = int(self.resize * long / short)
            portrait = image.size[0] <= image.size[1]
            height, width = (longer, self.resize) if portrait else (self.resize, longer)
        if height * width > _MAX_RESIZED_PIXELS:
            raise InvalidData(
                f"{name} is {image.size[1]} x {image.size[0]} pixels and would be resized to "
                f"{height} x {width}; at most {_MAX_RESIZED_PIXELS} pixels are allowed: crop it "
                "first, or write resize as [height, width]",
                subject=name,
            )
        return image.resize((width, height), _RESAMPLE[self.resample])

    def _cropped(self, image: Image.Image, name: str) -> Image.Image:
        if self.crop is None:
            return image
        height, width = self.crop
        if height > image.size[1] or width > image.size[0]:
            raise InvalidData(
                f"{name} is {image.size[1]} x {image.size[0]} pixels (height x width) where "
                f"{height} x {width} are to be cropped; add a 'resize' of at least "
                f"{max(height, width)} to the preprocess spec",
                subject=name,
            )
        left, top = round((image.size[0] - width) / 2), round((image.size[1] - height) / 2)
        return image.crop((left, top, left + width, top + height))


PRESETS: dict[str, Preprocess] = {
    "imagenet": Preprocess(
        resize=256,
        crop=(224, 224),
        scale=1 / 255,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    "caffe": Preprocess(crop=(227, 227), channels="BGR", mean=(104.0, 117.0, 123.0)),
    "unit": Preprocess(scale=1 / 255),
}
"""Specs by name: ``imagenet`` is torchvision's, ``caffe`` that of AlexNet and SqueezeNet 1.0 (BGR,
0..255 minus the mean), ``unit`` only brings RGB to 0..1."""

EXAMPLE = '--preprocess imagenet, or --preprocess "{resize: 256, crop: 224, scale: 1/255}"'
"""What error messages show to someone who has to write a spec."""


def parse(text: str, *, files: bool = True) -> Preprocess:
    """The spec that ``text`` is (YAML or JSON), names as a preset, or names as a file.

    files: whether ``text`` may name a file; a server says no, for its clients cannot see its disk.
    InvalidOption names an unknown key, a bad value, or a text that is nothing of all this.
    """
    name = text.strip()
    if name in PRESETS:
        return PRESETS[name]
    where = "the preprocess spec"
    if files and (content := _file(name)) is not None:
        where, text = f"the preprocess file {name}", content
    if len(text) > _MAX_SPEC_BYTES:
        raise InvalidOption(f"{where} is longer than {_MAX_SPEC_BYTES} bytes", subject="preprocess")
    try:
        written = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = "" if line is None else f" (line {line + 1})"
        raise InvalidOption(
            f"{where} is no valid YAML or JSON{at}; write e.g. {EXAMPLE}", subject="preprocess"
        ) from None
    if not isinstance(written, dict):
        raise InvalidOption(
            f"{where} is {_short(written)}, which is neither a preset ({', '.join(PRESETS)}), "
            f"nor {'a file that exists, nor ' if files else ''}a spec; write e.g. {EXAMPLE}",
            subject="preprocess",
        )
    return _checked(written, where)


def _file(name: str) -> str | None:
    """The content of the file ``name``; None where there is no such file."""
    try:
        path = Path(name)
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return stream.read(_MAX_SPEC_BYTES + 1).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidOption(
            f"the preprocess file {name} is no text; it must hold YAML or JSON",
            subject="preprocess",
        ) from None
    except (OSError, ValueError):  # too long or with a NUL to be a file's name, or unreadable
        return None


def _checked(written: dict[Any, Any], where: str) -> Preprocess:
    known = [entry.name for entry in fields(Preprocess)]
    for key in written:
        if key not in known:
            raise InvalidOption(
                f"{where} has the unknown key {_short(key)}; there are {', '.join(known)}",
                subject="preprocess",
            )
    given = {key: value for key, value in written.items() if value is not None}
    values: dict[str, Any] = {
        key: _choice(key, given[key], choices, where)
        for key, choices in (
            ("resample", tuple(_RESAMPLE)),
            ("channels", tuple(_CHANNELS)),
            ("layout", _LAYOUTS),
            ("dtype", ("float32",)),
        )
        if key in given
    }
    channels = _CHANNELS[values.get("channels", "RGB")]
    if "resize" in given:
        values["resize"] = _sides("resize", given["resize"], where)
    if "crop" in given:
        sides = _sides("crop", given["crop"], where)
        values["crop"] = (sides, sides) if isinstance(sides, int) else sides
    if "scale" in given:
        values["scale"] = _number("scale", given["scale"], where, zero=False)
    for key, default in (("mean", 0.0), ("std", 1.0)):
        values[key] = _per_channel(key, given.get(key, default), channels, where)
    return Preprocess(**values)


def _short(value: Any) -> str:
    if value is None:
        return "empty"
    text = reprlib.repr(value)  # bounded in work: YAML aliases make a repr of any length
    return text if len(text) <= 80 else f"{text[:80]}…"


def _choice(key: str, value: Any, choices: tuple[str, ...], where: str) -> str:
    for choice in choices:
        if isinstance(value, str) and value.lower() == choice.lower():
            return choice
    raise InvalidOption(
        f"{where}: '{key}' is {_short(value)}; choose one of {', '.join(choices)}",
        subject="preprocess",
    )


def _sides(key: str, value: Any, where: str) -> int | tuple[int, int]:
    sides = value if isinstance(value, list) else [value]
    whole = all(isinstance(s, int) and not isinstance(s, bool) for s in sides)
    if not whole or len(sides) not in (1, 2) or not all(1 <= s <= _MAX_SIDE for s in sides):
        raise InvalidOption(
            f"{where}: '{key}' is {_short(value)}; a number of pixels between 1 and {_MAX_SIDE}, "
            "or [height, width], is needed",
            subject="preprocess",
        )
    return (sides[0], sides[1]) if len(sides) == 2 else sides[0]


def _number(key: str, value: Any, where: str, *, zero: bool = True) -> float:
    number = float("nan")
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:  # a fraction as text: YAML has no division
            number = float(Fraction(value)) if isinstance(value, str) else float(value)
        except (ValueError, ZeroDivisionError, OverflowError):
            number = float("nan")
    fits = 1e-30 < abs(number) < 1e30 or (number == 0 and zero)  # so that float32 holds it
    if not fits:
        raise InvalidOption(
            f"{where}: '{key}' has {_short(value)}; a finite number"
            f"{'' if zero else ' other than 0'} is needed",
            subject="preprocess",
        )
    return number


def _per_channel(key: str, value: Any, channels: int, where: str) -> tuple[float, ...]:
    numbers = value if isinstance(value, list) else [value] * channels
    if len(numbers) != channels:
        raise InvalidOption(
            f"{where}: '{key}' has {len(numbers)} numbers for {channels} channels; write one "
            "number, or one per channel in the model's channel order",
            subject="preprocess",
        )
    return tuple(_number(key, number, where, zero=key != "std") for number in numbers)
