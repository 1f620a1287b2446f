"""The worked cases find what they claim to find, on pictures that the scores did not see."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = ["--chosen", "80", "--judged", "80"]


@pytest.fixture(scope="module")
def cases() -> Iterator[None]:
    """Scripts find one another beside themselves; one thread, because tests share the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES / "cases"))
        patch.setenv("MHO_THREADS", "1")
        patch.setenv("MHO_PROVIDER", "cpu")
        yield
    for name in ("class_responsibility", "repair", "robustness", "commands", "splits", "draw"):
        sys.modules.pop(name, None)


def case(name: str) -> ModuleType:
    return importlib.import_module(name)


def curves(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Those of an ablation; random ones as their mean."""
    with np.load(folder / "scores.npz") as arrays:
        found = {key.removeprefix("curves/"): arrays[key] for key in arrays if "curves/" in key}
    return {**found, "random": found["random"].mean(axis=0)}


def commands(printed: str) -> list[str]:
    return [line.split()[3] for line in printed.splitlines() if line.startswith("$ mho run ")]


@pytest.mark.usefixtures("cases")
def test_a_class_is_lost_without_its_units_and_the_others_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "--layers", "dense1/relu", "--out", str(tmp_path)]
    assert case("class_responsibility").main(words) == 0
    own = curves(tmp_path / "ablation-class-class")
    others = curves(tmp_path / "ablation-class-others")
    five = own["removed"].tolist().index(5)
    assert own["top"][0] > 0.7
    assert own["top"][five] < own["random"][five] - 0.4
    assert others["top"][five] > others["top"][0] - 0.05
    np.testing.assert_array_equal(own["removed"], others["removed"])
    printed = capsys.readouterr().out
    assert commands(printed) == ["shapley"] * 2 + ["ablation"] * 4
    assert f"{own['top'][five]:.1%}" in printed
    assert (tmp_path / "ablation-class-others" / "curves.png").is_file()


@pytest.mark.usefixtures("cases")
def test_a_biased_model_is_repaired_and_the_file_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "--layers", "conv1/relu", "--out", str(tmp_path)]
    assert case("repair").main(words) == 0
    report = json.loads((tmp_path / "edit-accuracy" / "result.json").read_text())["report"]
    assert 8 in report["removed"]["conv1/relu"]  # the filter that answers to the planted mark
    assert report["v_edited"] > report["v_full"] + 0.05
    assert report["v_edited"] > report["v_random"]["mean"] + 0.05

    session = onnxruntime.InferenceSession(
        tmp_path / "edit-accuracy" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    with np.load(tmp_path / "judged.npz") as pictures:
        (logits,) = session.run(["logits"], {"image": pictures["image"]})
        accuracy = np.mean(np.argmax(logits, axis=1) == pictures["labels"])
    assert accuracy == pytest.approx(report["v_edited"])
    printed = capsys.readouterr().out
    assert commands(printed) == ["shapley"] * 2 + ["edit"] * 2
    assert f"{accuracy:.1%}" in printed


@pytest.mark.usefixtures("cases")
def test_an_attack_is_blunted_without_the_units_that_it_works_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "--layers", "conv1/relu", "--out", str(tmp_path)]
    assert case("robustness").main(words) == 0
    success = curves(tmp_path / "ablation-attacked")
    clean = curves(tmp_path / "ablation-clean")
    four = success["removed"].tolist().index(4)
    assert success["top"][four] < success["top"][0] - 0.2
    assert success["top"][four] < success["random"][four] - 0.1
    assert clean["top"][four] > clean["random"][four]
    again = json.loads((tmp_path / "attacked-anew" / "result.json").read_text())["report"]
    assert again["v_full"] == pytest.approx(again["attack"]["fooled_after"])
    printed = capsys.readouterr().out
    assert commands(printed) == ["shapley", "ablation", "ablation", "edit", "ablation"]
    assert f"succeeds in {again['v_full']:.1%}" in printed


@pytest.mark.usefixtures("cases")
def test_what_mho_refuses_ends_a_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        case("repair").main([*SMALL, "--layers", "conv9/relu", "--out", str(tmp_path)])
    assert left.value.code == 2
    assert "conv9/relu" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        case("repair").main(["--judged", "0", "--out", str(tmp_path)])
    assert "give 1 or more" in capsys.readouterr().err
