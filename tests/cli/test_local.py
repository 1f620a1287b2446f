"""``mho layers``, ``methods`` and ``run``: what they print, write and refuse."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import shapes
from mho.cli import main
from mho.method import Method, options_of
from mho.registry import entries

METHODS = entries("mho.methods", Method)
FILES = ["--inputs", "x", "--out", "o"]
LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


@pytest.fixture(autouse=True)
def _on_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MHO_THREADS", "1")
    monkeypatch.setenv("MHO_PROVIDER", "cpu")


def mho(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments])


def test_layers_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert mho("layers", shapes.MODEL, "--json") == 0
    found = json.loads(capsys.readouterr().out)["layers"]
    assert all(set(x) == {"name", "op_type", "units", "shape", "axis", "engines"} for x in found)
    by_name = {layer["name"]: layer for layer in found}
    assert by_name["conv2/relu"] == {
        "name": "conv2/relu",
        "op_type": "Relu",
        "units": 24,
        "shape": ["N", 24, 24, 24],
        "axis": 1,
        "engines": ["finite_difference"],
    }
    assert [x["units"] for x in found if x["op_type"] in ("Conv", "Gemm")] == [16, 24, 32, 48, 6]


def test_layers_for_a_reader(capsys: pytest.CaptureFixture[str]) -> None:
    assert mho("layers", shapes.MODEL) == 0
    text = capsys.readouterr().out
    assert "input image: float32 [N, 3, 48, 48]" in text
    assert "conv3/relu" in text
    assert "units" in text


@pytest.mark.parametrize("path", LIGHT, ids=[path.stem for path in LIGHT])
def test_layers_of_every_light_model(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mho("layers", path, "--json") == 0
    found = json.loads(capsys.readouterr().out)["layers"]
    assert sum(layer["op_type"] == "Conv" for layer in found) >= 5
    assert all(layer["shape"][layer["axis"]] == layer["units"] > 0 for layer in found)


def test_methods_lists_every_method_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert mho("methods", "--json") == 0
    found = {m["name"]: m for m in json.loads(capsys.readouterr().out)["methods"]}
    assert set(found) == set(METHODS)
    for name, kind in METHODS.items():
        assert [o["name"] for o in found[name]["options"]] == [f.name for f, _ in options_of(kind)]
    assert mho("methods") == 0
    assert "--tolerance" in capsys.readouterr().out


def test_run_writes_the_result_and_prints_the_top_units(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zipped = shapes.pictures(tmp_path, 4)
    out = tmp_path / "out"
    status = mho(
        "run", "conductance", shapes.MODEL, "--inputs", zipped, "--preprocess", shapes.PREPROCESS,
        "--layers", "dense1*", "--target", "label", "--out", out,
    )  # fmt: skip
    assert status == 0
    text = capsys.readouterr().out
    assert "dense1/relu" in text
    assert "completeness of dense1/relu: gap" in text
    summary = json.loads((out / "result.json").read_text())
    assert summary["report"]["baseline"] == "black"
    assert summary["options"]["target"] == "label"
    with np.load(out / "scores.npz") as scores:
        assert {name: scores[name].shape for name in scores} == {
            "dense1": (4, 48),
            "dense1/relu": (4, 48),
        }
    assert (out / "index.html").exists()
    assert (out / "units.png").exists()


def test_arrays_without_a_spec_start_at_zero(tmp_path: Path) -> None:
    inputs, _ = shapes.inputs(tmp_path, 2)
    out = tmp_path / "out"
    assert (
        mho(
            "run",
            "conductance",
            shapes.MODEL,
            "--inputs",
            inputs,
            "--layers",
            "dense1",
            "--out",
            out,
        )
        == 0
    )
    assert json.loads((out / "result.json").read_text())["report"]["baseline"] == "zero"


def test_every_flag_of_every_method_is_understood(tmp_path: Path) -> None:
    """Flags are derived from fields: each of them parses, for each method."""
    from mho.cli.parser import parser

    for name, kind in METHODS.items():
        for entry, described in options_of(kind):
            text = (
                str(entry.default)
                if isinstance(entry.default, (int, float))
                else (described.choices[0] if described.choices else "x")
            )
            flag = "--" + entry.name.replace("_", "-")
            line = ["run", name, "m.onnx", "--inputs", "x.npy", "--out", "o", flag, text]
            assert getattr(parser().parse_args(line), f"option_{entry.name}") is not None


def _not_onnx(folder: Path) -> list[Any]:
    (folder / "bad.onnx").write_bytes(b"this is no model at all")
    return ["run", "activation", folder / "bad.onnx", "--inputs", folder / "inputs.npy"]


def _truncated(folder: Path) -> list[Any]:
    (folder / "cut.onnx").write_bytes(shapes.MODEL.read_bytes()[:100_000])
    return ["run", "activation", folder / "cut.onnx", "--inputs", folder / "inputs.npy"]


def _missing(folder: Path) -> list[Any]:
    return ["run", "activation", folder / "none.onnx", "--inputs", folder / "inputs.npy"]


def _run(*more: Any) -> Callable[[Path], list[Any]]:
    return lambda folder: [
        "run",
        *more[:1],
        shapes.MODEL,
        "--inputs",
        folder / "inputs.npy",
        *more[1:],
    ]


def _array(
    values: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
) -> Callable[[Path], list[Any]]:
    def arrange(folder: Path) -> list[Any]:
        np.save(folder / "changed.npy", values(np.load(folder / "inputs.npy")))
        return ["run", "activation", shapes.MODEL, "--inputs", folder / "changed.npy"]

    return arrange


def _short_labels(folder: Path) -> list[Any]:
    np.save(folder / "short.npy", np.zeros(1, dtype=np.int64))
    return [
        "run", "shapley", shapes.MODEL, "--inputs", folder / "inputs.npy",
        "--labels", folder / "short.npy",
    ]  # fmt: skip


def _no_image(folder: Path) -> list[Any]:
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_bytes(b"not a picture")
    return [
        "run", "activation", shapes.MODEL, "--inputs", folder / "images",
        "--preprocess", shapes.PREPROCESS,
    ]  # fmt: skip


def _images_without_spec(folder: Path) -> list[Any]:
    return ["run", "activation", shapes.MODEL, "--inputs", shapes.pictures(folder, 2)]


def _nan(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x[1, 0, 0, 0] = np.nan
    return x


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (_not_onnx, ["bad.onnx"]),
        (_truncated, ["cut.onnx"]),
        (_missing, ["none.onnx"]),
        (_run("activation", "--layers", "conv9"), ["conv9"]),
        (_run("conductance", "--engine", "gradient"), ["gradient", "finite_difference"]),
        (_run("conductance", "--tolerance", "2"), ["tolerance", "between"]),
        (_run("conductance", "--baseline", "nowhere.npy"), ["--baseline", "nowhere.npy"]),
        (_run("shapley"), ["label", "--labels"]),
        (_array(lambda x: x.astype(np.int64)), ["int64", "float32"]),
        (_array(lambda x: x[:, :, :40]), ["40", "48"]),
        (_array(_nan), ["NaN"]),
        (_array(lambda x: x[:0]), ["changed.npy"]),
        (_short_labels, ["1", "3"]),
        (_no_image, ["a.png"]),
        (_images_without_spec, ["--preprocess"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line_and_leaves_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arrange: Callable[[Path], list[Any]],
    words: list[str],
) -> None:
    shapes.inputs(tmp_path, 3)
    out = tmp_path / "out"
    assert mho(*arrange(tmp_path), "--out", out) == 2
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1
    assert lines[0].startswith("mho: error: ")
    for word in words:
        assert word in lines[0]
    assert printed.out == ""
    assert not out.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["run", "conductance", "m.onnx", *FILES, "--colour", "red"], ["--colour"]),
        (["run", "divination", "m.onnx"], ["divination", "conductance"]),
        (["run", "shapley", "m.onnx", *FILES, "--evaluations", "many"], ["'many'", "whole number"]),
        (["run", "shapley", "m.onnx", "--out", "o"], ["--inputs"]),
        ([], ["COMMAND"]),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_that_says_where_the_help_is(
    capsys: pytest.CaptureFixture[str], line: list[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 1
    for word in [*words, "--help"]:
        assert word in text


def test_a_folder_with_other_things_is_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, _ = shapes.inputs(tmp_path, 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    assert (
        mho("run", "activation", shapes.MODEL, "--inputs", inputs, "--out", tmp_path / "out") == 2
    )
    assert "thesis.tex" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_the_cost_limit_asks_for_fewer_layers_or_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mho.jobs.attribution._PROJECT_AFTER", 0.0)
    monkeypatch.setenv("MHO_COST_LIMIT_SECONDS", "0.001")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    inputs, labels = shapes.inputs(tmp_path, 8)
    line = [
        "run",
        "shapley",
        shapes.MODEL,
        "--inputs",
        inputs,
        "--labels",
        labels,
        "--out",
        tmp_path / "out",
    ]
    assert mho(*line, "--evaluations", 400) == 2
    text = capsys.readouterr().err
    assert "estimated to take" in text
    assert "--layers" in text
    assert "--yes" in text
    assert not (tmp_path / "out").exists()
    assert mho(*line, "--evaluations", 400, "--yes", "--layers", "conv1/relu") == 0
