"""Where paths start, for each kind of baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graph.nets import normal
from mho.data.preprocess import parse
from mho.errors import InvalidData, InvalidOption
from mho.runtime.baselines import starts
from runtime.bound import data

F = np.float32
IMAGES = normal(1, 2, 3, 16, 12)
SPEC = parse("{crop: [16, 12], scale: 1/255, mean: [0.5, 0.25, 0], std: [0.5, 0.5, 0.5]}")


def made(name: str = "", ends: np.ndarray = IMAGES, file: Path | None = None, **options: object):  # type: ignore[no-untyped-def]
    given = data(ends, preprocess=options.get("preprocess"))  # type: ignore[arg-type]
    return starts(name, {"x": ends}, given, file, embedded=bool(options.get("embedded")))


def test_zero() -> None:
    found = made("zero", IMAGES.astype(np.float16))
    assert (found.name, found.per_input) == ("zero", False)
    assert found.values["x"].shape == (1, 3, 16, 12)
    assert found.values["x"].dtype == np.float16
    assert not found.values["x"].any()


def test_black_is_the_preprocessed_black_image() -> None:
    black = np.array([-1, -0.5, 0], F)[None, :, None, None]
    expected = np.broadcast_to(black, (1, 3, 16, 12))
    for name in ("black", "auto"):
        found = made(name, preprocess=SPEC)
        assert found.name == "black"
        np.testing.assert_allclose(found.values["x"], expected)
    last = parse("{crop: [16, 12], scale: 1/255, mean: [0.5, 0.25, 0], std: 0.5, layout: NHWC}")
    found = made("black", IMAGES.transpose(0, 2, 3, 1), preprocess=last)
    np.testing.assert_allclose(found.values["x"], expected.transpose(0, 2, 3, 1))


def test_auto_is_zero_for_other_data_and_for_embeddings() -> None:
    assert made("auto").name == "zero"
    assert made("auto", preprocess=SPEC, embedded=True).name == "zero"


def test_mean() -> None:
    found = made("mean")
    np.testing.assert_allclose(found.values["x"][0], IMAGES.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("last", [False, True])
def test_blurred_keeps_each_images_mean_colours_and_loses_its_shapes(last: bool) -> None:
    ends = np.full((2, 3, 40, 40), 0.25, F)
    ends[1] = normal(2, 3, 40, 40)
    ends = ends.transpose(0, 2, 3, 1) if last else ends
    found = made("blurred", ends)
    assert found.per_input
    values = found.values["x"]
    assert values.dtype == F
    np.testing.assert_allclose(values[0], 0.25, rtol=1e-5)
    assert values[1].std() < 0.2 * ends[1].std()
    channel = (0, 1) if last else (1, 2)
    np.testing.assert_allclose(values[1].mean(axis=channel), ends[1].mean(axis=channel), atol=0.1)


def test_who_starts_where() -> None:
    first = [index.tolist() for index in made("zero").pairs(3)]
    assert first == [[0, 0, 0], [0, 1, 2]]
    assert [index.tolist() for index in made("blurred").pairs(2)] == [[0, 1], [0, 1]]


def test_a_file_may_hold_one_baseline_or_a_set(tmp_path: Path) -> None:
    file = tmp_path / "b.npy"
    np.save(file, IMAGES[0].astype(np.float64))
    found = made("b.npy", file=file)
    assert (found.name, found.per_input) == ("b.npy", False)
    np.testing.assert_array_equal(found.values["x"], IMAGES[:1])
    many = normal(3, 5, 3, 16, 12)
    np.savez(tmp_path / "b.npz", x=many)
    found = made("b", file=tmp_path / "b.npz")
    np.testing.assert_array_equal(found.values["x"], many)
    start, owner = found.pairs(2)
    assert list(zip(start, owner, strict=True)) == [(s, i) for i in range(2) for s in range(5)]


def test_a_file_with_an_array_too_many_is_refused(tmp_path: Path) -> None:
    """A name that was misspelt must not pass for want of another."""
    np.savez(tmp_path / "b.npz", x=IMAGES[:1], other=np.zeros(3))
    with pytest.raises(InvalidData, match="holds 'other', which is none of x"):
        made("b", file=tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 16, 13), F), r"holds float32 \(3, 16, 13\) for 'x'; numbers of shape"),
        (np.zeros((0, 3, 16, 12), F), "holds float32"),
        (np.zeros((3, 16, 12), bool), "holds bool"),
        (np.float32(1), "holds float32"),
        (np.full((3, 16, 12), np.nan, F), "NaN"),
    ],
)
def test_files_that_do_not_fit(array: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", array)
    with pytest.raises(InvalidData, match=message):
        made("b", file=tmp_path / "b.npy")


def test_numbers_that_do_not_fit_the_models_type(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.full((3, 16, 12), 1e30))
    with pytest.raises(InvalidData, match="inf"):
        made("b", IMAGES.astype(np.float16), file=tmp_path / "b.npy")


def test_files_for_several_path_inputs(tmp_path: Path) -> None:
    ends = {"a": normal(1, 2, 3), "b": normal(2, 2, 4)}
    given = data(ends)
    np.savez(tmp_path / "b.npz", a=np.ones((2, 3)), b=np.ones((3, 4)))
    with pytest.raises(InvalidData, match=r"hold \[2, 3\] rows; all need as many"):
        starts("b", ends, given, tmp_path / "b.npz", embedded=False)
    np.savez(tmp_path / "b.npz", a=np.ones((2, 3)))
    with pytest.raises(InvalidData, match="has no array 'b'"):
        starts("b", ends, given, tmp_path / "b.npz", embedded=False)
    np.save(tmp_path / "b.npy", np.ones(3))
    with pytest.raises(InvalidData, match="is one array, but the path runs on a, b"):
        starts("b", ends, given, tmp_path / "b.npy", embedded=False)


@pytest.mark.parametrize(
    ("name", "ends", "message"),
    [
        ("black", IMAGES, "needs images and the spec"),
        ("blurred", normal(1, 2, 5), "needs images of at most 4 channels"),
        ("blurred", normal(1, 2, 64, 7, 7), "needs images of at most 4 channels"),
        ("purple", IMAGES, "baseline is 'purple', which is neither auto, black"),
    ],
)
def test_baselines_that_mean_nothing_here(name: str, ends: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidOption, match=message) as error:
        made(name, ends)
    assert error.value.subject == "baseline"


def test_black_for_an_input_that_is_no_image() -> None:
    ends = {"x": IMAGES, "z": normal(1, 2, 5)}
    with pytest.raises(InvalidOption, match="'z' has shape"):
        starts("black", ends, data(ends, preprocess=SPEC), None, embedded=False)
