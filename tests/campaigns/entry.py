"""What the campaigns' workers run: the real methods, and toys that take as long as they are told.

A file of bytes ``toy…`` is a toy model, to which any input file is a data set. A toy run takes
``activation``, whose option ``layers`` says what it does: ``steps=40``, ``pause=0.02`` (seconds a
step takes), ``seed=3``. It adds up numbers from a counted random generator, so that a run which
lost, repeated or reordered a single step ends with other numbers.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mho.artifacts.context import Context
from mho.artifacts.npz import write_npz
from mho.artifacts.summary import summary
from mho.config import Settings
from mho.data.source import Source
from mho.evaluation import Layer
from mho.jobs import attribution
from mho.jobs.run_loop import Run
from mho.jobs.task import Task
from mho.method import Progress
from mho.results import Result

LAYER = Layer("toy", "Relu", 8, ("batch", 8), 1)


def drawn(seed: int, step: int) -> np.ndarray:
    """What step ``step`` adds."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step])).normal(size=8)


class Toy:
    state_version = "toy"
    notes = ("the toy was wound up",)

    def __init__(self, task: Task) -> None:
        said = dict(entry.partition("=")[::2] for entry in task.options["layers"])
        self.task = task
        self.total, self.seed = int(said["steps"]), int(said["seed"])
        self.pause = float(said["pause"])
        self.count = 0
        self.sums = np.full(8, float(len(task.data.inputs.read_bytes())))

    @property
    def done(self) -> bool:
        return self.count >= self.total

    def progress(self) -> Progress:
        return Progress(self.count, self.total, "steps")

    def step(self) -> None:
        time.sleep(self.pause)
        self.sums = self.sums + drawn(self.seed, self.count)
        self.count += 1

    def checkpoint(self) -> dict[str, np.ndarray]:
        return {"count": np.asarray(self.count), "sums": self.sums}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.count, self.sums = int(arrays["count"]), np.asarray(arrays["sums"])

    def write(self, folder: Path) -> None:
        result = Result(
            estimand="a sum of random numbers",
            scores={LAYER.name: self.sums},
            evaluations={"forward": self.count},
        )
        context = Context(
            method=self.task.method,
            options=self.task.options,
            seed=self.seed,
            engine="",
            why="",
            model_digest="",
            data_digest="",
            layers={LAYER.name: LAYER},
            names=(),
        )
        write_npz(folder / "scores.npz", {LAYER.name: self.sums})
        (folder / "result.json").write_text(json.dumps(summary(result, context)))


def is_toy(model: Path) -> bool:
    with model.open("rb") as reader:
        return reader.read(3) == b"toy"


def open_run(task: Task, settings: Settings) -> Run:
    return Toy(task) if is_toy(task.model) else attribution.open_run(task, settings)


def inspect_model(path: Path, settings: Settings) -> dict[str, Any]:
    if not is_toy(path):
        return attribution.inspect_model(path, settings)
    return {
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 8]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": ["batch", 2]}],
        "layers": [
            {"name": "toy", "op_type": "Relu", "units": 8, "shape": ["batch", 8], "axis": 1,
             "engines": ["gradient"]}
        ],
        "notes": [],
    }  # fmt: skip


def inspect_data(model: Path, source: Source, settings: Settings) -> dict[str, Any]:
    if not is_toy(model):
        return attribution.inspect_data(model, source, settings)
    content = source.inputs.read_bytes()
    return {
        "digest": hashlib.sha256(content).hexdigest(),
        "inputs": 1,
        "labels": False,
        "groups": [],
        "concepts": [],
        "names": [],
    }


attributor = attribution.attributor
