"""``mho layers``, ``methods`` and ``run``: what they print, write and refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import shapes
from mho.cli import main, show
from mho.estimator import Estimator
from mho.method import Method, Progress, options_of
from mho.registry import entries
from mho.value import Value

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
        "engines": ["gradient", "finite_difference"],
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
    text = capsys.readouterr().out
    assert "--tolerance" in text
    values, estimators = keywords("mho.values", Value), keywords("mho.estimators", Estimator)
    for choices in (values, estimators, "mean|position_mean|zero|resample|FILE"):
        assert choices in text
    assert "--reference DATA" in text


def keywords(package: str, contract: type[Any]) -> str:
    """The entries of a registry as the help writes them."""
    return "|".join(entries(package, contract))


def test_keywords_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "shapley", "--help"])
    text = capsys.readouterr().out
    values = keywords("mho.values", Value)
    for words in (values, "--reference DATA", "--inputs FILE|DIR|ZIP"):
        assert words in text


def test_names_are_whole_where_output_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    name = "encoder/" + "block/" * 40 + ":smile:[bold]:0"
    weight = onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    graph = onnx.helper.make_graph(
        [node("MatMul", ["x", "w"], [name]), node("Relu", [name], ["two\nlines"])],
        "g",
        [info("x", 1, ["N", 3])],
        [info("two\nlines", 1, ["N", 2])],
        [weight],
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]),
        tmp_path / "m.onnx",
    )
    assert mho("layers", tmp_path / "m.onnx") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:] for line in lines if line.startswith(name)] == [
        ["MatMul", "2", "N", "×", "2", "gradient"]
    ]
    assert any(line.startswith("two\\nlines ") for line in lines)
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize(
    "command",
    [
        f"layers {shapes.MODEL} | true",
        f"layers {shapes.MODEL} --json | true",
        "methods | head -1",
        "run conductance --help | true",
    ],
)
def test_a_reader_who_leaves_is_no_error(command: str) -> None:
    line = f"{sys.executable} -m mho.cli {command}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_comes_without_what_runs_models() -> None:
    code = (
        "import sys; from mho.cli.parser import parser; parser(); "
        "print(*sys.modules.keys() & {'onnx', 'onnxruntime', 'grpc', 'sqlalchemy', 'matplotlib'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("where", ["mho.cli.parser.parser", "mho.cli.local.described_methods"])
def test_an_interrupt_is_one_line(
    where: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    assert mho("methods") == 130
    assert capsys.readouterr().err == "mho: interrupted\n"


def _top(*units: int, **more: Any) -> list[dict[str, Any]]:
    return [{"unit": u, "score": 1.0 / (1 + i), **more} for i, u in enumerate(units)]


def _printed(
    folder: Path, capsys: pytest.CaptureFixture[str], top: dict[str, Any], **more: Any
) -> str:
    summary = {
        "method": "m", "estimand": "e", "top_units": top, "evaluations": {"forward": 1},
        "seconds": 1.0, "engine": None, "notes": ["said before", "new"],
        "layers": [{"name": name, "shape": ["N", len(name)]} for name in top],
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps({**summary, **more}))
    show.result(folder, said=["said before"])
    return capsys.readouterr().out


def test_ten_units_of_one_layer_with_their_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = {"a": _top(*range(12), std_error=0.1)}
    lines = _printed(tmp_path, capsys, top, interval_factor=2.5).splitlines()
    assert lines[1].split() == ["layer", "unit", "score", "±", "95", "%"]
    assert lines[2].split() == ["a", "0", "+1", "0.25"]
    assert [line.split()[1] for line in lines if line.startswith("a ")] == list(map(str, range(10)))
    assert "note: new" in lines
    assert "note: said before" not in lines


def test_units_that_are_ranked_by_magnitude_show_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    units = [
        {"unit": 3, "score": -0.1, "magnitude": 5.0, "position": [1, 2]},
        {"unit": 1, "score": 2.0, "magnitude": 2.0, "position": [0, 0]},
    ]
    lines = _printed(tmp_path, capsys, {"a": units}).splitlines()
    assert lines[2].split() == ["a", "3", "at", "1,", "2", "-0.1", "5"]
    assert "mean |score|" in lines[1]


def test_a_unit_is_printed_once_and_many_layers_are_thinned_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = _printed(tmp_path, capsys, {"c": _top(5, 6, 7), "r": _top(5, 6, 7), "d": _top(1, 2, 3)})
    assert [line.split()[0] for line in text.splitlines()[2:8]] == ["r"] * 3 + ["d"] * 3
    many = {f"layer{i}": _top(i, i + 1, i + 2, i + 3) for i in range(20)}
    text = _printed(tmp_path, capsys, many)
    shown = [line.split()[0] for line in text.splitlines() if line.startswith("layer")][1:]
    assert len(shown) == 8 * 3
    assert len(set(shown)) == 8
    assert "units of further layers (12) are in" in text


def test_a_log_hears_of_long_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("mho.cli.show.time.monotonic", lambda: now[0])
    with show.progress("conductance") as bar:
        for second in range(25):
            now[0] = float(second)
            bar.update(Progress(second, 25, "paths", "layer group 2 of 5"))
    assert capsys.readouterr().err.splitlines() == [
        "conductance 40 %, layer group 2 of 5",
        "conductance 80 %, layer group 2 of 5",
    ]


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
        (_run("gradient", "--engine", "finite_difference"), ["gradient", "conductance"]),
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
        (
            ["run", "conductance", "m.onnx", *FILES, "--colour", "red"],
            ["--colour red", "'mho run conductance --help'"],
        ),
        (["layers", "m.onnx", "n.onnx"], ["n.onnx", "'mho layers --help'"]),
        (
            ["run", "conductance", *FILES, "--layers", "conv1", "m.onnx"],
            ["required: MODEL", "write MODEL before --layers"],
        ),
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


@pytest.mark.parametrize("out", ["inputs.npy/sub", "/proc/mho-out"])
def test_a_folder_that_cannot_be_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    inputs, _ = shapes.inputs(tmp_path, 1)
    line = ["run", "activation", "no-model.onnx", "--inputs", inputs, "--out", tmp_path / out]
    assert mho(*line) == 2
    assert out in capsys.readouterr().err


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
