"""What a synchronous call asks and what it is answered, and both as messages of the pipe.

Arrays travel as frames beside the JSON, in which their numbers stand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mho.jobs.messages import PipeClosed
from mho.types import JSON

Frames = list[bytes]


@dataclass(frozen=True)
class Tensor:
    """An array: NumPy's name of its type, its shape, and row-major little-endian bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)

    def to_json(self, frames: Frames) -> dict[str, Any]:
        frames.append(self.data)
        return {"dtype": self.dtype, "shape": list(self.shape), "frame": len(frames) - 1}

    @staticmethod
    def from_json(value: Mapping[str, Any], frames: Sequence[bytes]) -> Tensor:
        shape = tuple(int(length) for length in value["shape"])
        return Tensor(str(value["dtype"]), shape, frames[int(value["frame"])])


@dataclass(frozen=True)
class Query:
    """A method with its options on inputs that come with it.

    tensors: by graph input ("" for the only one), batch first; or images: encoded pictures, one
        for each input. preprocess: a checked spec as JSON, or "". labels: class indices, or none.
    top: how many units of each layer are given; 0 for all of them as arrays.
    """

    method: str
    options: Mapping[str, JSON]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    images: Sequence[bytes] = field(default=(), repr=False)
    preprocess: str = ""
    labels: tuple[int, ...] = ()
    top: int = 0

    @property
    def inputs(self) -> int:
        """How many inputs it has, as it says."""
        if self.images:
            return len(self.images)
        first = next(iter(self.tensors.values()))
        return first.shape[0] if first.shape else 0

    @property
    def size(self) -> int:
        """Bytes of the inputs."""
        return sum(map(len, self.images)) + sum(len(t.data) for t in self.tensors.values())

    @property
    def kind(self) -> str:
        """Queries of one model that are alike in this may be answered by one run."""
        rows = {name: [t.dtype, t.shape[1:]] for name, t in self.tensors.items()}
        alike = [self.method, self.options, rows, bool(self.images), self.preprocess]
        return json.dumps([*alike, bool(self.labels)], sort_keys=True)

    def to_json(self, frames: Frames) -> dict[str, Any]:
        return {
            "method": self.method,
            "options": dict(self.options),
            "tensors": {name: t.to_json(frames) for name, t in self.tensors.items()},
            "images": [_framed(image, frames) for image in self.images],
            "preprocess": self.preprocess,
            "labels": list(self.labels),
            "top": self.top,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any], frames: Sequence[bytes]) -> Query:
        return Query(
            method=value["method"],
            options=value["options"],
            tensors={n: Tensor.from_json(t, frames) for n, t in value["tensors"].items()},
            images=[frames[number] for number in value["images"]],
            preprocess=value["preprocess"],
            labels=tuple(value["labels"]),
            top=value["top"],
        )


@dataclass(frozen=True)
class TopUnit:
    """A unit, where it is in the layer's other dimensions (neurons only), and its score."""

    unit: int
    position: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class LayerScores:
    """scores, map: as float32, or None where ``top`` (one list for each input) was asked for."""

    layer: str
    scores: Tensor | None
    map: Tensor | None
    top: Sequence[Sequence[TopUnit]]

    def to_json(self, frames: Frames) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "scores": None if self.scores is None else self.scores.to_json(frames),
            "map": None if self.map is None else self.map.to_json(frames),
            "top": [[[u.unit, list(u.position), u.score] for u in units] for units in self.top],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any], frames: Sequence[bytes]) -> LayerScores:
        def tensor(name: str) -> Tensor | None:
            found = value[name]
            return None if found is None else Tensor.from_json(found, frames)

        return LayerScores(
            layer=str(value["layer"]),
            scores=tensor("scores"),
            map=tensor("map"),
            top=[
                [TopUnit(int(u), tuple(int(i) for i in place), float(s)) for u, place, s in units]
                for units in value["top"]
            ],
        )


@dataclass(frozen=True)
class CutSums:
    """How well the scores of one cut add up; a figure for each input, as in ``Completeness``."""

    layers: Sequence[str]
    difference: Sequence[float]
    total: Sequence[float]
    gap: Sequence[float]


@dataclass(frozen=True)
class Answer:
    """What was found for one query.

    targets, values, starts: class, F(x) and F(x') of each input; empty where there are none.
    seconds, inputs: how long the run took, and how many inputs it had, those of other queries
        included.
    """

    estimand: str
    engine: str
    why: str
    model_digest: str
    layers: Sequence[LayerScores]
    targets: Sequence[int]
    values: Sequence[float]
    starts: Sequence[float]
    completeness: Sequence[CutSums]
    notes: Sequence[str]
    seconds: float
    inputs: int

    def to_json(self, frames: Frames) -> dict[str, Any]:
        return {
            "estimand": self.estimand,
            "engine": self.engine,
            "why": self.why,
            "model_digest": self.model_digest,
            "layers": [layer.to_json(frames) for layer in self.layers],
            "targets": list(self.targets),
            "values": list(self.values),
            "starts": list(self.starts),
            "completeness": [
                [list(c.layers), list(c.difference), list(c.total), list(c.gap)]
                for c in self.completeness
            ],
            "notes": list(self.notes),
            "seconds": self.seconds,
            "inputs": self.inputs,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any], frames: Sequence[bytes]) -> Answer:
        """PipeClosed where it has not this form: a worker's words are not trusted."""
        try:
            return Answer(
                estimand=str(value["estimand"]),
                engine=str(value["engine"]),
                why=str(value["why"]),
                model_digest=str(value["model_digest"]),
                layers=[LayerScores.from_json(layer, frames) for layer in value["layers"]],
                targets=[int(target) for target in value["targets"]],
                values=_floats(value["values"]),
                starts=_floats(value["starts"]),
                completeness=[
                    CutSums([str(n) for n in names], *(_floats(figures) for figures in rest))
                    for names, *rest in value["completeness"]
                ],
                notes=[str(note) for note in value["notes"]],
                seconds=float(value["seconds"]),
                inputs=int(value["inputs"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise PipeClosed(f"an answer that is none: {error}") from error


def batch_message(model: Path, queries: Sequence[Query]) -> tuple[dict[str, Any], Frames]:
    """The message that asks a worker ``queries`` on one model, and its frames."""
    frames: Frames = []
    listed = [query.to_json(frames) for query in queries]
    return {"kind": "attribute", "model": str(model), "queries": listed}, frames


def _framed(data: bytes, frames: Frames) -> int:
    frames.append(data)
    return len(frames) - 1


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]
