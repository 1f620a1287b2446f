"""Result -> ``result.json``. The keys are a contract; other people's scripts rest on them.

==============  =================================================================================
format          ``mho-result/1``
method          the method's name
options         every option by field name, defaults included; of a file its name
attachments     option -> ``{"name", "digest"}`` of the file that it named, SHA-256
estimand        what the scores estimate, in words
model           ``{"name", "digest"}``, the digest SHA-256 of the model's files
data            ``{"name", "digest", "inputs"}``, ``inputs`` being how many
seed            of every random draw
engine, why     how derivatives were had and the reason; engine is null where none are needed
provider        what onnxruntime ran on
versions        of mho and of what it rests on
seconds         wall clock from reading the model to the last evaluation
evaluations     what was spent, by kind
completeness    list, one entry per cut: ``{"layers", "gap": {"median", "max", "per_input"},
                "difference", "total", "floor"}``; the last three are lists, one number per input
std_error       layer -> ``{"median", "max"}`` over its units; only layers that have them
interval_factor standard errors to each side of a score that make its 95 % interval, or null
layers          list of ``{"name", "op_type", "units", "shape", "axis"}`` of the scored layers
top_units       layer -> the ten units of largest magnitude: ``{"unit", "score"}`` and, where they
                apply, ``"std_error"``, ``"position"`` (neuron granularity), ``"name"`` (groups),
                ``"magnitude"`` (scores per input: the mean of ``|score|``, by which they are
                ranked; ``score`` is then the mean)
curves          name -> ``{"title", "x_label", "y_label", "draws", "x", "y"}`` of the curves that
                lie in ``scores.npz`` under ``curves/``, at no more than 1,000 points; ``y`` is the
                mean over the draws; of several ``"y_low"`` and ``"y_high"`` are the extremes
maps            names of the layers that have maps in ``scores.npz`` under ``maps/``
report          further figures of the method
notes           sentences that the reader must see
pictures        ``{"file", "title", "caption"}`` of each, in the order in which they are best seen
files           every file of the result, by name
==============  =================================================================================

The JSON is strict: what is not a finite number is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mho.artifacts.chart import Chart
from mho.artifacts.context import Context
from mho.artifacts.curves import described
from mho.artifacts.ranking import LayerScores, by_layer
from mho.results import Completeness, Result
from mho.types import Array, FloatArray

FORMAT = "mho-result/1"
"""Changes when a key changes its meaning; a further key does not change it."""

TOP = 10
"""How many units of each layer are named."""


def summary(
    result: Result, context: Context, files: Sequence[str] = (), pictures: Sequence[Chart] = ()
) -> dict[str, Any]:
    """The content of ``result.json``, as described at the head of this module."""
    layers = by_layer(result, context)
    found = {
        "format": FORMAT,
        "method": context.method,
        "options": context.options,
        "attachments": context.attachments,
        "estimand": result.estimand,
        "model": {"name": context.model_name, "digest": context.model_digest},
        "data": {
            "name": context.data_name,
            "digest": context.data_digest,
            "inputs": len(context.names),
        },
        "seed": context.seed,
        "engine": context.engine or None,
        "why": context.why or None,
        "provider": context.provider,
        "versions": context.versions,
        "seconds": context.seconds,
        "evaluations": result.evaluations,
        "completeness": [_completeness(entry) for entry in result.completeness],
        "std_error": {name: _spread(error) for name, error in result.std_error.items()},
        "interval_factor": result.interval_factor if result.std_error else None,
        "layers": [
            {
                "name": layer.name,
                "op_type": layer.op_type,
                "units": layer.units,
                "shape": layer.shape,
                "axis": layer.axis,
            }
            for layer in context.layers.values()
        ],
        "top_units": {entry.layer: _top(entry) for entry in layers},
        "curves": described(result.curves, value_name(result, context)),
        "maps": list(result.maps),
        "report": result.report,
        "notes": result.notes,
        "pictures": [
            {"file": each.file, "title": each.title, "caption": each.caption} for each in pictures
        ],
        "files": sorted(files),
    }
    return {key: plain(value) for key, value in found.items()}


def value_name(result: Result, context: Context) -> str:
    """The name of the value function V; empty where there is none."""
    return str(result.report.get("value") or context.options.get("value") or "")


def plain(value: Any) -> Any:
    """``value`` as strict JSON: arrays become lists, NaN and infinities null, the rest text."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def text(value: Any, indent: str = "") -> str:
    """Strict JSON that people can read too: what holds no further structure stays on one line."""
    if isinstance(value, dict) and not _flat(value.values()):
        inner = [
            f"{indent}  {_line(key)}: {text(entry, indent + '  ').strip()}"
            for key, entry in value.items()
        ]
        lines = "{\n" + ",\n".join(inner) + f"\n{indent}}}"
    elif isinstance(value, list) and not _flat(value):
        inner = [f"{indent}  {text(entry, indent + '  ').strip()}" for entry in value]
        lines = "[\n" + ",\n".join(inner) + f"\n{indent}]"
    else:
        lines = _line(value)
    return lines if indent else lines + "\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _flat(values: Iterable[Any]) -> bool:
    return not any(isinstance(entry, (dict, list)) and entry for entry in values)


def _completeness(entry: Completeness) -> dict[str, Any]:
    inputs = np.asarray(entry.gap).shape
    return {
        "layers": entry.layers,
        "gap": {**_spread(entry.gap), "per_input": entry.gap},
        "difference": entry.difference,
        "total": entry.total,
        "floor": np.broadcast_to(np.asarray(entry.floor, np.float64), inputs),
    }


def _spread(values: FloatArray | Array) -> dict[str, float | None]:
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return {"median": None, "max": None}
    return {"median": float(np.median(finite)), "max": float(finite.max())}


def _top(entry: LayerScores) -> list[dict[str, Any]]:
    rows = []
    for index in entry.ranked()[:TOP]:
        unit, position = entry.place(int(index))
        row: dict[str, Any] = {"unit": unit, "score": entry.mean[index]}
        if position:
            row["position"] = position
        if index < len(entry.labels):
            row["name"] = entry.labels[index]
        if entry.per_input is not None:
            row["magnitude"] = entry.magnitude[index]
        if entry.std_error is not None:
            row["std_error"] = entry.std_error[index]
        rows.append(row)
    return rows
