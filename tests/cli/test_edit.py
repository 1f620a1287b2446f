"""``mho run edit``: from scores to a better model, which is a model like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import real_data
import shapes
from mho.cli import main


@pytest.fixture(autouse=True)
def _on_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MHO_THREADS", "1")
    monkeypatch.setenv("MHO_PROVIDER", "cpu")


def mho(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments])


def accuracy(model: Path, inputs: Path, labels: Path) -> float:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    scores = session.run(None, {name: np.load(inputs)})[0]
    return float((scores.argmax(axis=1) == np.load(labels)).mean())


def test_a_misled_model_is_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Units are chosen on some pictures, the model is judged on others."""
    inputs, labels = shapes.inputs(tmp_path, 80, seed=5)
    given = (shapes.MODEL, "--inputs", inputs, "--labels", labels)
    chosen = ("--layers", "conv1/relu", "conv2/relu")
    few = ("--draws", 1, "--evaluations", 60)
    assert mho("run", "ablation", *given, *chosen, *few, "--out", tmp_path / "single") == 0
    scores = ("--scores", tmp_path / "single", "--count", 2)
    capsys.readouterr()
    assert mho("run", "edit", *given, *scores, *chosen, "--out", tmp_path / "edit") == 0
    text = capsys.readouterr().out
    assert "edit: V = accuracy before and after 2 of 40 units are removed for good" in text
    assert "in 10 draws)" in text
    assert "model.onnx: scores within" in text
    report = json.loads((tmp_path / "edit" / "result.json").read_text())["report"]
    edited = tmp_path / "edit" / "model.onnx"
    onnx.checker.check_model(edited, full_check=True)
    assert accuracy(edited, inputs, labels) == pytest.approx(report["v_edited"])
    assert accuracy(shapes.MODEL, inputs, labels) == pytest.approx(report["v_full"])
    (tmp_path / "other").mkdir()
    others = shapes.inputs(tmp_path / "other", 200, seed=6)
    assert accuracy(edited, *others) > accuracy(shapes.MODEL, *others) + 0.03
    before, after = onnx.load(shapes.MODEL), onnx.load(edited)
    assert [n.op_type for n in after.graph.node] == [n.op_type for n in before.graph.node]
    assert mho("layers", edited) == 0
    again = (edited, "--inputs", inputs, "--labels", labels, "--remove", "dense1/relu:0-3")
    assert mho("run", "edit", *again, "--out", tmp_path / "more") == 0


def test_errors_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs, labels = shapes.inputs(tmp_path, 4)
    given = (shapes.MODEL, "--inputs", inputs, "--labels", labels, "--out", tmp_path / "out")
    for more, message in (
        ((), "nothing says which units go; name them with --remove"),
        (("--remove", "conv1/relu"), "units are named by layer and index"),
        (("--remove", "conv9/relu:1"), "no tensor or layer 'conv9/relu'; did you mean"),
        (("--remove", "conv1/relu:16"), "layer 'conv1/relu' has the units 0 to 15"),
        (("--remove", "conv1/relu:1", "--substitute", "resample"), "take --substitute mean"),
    ):
        assert mho("run", "edit", *given, *more) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.onnx").write_bytes(b"own")
    assert mho("run", "edit", *given, "--remove", "conv1/relu:1") == 2
    assert "holds other things (model.onnx)" in capsys.readouterr().err


@pytest.mark.real_data
@real_data.needed
def test_twenty_filters_of_squeezenet(tmp_path: Path) -> None:
    """Of all depths, some in joins of two branches: in the weights, and equal to the mask."""
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    folder = real_data.FOLDER / "imagenet600"
    rows = (folder / "labels.tsv").read_text(encoding="utf-8").splitlines()
    chosen = sorted(folder.glob("*.jpg"))[40:48]
    for path in chosen:
        (photographs / path.name).write_bytes(path.read_bytes())
    kept = [rows[0], *(row for row in rows if row.split("\t")[0] in {p.name for p in chosen})]
    (photographs / "labels.tsv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    model = real_data.FOLDER / "squeezenet1.0.onnx"
    from mho.graph import units
    from mho.graph.load import load

    loaded = load(model)
    listed = units.layers(loaded)
    playing = [layer.name for layer in units.playing(loaded, listed)]
    joins = [layer.name for layer in listed if layer.op_type == "Concat"]
    remove = [f"{name}:{3 * i % 16}" for i, name in enumerate(playing[:17])]
    remove += [f"{joins[1]}:5", f"{joins[2]}:140-141"]
    out = tmp_path / "out"
    assert mho(
        "run", "edit", model, "--inputs", photographs, "--preprocess", real_data.SPEC,
        "--remove", *remove, "--draws", 1, "--out", out,
    ) == 0  # fmt: skip
    report = json.loads((out / "result.json").read_text())["report"]
    assert report["count"] == 20
    assert all(entry["changed"] and not entry["node"] for entry in report["edits"])
    assert report["deviation"]["largest"] <= 1e-5 * report["deviation"]["of"]
    before, after = onnx.load(model), onnx.load(out / "model.onnx")
    assert [n.op_type for n in after.graph.node] == [n.op_type for n in before.graph.node]
    assert (out / "model.onnx").stat().st_size < 1.01 * model.stat().st_size
