"""Values from files to the result: what a data set carries reaches V."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import shapes
from mho.config import Settings
from mho.data.source import Source
from mho.errors import InvalidData, InvalidOption
from mho.jobs.attribution import inspect_data, open_run
from mho.jobs.task import Task

SETTINGS = Settings(threads=1, provider="cpu")
COUNT = 12


@pytest.fixture
def known(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """An .npz with everything that it may carry, and its arrays."""
    images, labels = (np.load(path) for path in shapes.inputs(tmp_path, COUNT))
    arrays = {
        "image": images,
        "labels": labels,
        "targets": np.random.default_rng(0).normal(size=(COUNT, 6)),
        "groups/first": np.arange(COUNT) < 5,
        "groups/odd": np.arange(COUNT) % 2 == 1,
    }
    np.savez(tmp_path / "known.npz", **arrays)
    return tmp_path / "known.npz", arrays


def answers(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The model's logits, by onnxruntime alone."""
    session = onnxruntime.InferenceSession(str(shapes.MODEL), providers=["CPUExecutionProvider"])
    rows = [session.run(["logits"], {"image": image[None]})[0][0] for image in arrays["image"]]
    return np.stack(rows).astype(np.float64)


def finished(data: Source, folder: Path, **options: Any) -> dict[str, Any]:
    options = {"layers": ["conv3/relu"], "draws": 1, "evaluations": 60, **options}
    run = open_run(Task("ablation", options, shapes.MODEL, data, {}), SETTINGS)
    while not run.done:
        run.step()
    run.write(folder)
    summary: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return summary


def test_v_of_all_units_is_that_of_the_model(
    known: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    path, arrays = known
    scores, labels = answers(arrays), arrays["labels"]
    right = scores.argmax(axis=1) == labels
    first, some = arrays["groups/first"], int(labels[0])
    expected = {
        ("recall", f"classes={some}"): right[labels == some].mean(),
        ("subgroup_accuracy", "subgroups=first"): right[first].mean(),
        ("gap", "subgroups=first"): right[first].mean() - right[~first].mean(),
        ("squared_error", ""): -((scores - arrays["targets"]) ** 2).mean(),
    }
    for (value, option), v in expected.items():
        name, _, written = option.partition("=")
        options = {name: [written]} if name else {}
        summary = finished(Source(path), tmp_path / value, value=value, **options)
        np.testing.assert_allclose(summary["report"]["v_full"], v, rtol=1e-5, atol=1e-7)
        assert not any("has no meaning" in note for note in summary["notes"])


def test_targets_may_lie_in_a_file_of_their_own(
    known: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    path, arrays = known
    np.save(tmp_path / "images.npy", arrays["image"])
    np.save(tmp_path / "targets.npy", arrays["targets"])
    source = Source(tmp_path / "images.npy", tmp_path / "targets.npy")
    apart = finished(source, tmp_path / "apart", value="squared_error")
    within = finished(Source(path), tmp_path / "within", value="squared_error")
    assert apart["report"]["v_full"] == within["report"]["v_full"]
    assert apart["data"]["digest"] != within["data"]["digest"]  # labels and groups are data, too


def test_what_a_data_set_carries_is_told(
    known: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    found = inspect_data(shapes.MODEL, Source(known[0]), SETTINGS)
    assert (found["labels"], found["truth"], found["groups"]) == (True, True, ["first", "odd"])
    np.save(tmp_path / "images.npy", known[1]["image"])
    found = inspect_data(shapes.MODEL, Source(tmp_path / "images.npy"), SETTINGS)
    assert (found["labels"], found["truth"], found["groups"]) == (False, False, [])


def test_what_is_missing_is_said(known: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", known[1]["image"])
    np.save(tmp_path / "whole.npy", known[1]["labels"].astype(np.float32))
    images = tmp_path / "images.npy"
    for options, message in (
        ({"value": "squared_error"}, "'squared_error' needs the targets"),
        ({"value": "gap", "subgroups": ["first"]}, "'gap' needs a label"),
        ({"value": "precision"}, "name them by index with --classes"),
    ):
        with pytest.raises(InvalidOption, match=message):
            finished(Source(images), tmp_path / "out", **options)
    with pytest.raises(InvalidData, match="may be classes or the targets of a regressor"):
        finished(Source(images, tmp_path / "whole.npy"), tmp_path / "out")
