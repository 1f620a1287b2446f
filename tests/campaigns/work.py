"""What the clients of a campaign ask for, and what an undisturbed run of it gives."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

import shapes  # of the folder above, which is no package
from entry import LAYER, drawn
from mho_client import Client, Job

Arrays = Mapping[str, np.ndarray]

PICTURES = 24
LAYERS = ["conv1/relu", "conv2/relu"]


@dataclass(frozen=True)
class Order:
    """One job to be asked for. Orders of the same ``key`` give the same arrays."""

    key: str
    method: str
    options: Mapping[str, Any]
    toy: bool = False
    content: bytes = field(default=b"", repr=False)
    """Of a toy's data set."""


REAL = (
    Order("conductance", "conductance", {"layers": LAYERS}),
    Order(
        "shapley, assisted",
        "shapley",
        {"layers": LAYERS, "value": "cross_entropy", "evaluations": 300},
    ),
    Order(
        "shapley, permutation",
        "shapley",
        {"layers": ["conv1/relu"], "value": "cross_entropy", "estimator": "permutation",
         "evaluations": 300},
    ),
    Order("ablation", "ablation", {"layers": LAYERS, "draws": 2, "evaluations": 100}),
    Order("edit", "edit", {"remove": ["conv2/relu:0", "conv2/relu:3"], "draws": 2}),
)  # fmt: skip


def toy(
    chance: random.Random,
    most_steps: int = 150,
    contents: Sequence[int] = (0, 1000, 300_000, 1_500_000),
) -> Order:
    """A toy of 20 ms a step, on data of its own, one of so many bytes."""
    steps, seed = chance.randint(10, most_steps), chance.getrandbits(30)
    content = chance.randbytes(16) + bytes(chance.choice(contents))
    said = [f"steps={steps}", "pause=0.02", f"seed={seed}"]
    return Order(f"toy {said} {len(content)}", "activation", {"layers": said}, True, content)


def orders(chance: random.Random) -> Iterator[Order]:
    """What one client asks for, one after another: half of them toys."""
    while True:
        yield toy(chance) if chance.random() < 0.5 else chance.choice(REAL)


class Expected:
    """Arrays of undisturbed runs. Toys are computed here, the others by a server left in peace."""

    def __init__(self) -> None:
        self._known: dict[str, Arrays] = {}
        self.attribution = np.zeros(0)
        """What ``attributed`` gives in peace."""

    def learn(self, order: Order, arrays: Arrays) -> None:
        self._known[order.key] = arrays

    def difference(self, order: Order, arrays: Arrays) -> float:
        """Largest absolute difference of ``arrays`` from the undisturbed run's; inf for other names
        or shapes."""
        wanted = self._toy(order) if order.toy else self._known[order.key]
        if {name: array.shape for name, array in arrays.items()} != {
            name: array.shape for name, array in wanted.items()
        }:
            return np.inf
        # In float64, and 0 where both are the same non-finite number.
        return max(
            (
                0.0
                if np.array_equal(array, wanted[name], equal_nan=True)
                else float(np.nanmax(np.abs(np.subtract(array, wanted[name], dtype=float))))
                for name, array in arrays.items()
            ),
            default=0.0,
        )

    def _toy(self, order: Order) -> Arrays:
        steps, _, seed = (said.partition("=")[2] for said in order.options["layers"])
        sums = np.full(8, float(len(order.content)))
        for step in range(int(steps)):
            sums = sums + drawn(int(seed), step)
        return {f"scores/{LAYER.name}": sums}


def found(job: Job) -> Arrays:
    """All arrays of a job that has succeeded; a model that it made as its bytes."""
    result = job.result()
    arrays = {
        f"{kind}/{name}": np.asarray(array)
        for kind in ("scores", "std_error", "curves")
        for name, array in (getattr(result, kind) or {}).items()
    }
    if any(artifact.path == "model.onnx" for artifact in job.artifacts()):
        arrays["model"] = np.frombuffer(job.model_bytes(), np.uint8)
    return arrays


def attributed(client: Client, model: str, folder: Path) -> np.ndarray:
    """Scores of the first picture by a synchronous call."""
    first = np.load(pictures(folder)[0])[:1]
    return np.asarray(
        client.attribute(model, "conductance", first, layers=LAYERS[:1]).scores[LAYERS[0]]
    )


def pictures(folder: Path) -> tuple[Path, Path]:
    """Inputs and labels of the real jobs, as files."""
    folder.mkdir(exist_ok=True)
    return shapes.inputs(folder, PICTURES)


def model(client: Client, order: Order, folder: Path) -> str:
    """The name of the order's model, uploaded where the server does not have it."""
    if not order.toy:
        return client.upload_model(shapes.MODEL).name
    file = folder / "toy.onnx"
    file.write_bytes(b"toy")
    return client.upload_model(file).name


def dataset(client: Client, order: Order, model: str, folder: Path) -> str:
    """The name of the order's data set, uploaded where the server does not have it."""
    if not order.toy:
        inputs, labels = pictures(folder)
        return client.upload_dataset(model, inputs, labels=labels).name
    file = folder / "inputs.npy"
    file.write_bytes(order.content)
    return client.upload_dataset(model, file).name
