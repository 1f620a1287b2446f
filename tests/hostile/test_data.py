"""Tensors that lie, and pictures that do harm or are merely odd."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.test_images import PLAIN, chunk, encoded, png
from fuzz.files import zipped
from fuzz.place import X as INPUTS
from fuzz.place import npy, npz
from hostile.attacked import Attacked, refused, tensor
from mho_client.v1 import tensors_pb2

ONE = INPUTS[:1]
SPEC = "{resize: 6, crop: 6, mean: [0.5, 0.5, 0.5]}"
PATCH = Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 6, 3), np.uint8))


# ---- tensors ------------------------------------------------------------------------------------

TENSORS: dict[str, dict[str, tensors_pb2.Tensor]] = {
    "too few bytes": {"x": tensor(ONE, data=ONE.tobytes()[:-1])},
    "too many bytes": {"x": tensor(ONE, data=ONE.tobytes() + b"\0")},
    "no bytes": {"x": tensor(ONE, data=b"")},
    "another shape": {"x": tensor(ONE, dims=[1, 6, 6, 3])},
    "negative dimension": {"x": tensor(ONE, dims=[-1, 3, 6, 6])},
    "overflowing dimensions": {"x": tensor(ONE, dims=[2**62, 2**62, 6, 6])},
    "dimensions that wrap round to the right size": {"x": tensor(ONE, dims=[2**62, 3, 6, 6, 4])},
    "rank 100": {"x": tensor(ONE, dims=[1] * 97 + [3, 6, 6])},
    "no input at all": {"x": tensor(ONE, dims=[0, 3, 6, 6], data=b"")},
    "NaN": {"x": tensor(ONE * np.float32(np.nan))},
    "infinite": {"x": tensor(ONE * np.float32(np.inf))},
    "whole numbers": {"x": tensor(np.ones((1, 3, 6, 6), np.int64))},
    "strings": {"x": tensor(ONE, data_type=tensors_pb2.DATA_TYPE_STRING)},
    "a type that there is not": {"x": tensor(ONE, data_type=99)},
    "no type": {"x": tensor(ONE, data_type=0)},
    "unknown input": {"x": tensor(ONE), "z": tensor(ONE)},
    "another input": {"z": tensor(ONE)},
    "nothing": {},
}


@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_of_a_call(server: Attacked, kind: str) -> None:
    given = TENSORS[kind]
    refused(lambda: server.mallory.attribute(server.model, inputs=given), "INVALID_DATA")


def header(kind: str, shape: str) -> bytes:
    """A .npy that says what it likes."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    length = len(text).to_bytes(2, "little")
    return b"\x93NUMPY\x01\x00" + length + text.encode() + INPUTS.tobytes()


ARRAYS: dict[str, bytes] = {
    "empty": b"",
    "truncated": npy(INPUTS)[:-1],
    "random": np.random.default_rng(0).bytes(1000),
    "pickled": header("|O", "(4,)"),
    "strings": npy(np.array(["a", "b"])),
    "negative": header("<f4", "(-1, 3, 6, 6)"),
    "a shape that overflows": header("<f4", f"({2**62}, {2**62}, 3, 6)"),
    "a terabyte": header("<f4", f"({2**38}, 3, 6, 6)"),
    "rank 100": header("<f4", f"({'1,' * 100})"),
    "a header that runs": header("<f4", "__import__('os').abort()"),
    "complex": npy(INPUTS.astype(np.complex64)),
    "another shape": npy(INPUTS[:, :1]),
    "no inputs": npy(INPUTS[:0]),
    "NaN": npy(INPUTS * np.float32(np.nan)),
    "infinite": npy(INPUTS * np.float32(np.inf)),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_a_dataset(server: Attacked, kind: str) -> None:
    dataset(server, ("x.npy", ARRAYS[kind]))


@pytest.mark.parametrize(
    "arrays",
    [
        {"z": INPUTS},
        {"x": INPUTS, "z": INPUTS},
        {"x": INPUTS, "labels": np.arange(3)},
        {"x": INPUTS, "labels": np.array(["a"] * 4)},
        {"x": INPUTS, "labels": np.full(4, np.nan)},
        {"x": INPUTS, "groups/a": np.ones(5, bool)},
    ],
    ids=lambda arrays: ",".join(arrays),
)
def test_archives_of_arrays(server: Attacked, arrays: dict[str, Any]) -> None:
    dataset(server, ("x.npz", npz(**arrays)))


# ---- pictures -----------------------------------------------------------------------------------


def ztxt() -> bytes:
    swollen = zlib.compress(b"\0" * 50_000_000, 9)
    return png(2, 2, between=chunk(b"zTXt", b"Comment\0\0" + swollen))


PICTURES: dict[str, bytes] = {
    "pixel bomb": png(50_000, 50_000, data=b"tiny"),
    "beyond the limit": png(1001, 1000, data=b"tiny"),
    "pixels that overflow": png(2**31 - 1, 2**31 - 1, data=b"tiny"),
    "no pixels": png(0, 0, data=b"tiny"),
    "truncated PNG": encoded(PLAIN, "PNG")[:200],
    "truncated JPEG": encoded(PLAIN, "JPEG")[:600],
    "zTXt bomb": ztxt(),
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "PDF": b"%PDF-1.7",
    "ICO": encoded(PLAIN.resize((16, 16)), "ICO"),
    "TGA": encoded(PLAIN, "TGA"),
    "PCX": encoded(PLAIN, "PCX"),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "floating point": encoded(Image.fromarray(np.zeros((6, 6), np.float32)), "TIFF"),
    "empty": b"",
    "random": np.random.default_rng(4).bytes(500),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_that_are_refused(server: Attacked, kind: str) -> None:
    content = PICTURES[kind]
    given = {"images": [content], "preprocess": SPEC}
    refused(lambda: server.mallory.attribute(server.model, **given), "INVALID_DATA")
    dataset(server, ("x.zip", zipped([("a.png", content)])), preprocess=SPEC)


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    return encoded(PATCH.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


def sixteen_bits() -> bytes:
    return encoded(Image.fromarray(np.asarray(PATCH.convert("L")).astype(np.uint16) * 257), "PNG")


GRAY = PATCH.convert("L").convert("RGB")
RED = Image.new("RGB", (6, 6), (255, 0, 0))
ODD: dict[str, tuple[bytes, Image.Image]] = {
    "EXIF-rotated": (rotated(), PATCH),
    "16 bits": (sixteen_bits(), GRAY),
    "animated": (
        encoded(RED, "PNG", save_all=True, append_images=[Image.new("RGB", (6, 6), "blue")]),
        RED,
    ),
    "CMYK": (encoded(Image.new("CMYK", (6, 6), (0, 255, 255, 0)), "TIFF"), RED),
    "a BMP named .png": (encoded(PATCH, "BMP"), PATCH),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_pictures_are_read_as_they_look(server: Attacked, kind: str) -> None:
    content, plain = ODD[kind]
    found, wanted = (
        server.mallory.attribute(server.model, layers=["r"], images=[one], preprocess=SPEC)
        for one in (content, encoded(plain, "PNG"))
    )
    scores = [np.frombuffer(each.layers[0].scores.data, np.float32) for each in (found, wanted)]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.02)
    data = ("x.zip", zipped([("a.png", content)]))
    made = server.mallory.make_dataset(server.model, data, preprocess=SPEC, validate_only=True)
    assert made.input_count == 1


# ---- archives -----------------------------------------------------------------------------------


def linked() -> bytes:
    out = io.BytesIO()
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(link, "/etc/passwd")
    return out.getvalue()


GOOD = encoded(PATCH, "PNG")
ARCHIVES: dict[str, bytes] = {
    "out of it": zipped([("../a.png", GOOD)]),
    "absolute": zipped([("/etc/a.png", GOOD)]),
    "drive": zipped([("C:/a.png", GOOD)]),
    "link": linked(),
    "bomb": zipped([(f"{i}.png", b"\0" * 9_000_000) for i in range(8)], zipfile.ZIP_DEFLATED),
    "truncated": zipped([("a.png", GOOD)])[:-30],
    "random": np.random.default_rng(5).bytes(500),
    "nothing in it": zipped([]),
    "no picture in it": zipped([("readme.txt", b"x")]),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_of_pictures(server: Attacked, kind: str) -> None:
    dataset(server, ("x.zip", ARCHIVES[kind]), preprocess=SPEC)


@pytest.mark.parametrize(
    "spec",
    ["", "none such", "{resize: -1}", "{resize: 1000000000}", "[", "x: &a [*a]", "!!python/x"],
)
def test_preprocessing_that_cannot_be(server: Attacked, spec: str) -> None:
    content = ("x.zip", zipped([("a.png", GOOD)]))
    reasons = ("INVALID_OPTION", "INVALID_DATA")
    model = server.model
    refused(lambda: server.mallory.make_dataset(model, content, preprocess=spec), *reasons)


def dataset(server: Attacked, inputs: tuple[str, bytes], **more: Any) -> str:
    """A dataset that must be refused for its data."""
    return refused(
        lambda: server.mallory.make_dataset(server.model, inputs, **more), "INVALID_DATA"
    )
