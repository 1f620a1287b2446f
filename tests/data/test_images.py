"""Reading pictures: every kind that is met, and those that are made to do harm."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mho.data import images
from mho.errors import InvalidData

LIMIT = 1_000_000


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def pixels(content: bytes) -> np.ndarray:
    image = images.read(content, "x.png", max_pixels=LIMIT)
    assert image.mode == "RGB"
    return np.asarray(image)


def chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def png(width: int, height: int, *, between: bytes = b"", data: bytes = b"") -> bytes:
    """A PNG whose header says what it likes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + between
        + chunk(b"IDAT", zlib.compress(data or b"\0" * (height * (3 * width + 1))))
        + chunk(b"IEND", b"")
    )


PLAIN = Image.fromarray(
    np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_the_pixels_back(kind: str) -> None:
    np.testing.assert_array_equal(pixels(encoded(PLAIN, kind)), np.asarray(PLAIN))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_come_close(kind: str) -> None:
    found = pixels(encoded(PLAIN, kind)).astype(float)
    assert found.shape == (48, 72, 3)
    assert np.abs(found - np.asarray(PLAIN)).mean() < 20


def test_cmyk_becomes_rgb() -> None:
    found = pixels(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert found[4, 4, 0] > 240
    assert found[4, 4, 1:].max() < 15


def test_of_sixteen_bits_the_upper_eight_are_kept() -> None:
    values = np.array([[0, 255, 256, 0x8000, 0xFFFF]], np.uint16)
    for kind in ("PNG", "TIFF"):
        found = pixels(encoded(Image.fromarray(values), kind))
        np.testing.assert_array_equal(found[0, :, 0], [0, 0, 1, 128, 255])
    portable = b"P5 5 1 65535\n" + values.astype(">u2").tobytes()
    np.testing.assert_array_equal(pixels(portable)[0, :, 2], [0, 0, 1, 128, 255])


def test_what_is_transparent_is_laid_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    np.testing.assert_array_equal(pixels(encoded(image, "PNG"))[0], [[200, 0, 0], [255] * 3])
    gray = Image.new("LA", (1, 1), (0, 0))
    np.testing.assert_array_equal(pixels(encoded(gray, "PNG"))[0, 0], [255] * 3)
    palette = Image.new("P", (1, 1), 3)
    palette.putpalette([9] * 12)
    found = pixels(encoded(palette, "PNG", transparency=3))
    np.testing.assert_array_equal(found[0, 0], [255] * 3)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_other_modes_become_rgb(mode: str) -> None:
    found = pixels(encoded(Image.new("RGB", (3, 2), "white").convert(mode), "PNG"))
    np.testing.assert_array_equal(found, np.full((2, 3, 3), 255))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    red, blue = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    found = pixels(encoded(red, kind, save_all=True, append_images=[blue]))
    assert found[4, 4, 0] > 240
    assert found[4, 4, 2] < 15


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = pixels(encoded(PLAIN, "PNG", exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(np.asarray(PLAIN), -1))


def test_the_content_decides_and_not_the_name() -> None:
    content = encoded(PLAIN, "BMP")
    assert images.read(content, "really-a-bmp.jpg", max_pixels=LIMIT).size == PLAIN.size


def test_a_pixel_bomb_is_refused_by_its_header() -> None:
    bomb = png(50_000, 50_000, data=b"tiny")
    with pytest.raises(InvalidData, match=r"bomb.png has .*at most 1000000 are allowed"):
        images.read(bomb, "bomb.png", max_pixels=LIMIT)
    with pytest.raises(InvalidData, match="1001 x 1000 pixels"):
        images.read(png(1000, 1001, data=b"tiny"), "big.png", max_pixels=LIMIT)


def test_compressed_text_cannot_swell() -> None:
    swollen = zlib.compress(b"\0" * 50_000_000, 9)
    bomb = png(2, 2, between=chunk(b"zTXt", b"Comment\0\0" + swollen))
    with pytest.raises(InvalidData, match=r"ztxt.png is damaged .*too large"):
        images.read(bomb, "ztxt.png", max_pixels=LIMIT)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_named(kind: str, share: float) -> None:
    content = encoded(PLAIN, kind)
    with pytest.raises(InvalidData, match=r"half.img") as caught:
        images.read(content[: int(share * len(content))], "half.img", max_pixels=LIMIT)
    assert caught.value.subject == "half.img"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'<?xml version="1.0"?><svg/>', "probably an SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS or PostScript"),
        (b"%PDF-1.7", "a PDF"),
        (b"\0\0\0\x20ftypheic", "HEIC"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"", "the file is empty"),
        (b"hello", "it begins with b'hello'"),
    ],
)
def test_what_is_no_picture_is_named_with_the_remedy(content: bytes, said: str) -> None:
    with pytest.raises(InvalidData, match=f"fake.png is no picture.*{said}.*convert it"):
        images.read(content, "fake.png", max_pixels=LIMIT)


def test_floating_point_pixels_are_refused() -> None:
    content = encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF")
    with pytest.raises(InvalidData, match="of the kind 'F'"):
        images.read(content, "depth.tif", max_pixels=LIMIT)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_flipped_bytes_give_a_picture_or_one_clear_error(kind: str) -> None:
    content = encoded(PLAIN, kind)
    generator = np.random.default_rng(3)
    for _ in range(60):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            damaged[place] = generator.integers(0, 256)
        with contextlib.suppress(InvalidData):  # and nothing but InvalidData
            assert images.read(bytes(damaged), "damaged.img", max_pixels=LIMIT).mode == "RGB"
