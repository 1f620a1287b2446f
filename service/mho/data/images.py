"""Pictures are read here: bytes -> an upright RGB image of 8 bits, or one clear error.

What the format is, is decided by the content and never by the name. Readable are JPEG, PNG, WebP,
BMP, GIF, TIFF and PPM/PGM. Of an animation the first frame counts; EXIF orientation is applied;
what is transparent is laid on white, as a viewer shows it; CMYK is converted without its colour
profile; of 16 bits per channel the upper 8 are kept.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mho.errors import InvalidData

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow's names of the formats that are read; every further decoder is one more to be attacked."""

_READ = "jpg jpeg jpe jfif png webp bmp gif tif tiff ppm pgm pnm"
_NOT_READ = "heic heif avif svg eps jp2 jxl psd tga"  # met with an error rather than passed over

SUFFIXES = frozenset(f".{suffix}" for suffix in f"{_READ} {_NOT_READ}".split())
"""Suffixes by which a folder's pictures are told from its other files."""

_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_PLAIN = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")
_FOREIGN = (
    (b"%!PS", "an EPS or PostScript file"),
    (b"%PDF", "a PDF"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file, probably an SVG drawing"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"8bps", "a Photoshop file"),
    (b"\x00\x00\x00\x0cjp", "a JPEG 2000 file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


def read(content: bytes, name: str, *, max_pixels: int) -> Image.Image:
    """The picture in ``content`` in mode RGB, upright.

    name: what errors call it. max_pixels: checked on the size in the header, before anything is
    decoded (Pillow's own limit of 178 million pixels holds besides). InvalidData for all that
    cannot be read in full.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about sizes and metadata
            return _decoded(content, name, max_pixels)
    except InvalidData:
        raise
    except UnidentifiedImageError:
        raise InvalidData(
            f"{name} is no picture that can be read: {_found(content)}; convert it to JPEG or PNG, "
            "or take it out of the data",
            subject=name,
        ) from None
    except Image.DecompressionBombError:
        raise _too_large(name, "more pixels than Pillow allows", max_pixels) from None
    except Exception as error:
        raise InvalidData(
            f"{name} is damaged and cannot be read in full ({error}); replace it or take it out of "
            "the data",
            subject=name,
        ) from error


def _decoded(content: bytes, name: str, max_pixels: int) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise _too_large(name, f"{height} x {width} pixels", max_pixels)
        image.load()
        upright = ImageOps.exif_transpose(image)
        return _rgb(upright, name, image.format or "")


def _too_large(name: str, found: str, max_pixels: int) -> InvalidData:
    return InvalidData(
        f"{name} has {found}; at most {max_pixels} are allowed: shrink it, or raise the setting "
        "max_image_pixels",
        subject=name,
    )


def _rgb(image: Image.Image, name: str, kind: str) -> Image.Image:
    mode = image.mode
    if mode in _ALPHA or (mode in ("P", "L", "RGB") and "transparency" in image.info):
        shown = Image.new("RGBA", image.size, "white")
        shown.alpha_composite(image.convert("RGBA"))
        return shown.convert("RGB")
    if mode in _PLAIN:
        return image.convert("RGB")
    if mode in _SIXTEEN_BITS or (mode == "I" and kind in ("PNG", "PPM")):
        upper = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(upper.clip(0, 255).astype(np.uint8)).convert("RGB")
    raise InvalidData(
        f"{name} has pixels of the kind '{mode}' ({kind}), for which there is no one way to 8-bit "
        "RGB; save it as an ordinary 8-bit PNG or JPEG",
        subject=name,
    )


def _found(content: bytes) -> str:
    """What the bytes look like, in words."""
    if not content.strip(b"\0"):
        return "the file is empty"
    start = content[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, words in _FOREIGN:
        if start.lower().startswith(magic.lower()):
            return f"it is {words}"
    if content[4:8] == b"ftyp":
        return "it is a HEIC, AVIF or video file"
    return f"it begins with {content[:8]!r}; JPEG, PNG, WebP, BMP, GIF, TIFF and PPM are read"
