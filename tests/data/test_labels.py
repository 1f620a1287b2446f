"""Labels from arrays and tables, aligned with the inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mho.data import labels
from mho.errors import InvalidData

NAMES = ("a.jpg", "cats/b.jpg", "c.jpg")


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_aligned_by_file_name_with_class_names(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "\ufefffile\tlabel\tid\tname\nc.jpg\t7\tx\tdog\r\nother.jpg\t1\ty\tbird\n"
        "b.jpg\t0\tx\tcat\n\na.jpg\t7\tx\tdog\n",
    )
    found = labels.read(path, NAMES, by_file=True)
    np.testing.assert_array_equal(found.labels, [7, 0, 7])
    assert found.labels.dtype == np.int64
    assert found.class_names == {7: "dog", 0: "cat"}


def test_the_whole_path_goes_before_the_name_alone(tmp_path: Path) -> None:
    path = table(tmp_path, "file\tlabel\nb.jpg\t1\ncats/b.jpg\t2\n")
    np.testing.assert_array_equal(labels.read(path, ["cats/b.jpg"], by_file=True).labels, [2])


def test_arrays_take_a_table_in_order(tmp_path: Path) -> None:
    path = table(tmp_path, "label\n3\n1\n2\n")
    np.testing.assert_array_equal(labels.read(path, NAMES, by_file=False).labels, [3, 1, 2])


def test_an_array_is_told_by_its_content(tmp_path: Path) -> None:
    with (tmp_path / "labels").open("wb") as stream:
        np.save(stream, np.array([1, 2, 0], np.uint8))
    found = labels.read(tmp_path / "labels", NAMES, by_file=True)
    np.testing.assert_array_equal(found.labels, [1, 2, 0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.jpg\t1\n", "no column 'file' in their first line"),
        ("file,label\na.jpg,1\n", "no column 'file'.*separated by tabs"),
        ("", "no column 'file'"),
        ("file\tlabel\na.jpg\tcat\n", "line 2: the label is 'cat'"),
        ("file\tlabel\na.jpg\n", "line 2: the label is ''"),
        ("file\tlabel\na.jpg\t1.5\n", "the label is '1.5'"),
        ("file\tlabel\na.jpg\t٣\n", "line 2: the label"),
        ("file\tlabel\na.jpg\t99999999999999999999\n", "line 2: the label"),
        ("file\tlabel\na.jpg\t1\nb.jpg\t0\nc.jpg\t-1\n", "hold -1 at index 2"),
        ("file\tlabel\na.jpg\t1\nb.jpg\t0\n", "no row for 'c.jpg'"),
        ("file\tlabel\na.jpg\t1\na.jpg\t2\n", "give 'a.jpg' two labels, 1 and 2"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidData, match=said) as caught:
        labels.read(table(tmp_path, text), NAMES, by_file=True)
    assert caught.value.subject == "labels"


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([1, 2]), r"shape \(2,\) for 3 inputs"),
        (np.array([[1], [2], [3]]), r"shape \(3, 1\) for 3 inputs"),
        (
            np.array([0.0, 1.0, 2.0]),
            r"are float64, but all are whole .*int64\), and .*\(inputs, 1\)",
        ),
        (np.array([0.5, 1.0]), r"are float64 \(2,\); .* shape \(3, outputs\) for 3 inputs"),
        (np.zeros((3, 0)), r"are float64 \(3, 0\); the targets"),
        (np.array([0.5, np.nan, 1.0]), r"holds? NaN at index \(1,\)"),
        (np.array([[1.0], [np.inf], [1.0]]), r"holds? inf at index \(1, 0\)"),
        (np.array([0, -1, 2]), "hold -1 at index 1"),
        (np.array([0, 2**63, 2], np.uint64), "at index 1"),
        (np.array(["a", "b", "c"]), "values of type"),
    ],
)
def test_a_bad_array_is_named(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "labels.npy", array)
    with pytest.raises(InvalidData, match=said):
        labels.read(tmp_path / "labels.npy", NAMES, by_file=False)


def test_floats_are_the_targets_of_a_regressor(tmp_path: Path) -> None:
    for array in (np.array([0.5, 1, 2], np.float32), np.ones((3, 2)), normal_targets()):
        np.save(tmp_path / "targets.npy", array)
        found = labels.read(tmp_path / "targets.npy", NAMES, by_file=True)
        assert found.labels is None
        assert found.truth is not None
        assert found.truth.dtype == np.float64
        np.testing.assert_array_equal(found.truth, array.reshape(3, -1))


def normal_targets() -> np.ndarray:
    """Targets of an output with positions, ``(inputs, 2, 2)``."""
    return np.random.default_rng(0).normal(size=(3, 2, 2))


def test_too_few_rows_and_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="have 1 rows for 3 inputs"):
        labels.read(table(tmp_path, "label\n1\n"), NAMES, by_file=False)
    with pytest.raises(InvalidData, match=r"missing.tsv cannot be read: No such file"):
        labels.read(tmp_path / "missing.tsv", NAMES, by_file=True)
    (tmp_path / "raw").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidData, match=r"neither \.npy nor UTF-8"):
        labels.read(tmp_path / "raw", NAMES, by_file=True)
