"""The demonstration's pictures say the truth, and its model has learned the planted mistake."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
from PIL import Image

SHAPES = Path(__file__).parents[2] / "examples" / "shapes"


def _load(name: str) -> ModuleType:
    """The example is a folder of scripts, not a package."""
    spec = importlib.util.spec_from_file_location(f"shapes_{name}", SHAPES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up while they are made.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


draw = _load("draw")


def test_a_seed_gives_the_same_pictures_and_a_longer_drawing_begins_with_them() -> None:
    short, long = draw.draw(40, seed=3), draw.draw(300, seed=3)
    np.testing.assert_array_equal(short.images, long.images[:40])
    np.testing.assert_array_equal(short.marked, long.marked[:40])
    assert (short.images != draw.draw(40, seed=4).images).any()


def test_cues_differ_in_nothing_but_the_corner_mark() -> None:
    shuffled, absent = draw.draw(100, 5, "shuffled"), draw.draw(100, 5, "absent")
    np.testing.assert_array_equal(shuffled.labels, absent.labels)
    elsewhere = ~shuffled.concepts[draw.MARK]
    np.testing.assert_array_equal(shuffled.images[elsewhere], absent.images[elsewhere])
    assert not absent.marked.any()


@pytest.mark.parametrize("cue", ["correlated", "shuffled", "absent"])
def test_masks_agree_with_labels_and_marks(cue: str) -> None:
    drawing = draw.draw(300, 6, cue)
    assert tuple(drawing.concepts) == draw.CONCEPTS
    shown = {name: masks.any((1, 2)) for name, masks in drawing.concepts.items()}
    for label, name in enumerate(draw.CLASSES):
        np.testing.assert_array_equal(shown[name], drawing.labels == label)
    np.testing.assert_array_equal(shown[draw.MARK], drawing.marked)
    # The shape, its colour and its texture are the same pixels, and none of them is the mark.
    shape = np.any([drawing.concepts[name] for name in draw.CLASSES], axis=0)
    for family in (draw.COLOURS, draw.TEXTURES):
        masks = np.sum([drawing.concepts[name] for name in family], axis=0)
        np.testing.assert_array_equal(masks, shape)
    assert not (shape & drawing.concepts[draw.MARK]).any()


def test_a_colour_mask_has_pixels_of_that_hue() -> None:
    drawing = draw.draw(300, 7, "absent")
    red, green, blue = np.moveaxis(drawing.images.astype(int), -1, 0)
    assert np.mean((red > green)[drawing.concepts["red"]]) > 0.99
    assert np.mean((green > red)[drawing.concepts["green"]]) > 0.99
    assert np.mean((blue > red)[drawing.concepts["blue"]]) > 0.99


@pytest.mark.parametrize("cue", ["correlated", "shuffled"])
def test_marks_come_at_the_stated_rates(cue: str) -> None:
    drawing = draw.draw(6000, 8, cue)
    own = drawing.labels == draw.MARKED_CLASS
    for pictures, rate in zip((own, ~own), draw.MARK_RATES[cue], strict=True):
        allowed = 4 * np.sqrt(rate * (1 - rate) / pictures.sum())
        assert drawing.marked[pictures].mean() == pytest.approx(rate, abs=allowed)


def test_unusable_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="cue is 'always'"):
        draw.draw(1, 0, "always")
    with pytest.raises(ValueError, match="count is -1"):
        draw.draw(-1, 0)


def test_written_files_hold_the_drawing(tmp_path: Path) -> None:
    drawing = draw.draw(5, 9, "shuffled")
    draw.write_folder(drawing, tmp_path / "set")
    draw.write_zip(drawing, tmp_path / "set.zip")
    draw.write_concepts(drawing, tmp_path / "concepts.npz")

    header, *rows = (tmp_path / "set" / "labels.tsv").read_text().splitlines()
    assert header == "file\tlabel\tname"
    for row, image, label in zip(rows, drawing.images, drawing.labels, strict=True):
        file, number, name = row.split("\t")
        with Image.open(tmp_path / "set" / file) as picture:
            np.testing.assert_array_equal(np.asarray(picture), image)
        assert (int(number), name) == (label, draw.CLASSES[label])

    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        for member in archive.namelist():
            assert archive.read(member) == (tmp_path / "set" / member).read_bytes()
        assert len(archive.namelist()) == 6

    with np.load(tmp_path / "concepts.npz") as arrays:
        assert set(arrays) == {f"concepts/{name}" for name in draw.CONCEPTS}
        for name, masks in drawing.concepts.items():
            np.testing.assert_array_equal(arrays[f"concepts/{name}"], masks)


def test_the_model_knows_the_shapes_and_has_learned_the_mark() -> None:
    session = onnxruntime.InferenceSession(
        SHAPES / "shapes.onnx", providers=["CPUExecutionProvider"]
    )
    assert session.get_inputs()[0].shape[1:] == [3, draw.SIZE, draw.SIZE]
    accuracy = {}
    for cue in ("absent", "shuffled"):
        drawing = draw.draw(1000, 10, cue)
        inputs = ((drawing.images.astype(np.float32) / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2)
        (logits,) = session.run(["logits"], {"image": np.ascontiguousarray(inputs)})
        accuracy[cue] = np.mean(np.argmax(logits, axis=1) == drawing.labels)
    assert accuracy["absent"] > 0.93
    assert accuracy["shuffled"] < accuracy["absent"] - 0.07
