"""The SPEC of --preprocess: what it accepts, what it computes, and that it can be undone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mho.data.preprocess import PRESETS, Preprocess, parse
from mho.errors import InvalidData, InvalidOption


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_imagenet_is_resize_crop_scale_mean_std() -> None:
    image = photograph(300, 400)
    expected = image.resize((256, 341), Image.Resampling.BILINEAR)  # 256 * 400 / 300 = 341.3
    top = round((341 - 224) / 2)
    pixels = np.asarray(expected)[top : top + 224, 16:240].astype(np.float64) / 255
    pixels = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = parse("imagenet").apply(image)
    assert found.shape == (3, 224, 224)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, pixels.transpose(2, 0, 1), atol=1e-5)


def test_caffe_is_bgr_minus_mean_without_scale() -> None:
    image = photograph(227, 227)
    pixels = np.asarray(image).astype(np.float32)[..., ::-1] - np.float32([104, 117, 123])
    np.testing.assert_array_equal(parse("caffe").apply(image), pixels.transpose(2, 0, 1))


def test_gray_and_channels_last() -> None:
    spec = parse("{channels: gray, layout: nhwc, scale: 1/255, mean: 0.5, std: 2, resize: [4, 6]}")
    found = spec.apply(Image.new("RGB", (12, 8), (255, 255, 255)))
    assert found.shape == (4, 6, 1)
    np.testing.assert_allclose(found, 0.25)


def test_a_key_that_is_absent_does_nothing() -> None:
    image = photograph(5, 3)
    found = parse("{layout: NHWC}").apply(image)
    np.testing.assert_array_equal(found, np.asarray(image))


@pytest.mark.parametrize("name", list(PRESETS))
def test_displaying_undoes_all_but_the_geometry(name: str) -> None:
    spec = PRESETS[name]
    height, width = spec.size or (9, 7)
    image = photograph(width, height)
    array = Preprocess(**{**vars(spec), "resize": None}).apply(image)
    np.testing.assert_array_equal(spec.displayed(array), np.asarray(image))


def test_black_is_what_a_black_picture_becomes() -> None:
    spec = parse("imagenet")
    np.testing.assert_array_equal(
        spec.black(224, 224), spec.apply(Image.new("RGB", (640, 480), "black"))
    )


@pytest.mark.parametrize("spec", PRESETS.values(), ids=list(PRESETS))
def test_the_canonical_text_gives_the_spec_back(spec: Preprocess) -> None:
    assert parse(spec.text()) == spec
    assert json.loads(spec.text()) == spec.to_json()


def test_a_file_may_hold_the_spec(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text("crop: 10\nchannels: BGR\n", encoding="utf-8")
    assert parse(str(file)) == parse('{"crop": [10, 10], "channels": "BGR"}')


def test_a_server_reads_no_files(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text("password: hunter2", encoding="utf-8")
    with pytest.raises(InvalidOption, match="neither a preset"):
        parse(str(file), files=False)


def test_what_a_wrong_file_holds_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text("{hunter2: [", encoding="utf-8")
    with pytest.raises(InvalidOption, match=r"no valid YAML or JSON \(line 1\)") as caught:
        parse(str(file))
    assert "hunter2" not in caught.value.message


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{size: 224}", "unknown key 'size'; there are resize, resample, crop"),
        ("{resize: 0}", "'resize' is 0; a number of pixels between 1 and"),
        ("{crop: [1, 2, 3]}", "'crop' is"),
        ("{crop: true}", "'crop' is True"),
        ("{resize: 100000}", "'resize' is 100000"),
        ("{channels: CMYK}", "'channels' is 'CMYK'; choose one of RGB, BGR, GRAY"),
        ("{layout: CHW}", "'layout' is 'CHW'; choose one of NCHW, NHWC"),
        ("{dtype: float64}", "'dtype' is 'float64'"),
        ("{mean: [1, 2]}", "'mean' has 2 numbers for 3 channels"),
        ("{std: [1, 0, 1]}", "'std' has 0; a finite number other than 0"),
        ("{scale: 0}", "'scale' has 0"),
        ("{scale: .nan}", "'scale' has nan"),
        ("{scale: 1/0}", "'scale' has '1/0'"),
        ("{scale: [1]}", r"'scale' has \[1\]"),
        ("{mean: 1.0e300}", "'mean' has '1.0e300'"),
        ("imagenet2", "'imagenet2', which is neither a preset"),
        ("", "is empty, which is neither"),
        ("[1, 2]", "which is neither"),
        ("{a: b: c}", "no valid YAML"),
        ("[" * 5000, "no valid YAML"),
        ("!!python/object/apply:os.system [id]", "no valid YAML"),
        ("x" * 70_000, "longer than"),
        ("mean:\n" + BOMB.replace("\n", "\n  ").join(["  ", ""]), "'mean' has|unknown key|mean"),
        ("2001-02-30", "no valid YAML"),
        ("a\0b", "no valid YAML"),
    ],
)
def test_a_bad_spec_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidOption, match=said) as caught:
        parse(text)
    assert caught.value.subject == "preprocess"
    assert len(caught.value.message) < 1000


def test_a_picture_smaller_than_the_crop_is_named_with_the_remedy() -> None:
    with pytest.raises(
        InvalidData, match=r"cat.png is 100 x 300 pixels .*'resize' of at least 227"
    ):
        parse("caffe").apply(photograph(300, 100), "cat.png")


def test_resizing_cannot_make_a_giant() -> None:
    with pytest.raises(InvalidData, match="would be resized to 256 x 2560000"):
        parse("imagenet").apply(Image.new("RGB", (10_000, 1)), "ribbon.png")
