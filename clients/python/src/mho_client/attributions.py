"""Attributions in one call: what is asked, and what comes back as NumPy arrays."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from mho_client.errors import invalid
from mho_client.files import Array, Image, existing
from mho_client.results import UnitScore, dtype_of, unit_score
from mho_client.v1 import attributions_pb2, tensors_pb2

RequestInputs = Array | Mapping[str, Array] | Sequence["Image | str | PathLike[str]"]
"""What ``attribute`` takes: an array, arrays by graph input, or PIL images or paths of images."""


@dataclass(frozen=True)
class Prediction:
    """What was attributed of one input: F(x), the score of class ``target``. baseline_score: F(x')
    at the start of the path; None for methods without one."""

    target: int
    score: float
    baseline_score: float | None


@dataclass(frozen=True)
class Completeness:
    """How well the scores of one cut add up to F(x) - F(x'); all arrays are ``(inputs,)``."""

    layers: tuple[str, ...]
    difference: Array
    total: Array
    gap: Array


@dataclass(frozen=True)
class Attribution:
    """What one call found.

    scores: layer -> ``(inputs, units)``, ``(inputs, *layer shape)`` at neuron granularity, or
    ``(inputs, units, *input shape)`` for units resolved to the input; empty with ``top``. maps:
    layer -> ``(inputs, *positions)``. top: layer -> for each input its units of largest score by
    size; empty without ``top``. queue_seconds, compute_seconds: how long the call waited, and how
    long the run took; batch_inputs: how many inputs that run had, those of other calls included.
    """

    method: str
    estimand: str
    scores: Mapping[str, Array]
    maps: Mapping[str, Array]
    top: Mapping[str, tuple[tuple[UnitScore, ...], ...]]
    predictions: tuple[Prediction, ...]
    completeness: tuple[Completeness, ...]
    notes: tuple[str, ...]
    engine: str
    engine_reason: str
    model_digest: str
    queue_seconds: float
    compute_seconds: float
    batch_inputs: int

    @staticmethod
    def of(message: attributions_pb2.AttributeResponse) -> Attribution:
        layers = message.layers
        return Attribution(
            method=message.method,
            estimand=message.estimand,
            scores={e.layer: _array(e.scores) for e in layers if e.HasField("scores")},
            maps={e.layer: _array(e.map) for e in layers if e.HasField("map")},
            top={
                entry.layer: tuple(
                    tuple(unit_score(entry.layer, unit) for unit in units.units)
                    for units in entry.top
                )
                for entry in layers
                if entry.top
            },
            predictions=tuple(
                Prediction(
                    entry.target,
                    entry.score,
                    entry.baseline_score if entry.HasField("baseline_score") else None,
                )
                for entry in message.predictions
            ),
            completeness=tuple(
                Completeness(
                    tuple(entry.layers),
                    np.array(entry.difference),
                    np.array(entry.total),
                    np.array(entry.gap),
                )
                for entry in message.completeness
            ),
            notes=tuple(message.notes),
            engine=message.engine,
            engine_reason=message.engine_reason,
            model_digest=message.model_digest,
            queue_seconds=message.queue_milliseconds / 1000,
            compute_seconds=message.compute_milliseconds / 1000,
            batch_inputs=message.batch_inputs,
        )


def put_inputs(request: attributions_pb2.AttributeRequest, inputs: RequestInputs | Image) -> None:
    """Put ``inputs`` into ``request``; MhoClientError where they are nothing of the kind."""
    if isinstance(inputs, np.ndarray):
        inputs = {"": inputs}
    if isinstance(inputs, Mapping):
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(_tensor(np.asarray(array), name))
        return
    images = [inputs] if isinstance(inputs, Image) else inputs
    if isinstance(images, (str, bytes)) or not isinstance(images, Sequence) or not images:
        raise invalid(
            f"inputs are {type(inputs).__name__}; give an array, a dict of arrays by graph input, "
            "or a list of PIL images or paths",
            "inputs",
        )
    for position, image in enumerate(images):
        if isinstance(image, (str, PathLike)):
            request.images.append(existing(image, "inputs").read_bytes())
        elif isinstance(image, Image):
            stream = io.BytesIO()
            image.save(stream, format="PNG")
            request.images.append(stream.getvalue())
        else:
            raise invalid(
                f"inputs[{position}] is {type(image).__name__}; give PIL images or paths", "inputs"
            )


def _tensor(array: Array, name: str) -> tensors_pb2.Tensor:
    kind = f"DATA_TYPE_{array.dtype.name.upper()}"
    if kind not in tensors_pb2.DataType.keys():  # noqa: SIM118
        raise invalid(
            f"inputs['{name}'] is an array of {array.dtype}; numbers are needed",
            "inputs",
            "INVALID_DATA",
        )
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return tensors_pb2.Tensor(data_type=kind, dims=array.shape, data=little.tobytes())


def _array(message: tensors_pb2.Tensor) -> Array:
    kind: np.dtype[Any] = dtype_of(message.data_type)
    return np.frombuffer(message.data, kind).reshape(tuple(message.dims))
