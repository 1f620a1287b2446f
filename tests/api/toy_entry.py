"""Stands in for ``mho.jobs.attribution`` in the workers; any model of bytes ``toy…`` will do.

How a run behaves is told by the option ``layers``, since the methods are the real ones:
``steps=5``, ``pause=0.1`` (seconds a step takes), ``fail`` (at the last step), ``model`` or
``model=apart`` (makes a model, its weights beside it).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mho.artifacts.chart import Chart
from mho.artifacts.context import Context
from mho.artifacts.npz import write_npz
from mho.artifacts.summary import summary
from mho.config import Settings
from mho.data.source import Source
from mho.errors import InvalidModel, TooExpensive
from mho.evaluation import Layer
from mho.jobs.task import Task
from mho.method import Progress
from mho.results import Completeness, Result

LAYERS = (
    Layer("block/relu", "Relu", 3, ("batch", 3, 4, 4), 1),
    Layer("fc", "Gemm", 2, (None, 2), 1),
)
SCORES = {
    "block/relu": np.array([0.5, -2.0, 1.0]),
    "fc": np.array([[1.0, 0.0], [3.0, -1.0]]),
}
STD_ERROR = {"block/relu": np.array([0.1, 0.2, 0.3])}
RANKING = {"block/relu": np.array([0.4, -1.0, 2.0])}
MAPS = {"fc": np.arange(8.0).reshape(2, 2, 2)}
MODEL, WEIGHTS = b"toy made" * 300_000, b"weights"
PICTURE = Chart("pictures/units.png", "Units", "as they are", b"")
CURVES = {"removed": np.arange(4.0), "top": np.ones((2, 4))}


class Run:
    state_version = "toy"

    def __init__(self, task: Task) -> None:
        said = dict(entry.partition("=")[::2] for entry in task.options.get("layers", ()))
        self.total = int(said.get("steps", 2))
        self.pause = float(said.get("pause", 0))
        self.fails = "fail" in said
        self.makes = said.get("model")
        self.task = task
        self.count = 0

    @property
    def notes(self) -> tuple[str, ...]:
        return ("engine finite_difference: a toy has no gradient",)

    @property
    def done(self) -> bool:
        return self.count >= self.total

    def progress(self) -> Progress:
        return Progress(self.count, self.total, "steps")

    def step(self) -> None:
        time.sleep(self.pause)
        self.count += 1
        if self.fails and self.done:
            raise TooExpensive("the estimate is 10 h; choose fewer layers", subject="layers")

    def checkpoint(self) -> dict[str, np.ndarray]:
        return {"count": np.asarray(self.count)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.count = int(arrays["count"])

    def write(self, folder: Path) -> None:
        attached = {name: path.name for name, path in sorted(self.task.attachments.items())}
        result = Result(
            estimand="nothing, it is a toy",
            scores=SCORES,
            std_error=STD_ERROR,
            curves=CURVES,
            completeness=[
                Completeness(
                    layers=("fc",),
                    difference=np.ones(2),
                    total=np.ones(2),
                    gap=np.array([0.001, 0.004]),
                    floor=np.full(2, 1e-6),
                )
            ],
            evaluations={"forward": 64},
            report={"attached": attached, "options": dict(self.task.options)},
            notes=("a note",),
        )
        context = Context(
            method=self.task.method,
            options=self.task.options,
            seed=2**63 - 1,
            engine="finite_difference",
            why="a toy",
            model_digest="m",
            data_digest="d",
            layers={layer.name: layer for layer in LAYERS},
            names=("a", "b"),
        )
        arrays = {
            **SCORES,
            "block/relu/std_error": STD_ERROR["block/relu"],
            "ranking/block/relu": RANKING["block/relu"],
            "maps/fc": MAPS["fc"],
            "curves/removed": CURVES["removed"],
            "curves/top": CURVES["top"],
        }
        write_npz(folder / "scores.npz", arrays)
        (folder / "pictures").mkdir()
        (folder / "pictures" / "units.png").write_bytes(b"\x89PNG" + bytes(3_000_000))
        if self.makes is not None:
            (folder / "model.onnx").write_bytes(MODEL)
        if self.makes == "apart":
            (folder / "model.onnx.data").write_bytes(WEIGHTS)
        (folder / "result.json").write_text(
            json.dumps(summary(result, context, pictures=[PICTURE]))
        )


def open_run(task: Task, settings: Settings) -> Run:
    return Run(task)


def inspect_model(path: Path, settings: Settings) -> dict[str, Any]:
    content = path.read_bytes()
    if not content.startswith(b"toy"):
        raise InvalidModel(f"'{path.name}' is no ONNX model; export it again", subject=path.name)
    copies = 5000 if content.startswith(b"toy wide") else 1
    return {
        "digest": hashlib.sha256(content).hexdigest(),
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 3, None]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": ["batch", 2]}],
        "layers": [
            {
                "name": layer.name + (f"/{copy}" if copy else ""),
                "op_type": layer.op_type,
                "units": layer.units,
                "shape": list(layer.shape),
                "axis": layer.axis,
                "engines": list(layer.engines),
            }
            for copy in range(copies)
            for layer in LAYERS
        ],
        "notes": ["the batch was made symbolic"],
    }


def inspect_data(model: Path, source: Source, settings: Settings) -> dict[str, Any]:
    content = source.inputs.read_bytes()
    return {
        "digest": hashlib.sha256(content).hexdigest(),
        "inputs": 2,
        "labels": source.labels is not None,
        "groups": ["g"],
        "concepts": [],
        "names": ["a", "b"],
    }
