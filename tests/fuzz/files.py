"""Files of a dataset that were valid: arrays, archives, pictures and tables with damage done."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from fuzz.models import flipped
from fuzz.place import LABELS, X, npy, npz, png

PREPROCESS = "{resize: 6, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}"


@dataclass(frozen=True)
class Upload:
    """Files of a dataset to be made; ``labels`` is empty where there are none."""

    inputs: tuple[str, bytes]
    labels: tuple[str, bytes] = ("", b"")
    preprocess: str = ""


def zipped(entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name or "_")  # repeated names make zipfile warn
            info.compress_type = compression
            archive.writestr(info, content)
    return out.getvalue()


@st.composite
def _header(draw: st.DrawFn) -> bytes:
    """A .npy whose header says something else than its bytes."""
    shape = draw(
        st.sampled_from(
            (
                "(4, 3, 6, 6)",
                "(4, 3, 6)",
                "(0, 3, 6, 6)",
                "(-1, 3, 6, 6)",
                "()",
                f"({2**62},)",
                f"({2**40}, 3, 6, 6)",
                "(4, 3, 6, 6,",
                "4",
                "None",
                "(1,) * 100",
                "(4L, 3)",
            )
        )
    )
    kind = draw(
        st.sampled_from(("<f4", ">f4", "<f8", "|O", "<U9", "<i8", "|V4", "<c16", "f", "<M8[s]"))
    )
    order = draw(st.sampled_from(("False", "True", "1", "x")))
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    version = draw(st.sampled_from((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00")))
    length = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + length + text.encode() + X.tobytes()


@st.composite
def _archive(draw: st.DrawFn) -> bytes:
    """A ZIP of pictures, some with odd names or damaged."""
    names = st.sampled_from(
        (
            "a/1.png",
            "a/2.png",
            "b/3.png",
            "../1.png",
            "/1.png",
            "a\\1.png",
            "labels.tsv",
            "1.svg",
            "1.gif",
            "x" * 255 + ".png",
            "a/",
            "�.png".encode("utf-8", "replace").decode(),
            ".png",
        )
    )
    chosen = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    content = st.just(png()) | flipped(png()) | st.binary(max_size=30)
    entries = [(name, b"" if name.endswith("/") else draw(content)) for name in chosen]
    made = zipped(entries, draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))))
    return draw(st.just(made) | flipped(made))


_ARRAYS = (
    *(X, X[:1], X[:0], X.astype(np.float64), X.astype(np.int64), X[0], np.float32(1), X * np.nan),
    *(X.reshape(4, -1), X[:, :1], X[:, :, :5], np.array(["a", "b"]), np.asfortranarray(X)),
)
_LABELS = (
    *(LABELS, LABELS[:3], LABELS.astype(np.float32), LABELS + 99, -LABELS, LABELS[None]),
    *(LABELS.astype(bool), LABELS.astype(np.uint64) + 2**63, np.array([], np.int64)),
)


@st.composite
def _tables(draw: st.DrawFn) -> tuple[str, bytes]:
    how = draw(st.integers(0, 3))
    if how == 0:
        return "", b""
    if how == 1:
        return "labels.npy", draw(st.sampled_from(_LABELS).map(npy) | flipped(npy(LABELS)))
    lines = b"file\tlabel\na/1.png\t0\na/2.png\t1\nb/3.png\t2\n"
    return "labels.tsv", draw(flipped(lines) | st.just(lines) | st.binary(max_size=50))


@st.composite
def uploads(draw: st.DrawFn) -> Upload:
    """What may be sent as a dataset."""
    how = draw(st.sampled_from(("npy", "npy", "npz", "npz", "zip", "zip")))
    labels = draw(_tables())
    spec = draw(
        st.sampled_from(("", PREPROCESS, PREPROCESS, "imagenet", "{resize: -1}", "[", "x: &a"))
    )
    if how == "npy":
        content = draw(st.sampled_from(_ARRAYS).map(npy) | _header() | flipped(npy(X)))
        return Upload(("x.npy", content), labels, spec)
    if how == "npz":
        keys = st.sampled_from(
            ("x", "labels", "targets", "groups/a", "concepts/b", "other", "../x")
        )
        arrays = st.sampled_from((*_ARRAYS, *_LABELS, LABELS > 0))
        chosen = draw(st.dictionaries(keys, arrays, max_size=4))
        kept = npz(**{"x": X, **{str(key): value for key, value in chosen.items()}})
        return Upload(("x.npz", draw(st.just(kept) | flipped(kept))), labels, spec)
    return Upload(("x.zip", draw(_archive())), labels, spec)
