""".npy and .npz: read as they are, and refused where header and bytes disagree."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mho.data.arrays import check_finite, converted, is_npz, opened_npz, read_npy
from mho.errors import InvalidData
from mho.types import Array

LIMIT = 1_000_000


def raw(descr: str, shape: str, data: bytes, *, version: bytes = b"\1\0") -> bytes:
    """A .npy whose header says what it likes."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


def saved(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_arrays_come_back_as_they_were_saved(tmp_path: Path) -> None:
    for array in (
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(5, dtype=">i4"),
        np.array([True, False]),
        np.zeros((0, 3), np.float32),
        np.float16(3.0),
    ):
        np.save(tmp_path / "x.npy", array)
        np.savez(tmp_path / "x.npz", **{"a/b": array})
        found = read_npy(tmp_path / "x.npy", max_bytes=LIMIT)
        with opened_npz(tmp_path / "x.npz", max_bytes=LIMIT) as file:
            assert file.names == ("a/b",)
            packed = file.read("a/b")
        for result in (found, packed):
            np.testing.assert_array_equal(result, array)
            assert result.dtype == array.dtype.newbyteorder("=")
            assert result.dtype.isnative


def test_the_array_is_read_only(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3))
    found = read_npy(tmp_path / "x.npy", max_bytes=LIMIT)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (raw("'<f4'", "(1000000000000,)", b""), "4000000000000 bytes; at most 1000000 are allowed"),
        (raw("'<f4'", f"({2**40}, {2**40})", b""), "at most 1000000"),
        (raw("'<f4'", "(100,)", b"\0" * 396), "400 bytes, but holds 396"),
        (raw("'<f4'", "(1,)", b"\0" * 8), "4 bytes, but holds 8"),
        (raw("'<f4'", "(-1, -4)", b"\0" * 16), r"impossible shape \(-1, -4\)"),
        (raw("'<f4'", "(" + "1," * 100 + ")", b"\0" * 4), "impossible shape"),
        (raw("'|O'", "(1,)", b"\0" * 8), "Python objects"),
        (raw("'<U4'", "(1,)", b"\0" * 16), "values of type <U4"),
        (raw("'|S4'", "(1,)", b"\0" * 4), "values of type"),
        (raw("[('a', '<f4')]", "(1,)", b"\0" * 4), "values of type"),
        (raw("'<c8'", "(1,)", b"\0" * 8), "values of type complex64"),
        (raw("'<M8[s]'", "(1,)", b"\0" * 8), "values of type"),
        (raw("__import__('os')", "(1,)", b"\0" * 4), r"no \.npy that can be read"),
        (raw("'<f4'", "3", b"\0" * 12), r"no \.npy that can be read"),
        (raw("'<f4'", "(3,)", b"\0" * 12, version=b"\7\0"), r"no \.npy that can be read"),
        (b"\x93NUMPY\1\0\xff\xff{", r"no \.npy that can be read"),
        (b"\x93NUMPY", r"no \.npy that can be read"),
        (saved(np.array([{"a": 1}], dtype=object)), "Python objects"),
    ],
)
def test_a_bad_npy_is_refused_before_anything_is_allocated(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InvalidData, match=said) as caught:
        read_npy(tmp_path / "x.npy", max_bytes=LIMIT)
    assert "x.npy" in caught.value.message
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with (
        opened_npz(tmp_path / "x.npz", max_bytes=LIMIT) as file,
        pytest.raises(InvalidData, match=said) as caught,
    ):
        file.read("x")
    assert "array 'x'" in caught.value.message


def test_an_npz_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(500_000, np.float32))
    assert (tmp_path / "x.npz").stat().st_size < 10_000
    with (
        pytest.raises(InvalidData, match="unpacks to 2000128 bytes in 1 arrays; at most 1000000"),
        opened_npz(tmp_path / "x.npz", max_bytes=LIMIT),
    ):
        pass


def test_a_truncated_or_foreign_npz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.arange(100))
    path.write_bytes(path.read_bytes()[:-20])
    with (
        pytest.raises(InvalidData, match=r"no \.npz that can be read"),
        opened_npz(path, max_bytes=LIMIT),
    ):
        pass
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat.jpg", b"")
    assert not is_npz(path)
    with (
        pytest.raises(InvalidData, match=r"member 'cat.jpg' is not a \.npy"),
        opened_npz(path, max_bytes=LIMIT),
    ):
        pass


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_the_first_number_that_is_not_finite_is_named(
    value: float, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mho.data.arrays._CHUNK", 7)  # so that it lies in a later part
    array = np.zeros((9, 2, 3), np.float32)
    array[7, 1, 2] = array[8, 0, 0] = value
    with pytest.raises(InvalidData, match=rf"x holds {word} at index \(7, 1, 2\)"):
        check_finite(array, "x")
    check_finite(array[:7], "x")
    check_finite(np.array(1.0), "x")
    with pytest.raises(InvalidData, match=rf"{word} at index \(\)"):
        check_finite(np.array(value), "x")


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ("float64", "float32"),
        ("float16", "float32"),
        ("float32", "float64"),
        ("int32", "int64"),
        ("int64", "int32"),
        ("uint8", "int64"),
        ("bool", "int64"),
    ],
)
def test_what_loses_nothing_is_converted(have: str, want: str) -> None:
    found = converted(np.array([0, 1]).astype(have), want, "x")
    assert found.dtype == want
    np.testing.assert_array_equal(found, [0, 1])


@pytest.mark.parametrize(
    ("array", "want", "said"),
    [
        (np.array([1e300]), "float32", r"converted from float64 to float32, holds inf at index"),
        (np.array([1, 2**40]), "int32", "values from 1 to 1099511627776, which do not fit"),
        (np.array([-1]), "uint8", "do not fit"),
        (np.array([1, 2], np.uint8), "float32", r"is uint8 .* takes float32.*astype"),
        (np.array([1.0]), "int64", "is float64 where the model takes int64"),
        (np.array([1]), "bool", "is int64 where the model takes bool"),
    ],
)
def test_what_would_change_a_value_is_refused(array: Array, want: str, said: str) -> None:
    with pytest.raises(InvalidData, match=said):
        converted(array, want, "x")
