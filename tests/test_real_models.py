"""SqueezeNet on photographs and the text CNN on sentences, by the command line, as a user would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import real_data
from mho.cli import main

pytestmark = [pytest.mark.real_data, real_data.needed]
SQUEEZENET = real_data.FOLDER / "squeezenet1.0.onnx"
TEXT_CNN = real_data.FOLDER / "textcnn_mr.onnx"


def mho(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for path in sorted((real_data.FOLDER / "imagenet600").glob("*.jpg"))[100:102]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    about = json.loads((real_data.FOLDER / "textcnn_mr.json").read_text(encoding="utf-8"))
    numbers = {word: number for number, word in enumerate(about["vocab"])}
    lines = (real_data.FOLDER / "mr_test.tsv").read_text(encoding="utf-8").splitlines()[:3]
    tokens = np.zeros((len(lines), 64), dtype=np.int64)
    for row, line in enumerate(lines):
        words = line.split("\t")[1].split()[:64]
        tokens[row, : len(words)] = [numbers.get(word, 1) for word in words]
    np.save(tmp_path / "tokens.npy", tokens)
    return tmp_path / "tokens.npy"


def test_layers_of_squeezenet(capsys: pytest.CaptureFixture[str]) -> None:
    assert mho("layers", SQUEEZENET, "--json") == 0
    found = json.loads(capsys.readouterr().out)["layers"]
    convolutions = [layer for layer in found if layer["op_type"] == "Conv"]
    assert len(convolutions) == 26
    assert sum(layer["units"] for layer in convolutions) == 2976 + 1000
    assert {"name": "fire9/concat", "units": 512}.items() <= next(
        layer for layer in found if layer["name"] == "fire9/concat"
    ).items()


def test_conductance_of_a_layer_of_squeezenet_is_complete(
    tmp_path: Path, photographs: Path
) -> None:
    out = tmp_path / "out"
    status = mho(
        "run", "conductance", SQUEEZENET, "--inputs", photographs, "--preprocess", real_data.SPEC,
        "--layers", "fire9/concat", "--tolerance", "0.03", "--out", out,
    )  # fmt: skip
    assert status == 0
    (entry,) = json.loads((out / "result.json").read_text())["completeness"]
    assert entry["gap"]["max"] <= 0.03
    with np.load(out / "scores.npz") as scores:
        assert scores["fire9/concat"].shape == (2, 512)
        total = scores["fire9/concat"].sum(axis=1)
    np.testing.assert_allclose(total, entry["difference"], rtol=0.03)


def test_squeezenet_answers_as_published(tmp_path: Path) -> None:
    """V of all units is the model's own accuracy: 62.8 % on the 600 photographs, here on 60."""
    folder, out = tmp_path / "photographs", tmp_path / "out"
    folder.mkdir()
    for path in sorted((real_data.FOLDER / "imagenet600").glob("*.jpg"))[::10]:
        shutil.copy(path, folder)
    status = mho(
        "run", "ablation", SQUEEZENET, "--inputs", folder, "--preprocess", real_data.SPEC,
        "--labels", real_data.FOLDER / "imagenet600" / "labels.tsv", "--layers", "conv1/relu",
        "--scores", _ranking(tmp_path), "--draws", 1, "--evaluations", 7, "--out", out,
    )  # fmt: skip
    assert status == 0
    assert 0.5 <= json.loads((out / "result.json").read_text())["report"]["v_full"] <= 0.75


def test_the_text_cnn_is_integrated_from_its_embedding(tmp_path: Path, sentences: Path) -> None:
    out = tmp_path / "out"
    assert mho("run", "conductance", TEXT_CNN, "--inputs", sentences, "--out", out) == 0
    summary = json.loads((out / "result.json").read_text())
    assert summary["report"]["path_input"] == ["embedding"]
    cuts = {tuple(entry["layers"]): entry["gap"]["max"] for entry in summary["completeness"]}
    convolutions = ("conv1d", "conv1d_1", "conv1d_2", "conv1d_3")
    assert set(cuts) == {
        convolutions,
        ("relu", "relu_1", "relu_2", "relu_3"),
        *((name,) for name in ("cat", "linear", "relu_4", "logits")),
    }
    assert max(cuts.values()) <= 0.01
    with np.load(out / "scores.npz") as scores:
        flow = sum(scores[name].sum(axis=1) for name in convolutions)
    difference = next(
        e["difference"] for e in summary["completeness"] if e["layers"] == list(convolutions)
    )
    np.testing.assert_allclose(flow, difference, rtol=0.011)


def _ranking(folder: Path) -> Path:
    """Scores that rank the 96 filters of the first layer by their number."""
    np.savez(folder / "ranking.npz", **{"conv1/relu": np.arange(96.0)})
    return folder / "ranking.npz"
