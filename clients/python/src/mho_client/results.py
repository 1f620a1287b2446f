"""What a job found, as NumPy arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mho_client.v1 import jobs_pb2, results_pb2, tensors_pb2

Array = NDArray[Any]


@dataclass(frozen=True)
class UnitScore:
    """A unit of a layer and its score.

    position: in the other dimensions, where every neuron was scored. label: of a named group.
    magnitude: mean of \\|score\\| over the inputs, where each input has its own score.
    """

    layer: str
    unit: int
    score: float
    std_error: float | None = None
    position: tuple[int, ...] = ()
    label: str = ""
    magnitude: float | None = None


@dataclass(frozen=True)
class Result:
    """What a job found.

    scores: layer -> ``(units,)``, ``(inputs, units)``, ``(inputs, *layer shape)`` at neuron
    granularity, or ``(inputs, units, *input shape)`` for units resolved to the input. ranking:
    layer -> the best guess by which to rank its units, where that is another than the scores. maps:
    layer -> scores over positions, ``(inputs, *positions)`` or ``(inputs, units, *positions)``.
    std_error: layer -> the scores' shape. curves: name -> ``(points,)`` or ``(draws, points)``.
    top: layer -> its units of largest magnitude, largest first. summary: all of ``result.json``.
    """

    method: str
    estimand: str
    scores: Mapping[str, Array]
    ranking: Mapping[str, Array]
    maps: Mapping[str, Array]
    std_error: Mapping[str, Array]
    curves: Mapping[str, Array]
    top: Mapping[str, tuple[UnitScore, ...]]
    completeness_gap: float | None
    notes: tuple[str, ...]
    summary: Mapping[str, Any]

    def ranked(self, count: int = 10) -> list[UnitScore]:
        """The ``count`` units of largest magnitude among the top of all layers, largest first."""
        units = [unit for units in self.top.values() for unit in units]
        units.sort(key=lambda unit: -_magnitude(unit))
        return units[:count]


def result_of(message: results_pb2.Result, summary: str, arrays: Iterable[FetchedArray]) -> Result:
    """A result from its parts; ``summary`` is the text of ``result.json``."""
    by_role: dict[int, dict[str, Array]] = {}
    for fetched in arrays:
        by_role.setdefault(fetched.role, {})[fetched.subject] = fetched.array
    return Result(
        method=message.method,
        estimand=message.estimand,
        scores=by_role.get(results_pb2.ARRAY_ROLE_SCORES, {}),
        ranking=by_role.get(results_pb2.ARRAY_ROLE_RANKING, {}),
        maps=by_role.get(results_pb2.ARRAY_ROLE_MAP, {}),
        std_error=by_role.get(results_pb2.ARRAY_ROLE_STD_ERROR, {}),
        curves=by_role.get(results_pb2.ARRAY_ROLE_CURVE, {}),
        top={
            layer.layer: tuple(unit_score(layer.layer, unit) for unit in layer.top)
            for layer in message.layers
        },
        completeness_gap=(
            message.completeness_gap if message.HasField("completeness_gap") else None
        ),
        notes=tuple(message.notes),
        summary=json.loads(summary),
    )


@dataclass(frozen=True)
class FetchedArray:
    """One array of a result, with what it is."""

    key: str
    role: int
    subject: str
    array: Array


def fetched_arrays(
    responses: Iterable[jobs_pb2.FetchScoresResponse],
) -> Iterator[FetchedArray]:
    """The arrays of a stream, each as soon as it is whole; ValueError where bytes are missing."""
    begin: jobs_pb2.FetchScoresResponse.Begin | None = None
    array = np.empty(0)
    filled = 0
    for response in responses:
        if response.WhichOneof("part") == "begin":
            if begin is not None:
                yield _whole(begin, array, filled)
            begin = response.begin
            array = np.empty(tuple(begin.tensor.dims), dtype_of(begin.tensor.data_type))
            filled = 0
            continue
        raw = array.reshape(-1).view(np.uint8)
        raw[filled : filled + len(response.chunk)] = np.frombuffer(response.chunk, np.uint8)
        filled += len(response.chunk)
    if begin is not None:
        yield _whole(begin, array, filled)


def dtype_of(value: int) -> np.dtype[Any]:
    """The NumPy dtype, little-endian, of a ``DataType``; ValueError for one NumPy does not have."""
    name = tensors_pb2.DataType.Name(value).removeprefix("DATA_TYPE_").lower()
    try:
        return np.dtype(name).newbyteorder("<")
    except TypeError as error:
        raise ValueError(f"NumPy has no type for the elements, which are {name}") from error


def _whole(begin: jobs_pb2.FetchScoresResponse.Begin, array: Array, filled: int) -> FetchedArray:
    if filled != array.nbytes:
        raise ValueError(f"'{begin.key}' has {array.nbytes} bytes, but {filled} were sent")
    return FetchedArray(begin.key, begin.role, begin.subject, array)


def unit_score(layer: str, message: results_pb2.UnitScore) -> UnitScore:
    """A unit of ``layer`` as a message tells of it."""
    return UnitScore(
        layer=layer,
        unit=message.unit,
        score=message.score,
        std_error=message.std_error if message.HasField("std_error") else None,
        position=tuple(message.position),
        label=message.label,
        magnitude=message.magnitude if message.HasField("magnitude") else None,
    )


def _magnitude(unit: UnitScore) -> float:
    value = abs(unit.score) if unit.magnitude is None else unit.magnitude
    return value if math.isfinite(value) else -1.0
