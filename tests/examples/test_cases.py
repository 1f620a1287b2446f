"""The worked cases find what they claim to find, on pictures that the scores did not see.

Each is run with fewer pictures, and with the units of one layer, so that it takes seconds.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

CASES = Path(__file__).resolve().parents[2] / "examples" / "cases"
NAMES = ("one_class", "repair", "attack")
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a case with the units of a layer; one thread, because tests share the machine."""
    monkeypatch.syspath_prepend(str(CASES))  # scripts find one another beside themselves
    monkeypatch.setenv("MHO_THREADS", "1")
    monkeypatch.setenv("MHO_PROVIDER", "cpu")
    split = importlib.import_module("split")
    opened = split.opened

    def case(name: str, layer: str, *words: str) -> int:
        def of_layer(*given: Any, **options: Any) -> Any:
            return opened(*given, layers=[layer], **options)

        script: ModuleType = importlib.import_module(name)
        for module in (split, script):
            monkeypatch.setattr(module, "opened", of_layer)
        small = ["--scored", "80", "--judged", "80", "--out", str(tmp_path)]
        status = script.main([*small, *words])
        assert isinstance(status, int)
        return status

    yield case
    for name in (*NAMES, "split", "draw"):
        sys.modules.pop(name, None)


def shares(printed: str, row: str) -> list[float]:
    """The first share of every cell but the first of a printed row; spreads are in brackets."""
    line = next(line for line in printed.splitlines() if line.startswith(row))
    cells = [cell for cell in line.removeprefix(row).split("  ") if cell.strip()]
    return [float(cell.split("%")[0]) / 100 for cell in cells]


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))["report"]
    return found


def test_a_class_is_lost_without_its_units_and_the_others_are_not(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("one_class", "dense1/relu", "--shape", "star") == 0
    printed = capsys.readouterr().out
    own, others = shares(printed, "nothing")
    for kind in ("recall", "the gap"):
        lost, kept = shares(printed, f"4 for {kind}")
        assert lost < min(own, shares(printed, "4 at random")[0]) - 0.1
        assert kept > others
    lost, kept = shares(printed, "8 for the gap")
    assert lost < min(own, shares(printed, "8 at random")[0]) - 0.3
    assert kept > others - 0.05
    assert (tmp_path / "gap" / "units.png").is_file()
    assert report(tmp_path / "class")["v_full"] > 0.7


def test_a_biased_model_is_repaired_and_the_file_shows_it(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("repair", "conv1/relu", "--count", "2") == 0
    printed = capsys.readouterr().out
    removed = report(tmp_path / "edit")["removed"]
    assert 8 in removed["conv1/relu"]  # the filter that answers to the planted mark
    with np.load(tmp_path / "judged.npz") as pictures:
        image, labels = pictures["image"], pictures["labels"]
    session = onnxruntime.InferenceSession(
        tmp_path / "edit" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    accuracy = np.mean(np.argmax(session.run(None, {"image": image})[0], axis=1) == labels)
    before, marked, unmarked = shares(printed, "the model ")
    assert accuracy > before + 0.05
    assert accuracy > shares(printed, "without 2 at random")[0] + 0.05
    after, after_marked, after_unmarked = shares(printed, "without the 2 of lowest value")
    assert after == pytest.approx(accuracy, abs=0.001)  # as printed
    assert after_marked > marked + 0.1
    assert after_unmarked > unmarked - 0.1


def test_an_attack_is_blunted_without_the_units_that_it_goes_through(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("attack", "conv1/relu") == 0
    printed = capsys.readouterr().out
    success, accuracy = shares(printed, "nothing")
    blunted, clean = shares(printed, "4 found")
    assert success > 1 - accuracy + 0.3
    assert blunted < success - 0.2
    assert blunted < shares(printed, "4 at random")[0] - 0.1
    assert clean > 0.5
    assert report(tmp_path / "shapley")["attack"]["kind"] == "pgd"
