"""From files to what a model is fed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mho.data.dataset import Dataset, read
from mho.data.source import Source
from mho.errors import InvalidData, InvalidOption, Unsupported
from mho.types import TensorSpec

IMAGE = TensorSpec("data", "float32", ("N", 3, 8, 8))
TOKENS = TensorSpec("tokens", "int64", (1, 5))
SPEC = "{crop: 8, scale: 1/255, mean: 0.5}"


def opened(
    inputs: Path,
    *signature: TensorSpec,
    labels: Path | None = None,
    preprocess: str | None = None,
    max_bytes: int = 10_000_000,
) -> Dataset:
    return read(
        Source(inputs, labels, preprocess),
        signature or (IMAGE,),
        max_bytes=max_bytes,
        max_pixels=1_000_000,
    )


def batch(count: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Three pictures with labels, one in an inner folder, and things that are no pictures."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in ("b.png", "a.png", "more/c.PNG"):
        pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "labels.tsv").write_text(
        "file\tlabel\tname\na.png\t2\tant\nb.png\t0\tbee\nc.PNG\t2\tant\n", encoding="utf-8"
    )
    (folder / "README.md").write_text("not a picture", encoding="utf-8")
    return folder


# arrays


def test_an_array_feeds_the_one_input(tmp_path: Path) -> None:
    array = batch()
    data = opened(saved(tmp_path / "x.npy", array))
    assert list(data.inputs) == ["data"]
    np.testing.assert_array_equal(data.inputs["data"], array)
    assert len(data) == 4
    assert data.names == ("0", "1", "2", "3")
    assert data.labels is None
    assert data.picture(0) is None


def test_the_kind_of_file_is_told_by_its_content(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npy", batch())
    blob = path.rename(tmp_path / "6d15d2862e21")
    assert len(opened(blob)) == 4


def test_an_npz_is_keyed_by_input_and_may_hold_more(tmp_path: Path) -> None:
    mask = np.array([True, False])
    np.savez(
        tmp_path / "x.npz",
        **{
            "enc/ids": np.ones((2, 5), np.int32),
            "data": batch(2).astype(np.float64),
            "labels": np.array([3, 1]),
            "groups/women": mask,
            "concepts/red/dark": np.ones((2, 4, 4), bool),
        },
    )
    data = opened(tmp_path / "x.npz", IMAGE, TensorSpec("enc/ids", "int64", ("N", None)))
    assert {name: array.dtype.name for name, array in data.inputs.items()} == {
        "enc/ids": "int64",
        "data": "float32",
    }
    np.testing.assert_array_equal(data.labels, [3, 1])
    np.testing.assert_array_equal(data.groups["women"], mask)
    assert data.concepts["red/dark"].shape == (2, 4, 4)


def test_an_input_may_have_a_reserved_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", labels=np.ones((2, 3), np.float32))
    data = opened(tmp_path / "x.npz", TensorSpec("labels", "float32", ("N", 3)))
    assert data.labels is None
    assert data.inputs["labels"].shape == (2, 3)


def test_labels_beside_the_inputs_go_before_those_within(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", data=batch(2), labels=np.array([0, 0]))
    data = opened(tmp_path / "x.npz", labels=saved(tmp_path / "y.npy", np.array([5, 6])))
    np.testing.assert_array_equal(data.labels, [5, 6])


def test_an_npz_may_hold_the_targets_of_a_regressor(tmp_path: Path) -> None:
    labels, targets = np.array([1, 0]), np.array([3, 4])
    np.savez(tmp_path / "x.npz", data=batch(2), labels=labels, targets=targets)
    data = opened(tmp_path / "x.npz")
    np.testing.assert_array_equal(data.labels, labels)
    np.testing.assert_array_equal(data.truth, targets[:, None])  # whole numbers under this key, too
    other = saved(tmp_path / "t.npy", np.array([[0.5, 1], [2, 3]]))
    data = opened(tmp_path / "x.npz", labels=other)
    np.testing.assert_array_equal(data.labels, labels)
    np.testing.assert_array_equal(data.truth, [[0.5, 1], [2, 3]])
    data = opened(tmp_path / "x.npz", labels=saved(tmp_path / "l.npy", np.array([5, 6])))
    np.testing.assert_array_equal(data.labels, [5, 6])
    np.testing.assert_array_equal(data.truth, targets[:, None])


def test_pictures_may_have_targets_beside_their_labels(tmp_path: Path, photographs: Path) -> None:
    targets = saved(tmp_path / "t.npy", np.array([0.5, 1.5, 2.5]))
    data = opened(photographs, preprocess=SPEC, labels=targets)
    np.testing.assert_array_equal(data.truth, [[0.5], [1.5], [2.5]])
    np.testing.assert_array_equal(data.labels, [2, 0, 2])
    assert data.class_names == {2: "ant", 0: "bee"}
    (photographs / "labels.tsv").unlink()
    assert opened(photographs, preprocess=SPEC, labels=targets).labels is None


def test_the_leading_axis_is_the_batch_even_where_it_is_fixed(tmp_path: Path) -> None:
    data = opened(saved(tmp_path / "x.npy", np.ones((7, 5), np.int64)), TOKENS)
    assert data.inputs["tokens"].shape == (7, 5)


def test_a_model_without_shapes_takes_any_rank(tmp_path: Path) -> None:
    spec = TensorSpec("x", "float32", ())
    assert len(opened(saved(tmp_path / "x.npy", np.ones((2, 3, 4), np.float32)), spec)) == 2
    with pytest.raises(InvalidData, match=r"shape \(\)"):
        opened(saved(tmp_path / "x.npy", np.float32(1)), spec)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (
            batch()[0],
            r"\(3, 8, 8\) where the model takes \(batch, 3, 8, 8\); the batch axis is miss",
        ),
        (batch().transpose(0, 2, 3, 1), r"shape \(4, 8, 8, 3\) where the model takes"),
        (batch()[:0], "holds no inputs"),
        (batch().astype(np.uint8), "is uint8 where the model takes float32"),
        (np.full((1, 3, 8, 8), np.nan, np.float32), r"holds NaN at index \(0, 0, 0, 0\)"),
        (np.full((1, 3, 8, 8), 1e39), "holds inf"),
        (np.zeros(4, "<U3"), "only numbers and booleans"),
    ],
)
def test_an_array_that_does_not_fit_is_named(tmp_path: Path, array: Any, said: str) -> None:
    with pytest.raises(InvalidData, match=said):
        opened(saved(tmp_path / "x.npy", array))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"image": batch(2)}, "'image', which is neither an input of the model"),
        ({"labels": np.array([1, 2, 3])}, r"shape \(3,\) for 2 inputs"),
        ({"labels": np.array([0.5, 1])}, "are float64; .* or call them 'targets' in the .npz"),
        ({"targets": np.ones((3, 1))}, r"the targets in .* are float64 \(3, 1\); .* for 2 inputs"),
        ({"targets": np.array([True, False])}, "the targets in .* are bool"),
        ({"targets": np.array([1.0, np.nan])}, "NaN at index"),
        ({"groups/a": np.array([1, 0])}, r"'groups/a' is int64 \(2,\); booleans"),
        ({"groups/a": np.ones((2, 2), bool)}, "'groups/a' is bool"),
        ({"concepts/a": np.ones((3, 8, 8), bool)}, r"'concepts/a' is bool \(3, 8, 8\)"),
    ],
)
def test_what_else_an_npz_holds_is_checked(
    tmp_path: Path, more: dict[str, np.ndarray], said: str
) -> None:
    np.savez(tmp_path / "x.npz", data=batch(2), **more)
    with pytest.raises(InvalidData, match=said):
        opened(tmp_path / "x.npz")


def test_several_inputs_need_an_npz_with_all_of_them_equally_long(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"has 2 inputs \(data, tokens\); give an .npz"):
        opened(saved(tmp_path / "x.npy", batch()), IMAGE, TOKENS)
    np.savez(tmp_path / "x.npz", data=batch(2))
    with pytest.raises(InvalidData, match="no array for the model's input 'tokens'; it holds data"):
        opened(tmp_path / "x.npz", IMAGE, TOKENS)
    np.savez(tmp_path / "x.npz", data=batch(2), tokens=np.ones((3, 5), np.int64))
    with pytest.raises(InvalidData, match="'tokens' has 3 rows where 'data' has 2"):
        opened(tmp_path / "x.npz", IMAGE, TOKENS)


def test_text_inputs_and_no_inputs_are_not_served(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npy", batch())
    with pytest.raises(Unsupported, match="'s' is of type string"):
        opened(path, TensorSpec("s", "string", ("N",)))
    with pytest.raises(InvalidData, match="has no inputs"):
        read(Source(path), (), max_bytes=10, max_pixels=10)


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"missing.npy cannot be read: No such file"):
        opened(tmp_path / "missing.npy")
    (tmp_path / "x.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(InvalidData, match="begins with b'hello'"):
        opened(tmp_path / "x.txt")
    (tmp_path / "empty.npz").write_bytes(b"PK\x05\x06" + b"\0" * 18)
    with pytest.raises(
        InvalidData, match="no array for the model's input 'data'; it holds nothing"
    ):
        opened(tmp_path / "empty.npz")
    with pytest.raises(InvalidData, match="at most 100 are allowed"):
        opened(saved(tmp_path / "x.npy", batch()), max_bytes=100)


# arrays that were made from images


def test_a_spec_beside_arrays_says_how_they_were_made(tmp_path: Path, photographs: Path) -> None:
    made = opened(photographs, preprocess=SPEC)
    again = opened(saved(tmp_path / "x.npy", made.inputs["data"]), preprocess=SPEC)
    np.testing.assert_array_equal(again.inputs["data"], made.inputs["data"])
    np.testing.assert_array_equal(again.picture(1), made.picture(1))


def test_arrays_that_were_not_preprocessed_are_found_out(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).uniform(0, 255, (2, 3, 8, 8)).astype(np.float32)
    with pytest.raises(InvalidData, match="does not look as if the preprocess spec had been appl"):
        opened(saved(tmp_path / "x.npy", raw), preprocess=SPEC)
    with pytest.raises(InvalidData, match="does not fit the preprocess spec's GRAY in NCHW"):
        opened(saved(tmp_path / "x.npy", raw), preprocess="{channels: GRAY}")
    tokens = saved(tmp_path / "t.npy", np.ones((2, 5), np.int64))
    with pytest.raises(InvalidData, match="'tokens' takes int64, but images become float"):
        opened(tokens, TOKENS, preprocess=SPEC)


# images


def test_a_folder_and_its_zip_are_the_same_data(tmp_path: Path, photographs: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(photographs.rglob("*"), reverse=True):
            archive.write(path, path.relative_to(tmp_path))
    folder = opened(photographs, preprocess=SPEC)
    packed = opened(tmp_path / "photos.zip", preprocess=SPEC)
    assert folder.names == packed.names == ("a.png", "b.png", "more/c.PNG")
    np.testing.assert_array_equal(folder.inputs["data"], packed.inputs["data"])
    np.testing.assert_array_equal(folder.labels, [2, 0, 2])
    assert folder.class_names == {2: "ant", 0: "bee"}
    assert folder.digest == packed.digest


def test_a_picture_is_shown_as_it_was(photographs: Path) -> None:
    data = opened(photographs, preprocess=SPEC)
    for index, name in enumerate(data.names):
        np.testing.assert_array_equal(
            data.picture(index), np.asarray(Image.open(photographs / name))
        )


def test_the_folder_may_hold_the_spec(photographs: Path) -> None:
    (photographs / "preprocess.yaml").write_text(SPEC, encoding="utf-8")
    within, given = opened(photographs), opened(photographs, preprocess=SPEC)
    assert within.preprocess == given.preprocess
    assert within.digest == given.digest
    assert opened(photographs, preprocess="{crop: 8}").preprocess != within.preprocess


def test_images_without_a_spec_ask_for_one(photographs: Path) -> None:
    with pytest.raises(InvalidOption, match=r"add --preprocess imagenet, or --preprocess \""):
        opened(photographs)


@pytest.mark.parametrize(
    ("spec", "shape", "said"),
    [
        (
            "{crop: 4}",
            ("N", 3, 8, 8),
            r"\(batch, 3, 4, 4\) .* \(batch, 3, 8, 8\); .*crop: \[8, 8\]",
        ),
        ("{}", ("N", 8, 8, 3), "add 'layout: NHWC'"),
        ("{}", ("N", 1, 8, 8), "add 'channels: GRAY'"),
        ("{channels: GRAY}", ("N", 3, 8, 8), "add 'channels: RGB'"),
        ("{}", ("N", 192), r"takes the shape \(batch, 192\), but images become"),
    ],
)
def test_images_that_do_not_fit_name_both_shapes_and_the_remedy(
    photographs: Path, spec: str, shape: tuple[int | str | None, ...], said: str
) -> None:
    with pytest.raises(InvalidData, match=said):
        opened(photographs, TensorSpec("data", "float32", shape), preprocess=spec)


def test_images_of_several_sizes_need_one(photographs: Path) -> None:
    Image.new("RGB", (9, 8)).save(photographs / "b.png")
    free = TensorSpec("data", "float32", ("N", 3, "H", "W"))
    with pytest.raises(InvalidData, match=r"b.png becomes \(3, 8, 9\) where a.png became"):
        opened(photographs, free, preprocess="unit")
    assert len(opened(photographs, free, preprocess="{resize: [8, 8]}")) == 3


def test_one_bad_image_is_named(photographs: Path) -> None:
    (photographs / "labels.tsv").unlink()
    (photographs / "more" / "d.jpg").write_bytes(b"<svg/>")
    with pytest.raises(InvalidData, match=r"more/d.jpg is no picture.*SVG"):
        opened(photographs, preprocess=SPEC)


def test_images_need_one_input_space_and_each_its_label(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"has 2 inputs .* but images feed one"):
        opened(photographs, IMAGE, TOKENS, preprocess=SPEC)
    with pytest.raises(InvalidData, match="need 2304 bytes; at most 1000 are allowed"):
        opened(photographs, preprocess=SPEC, max_bytes=1000)
    two = saved(tmp_path / "l.npy", np.array([1, 2]))
    with pytest.raises(InvalidData, match=r"shape \(2,\) for 3 inputs"):
        opened(photographs, preprocess=SPEC, labels=two)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").touch()
    with pytest.raises(InvalidData, match=r"holds no images \(found: notes.txt\)"):
        opened(tmp_path / "none", preprocess=SPEC)


# what is common


def test_the_digest_follows_what_matters(tmp_path: Path) -> None:
    array = batch()
    plain = opened(saved(tmp_path / "x.npy", array)).digest
    np.savez_compressed(tmp_path / "x.npz", data=np.asfortranarray(array.astype(">f8")))
    assert opened(tmp_path / "x.npz").digest == plain
    array[0, 0, 0, 0] += 1
    assert opened(saved(tmp_path / "y.npy", array)).digest != plain
    labels = saved(tmp_path / "l.npy", np.arange(4))
    assert opened(tmp_path / "x.npy", labels=labels).digest != plain
    targets = saved(tmp_path / "t.npy", np.arange(4.0)[:, None])
    within = opened(tmp_path / "x.npy", labels=targets).digest
    assert within not in (plain, opened(tmp_path / "x.npy", labels=labels).digest)
    np.savez(tmp_path / "t.npz", data=opened(tmp_path / "x.npy").inputs["data"], targets=range(4))
    assert opened(tmp_path / "t.npz").digest == within
    assert len(plain) == 64


def test_nobody_can_change_the_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", data=batch(2).astype(np.float64), labels=np.array([1, 2]))
    data = opened(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="read-only"):
        data.inputs["data"][0] = 0
    with pytest.raises(TypeError):
        data.inputs["other"] = 1  # type: ignore[index]


@pytest.mark.real_data
def test_the_photographs_are_read_as_squeezenet_wants_them(tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "imagenet600"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    names = sorted(path.name for path in folder.glob("*.jpg"))[:30]
    for name in (*names, "labels.tsv"):  # links to files are followed
        (tmp_path / name).symlink_to(folder / name)
    data = opened(
        tmp_path,
        TensorSpec("data", "float32", ("N", 3, 227, 227)),
        preprocess="caffe",
        max_bytes=2**30,
    )
    assert data.names == tuple(names)
    assert data.labels is not None
    assert len(np.unique(data.labels)) == 30
    assert data.class_names[0] == "tench"
    image = np.asarray(Image.open(folder / names[5]).convert("RGB"))[14:241, 14:241]
    np.testing.assert_array_equal(data.picture(5), image)
