"""Which queries are admitted: what can be told without reading the model or computing anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mho.data import preprocess as preprocessing
from mho.errors import InvalidData, InvalidOption
from mho.jobs.job import ModelRecord
from mho.jobs.serving.query import Query, Tensor
from mho.jobs.specification import check_names
from mho.method import Method, build, options_of
from mho.path_method import PathMethod
from mho.point_method import PointMethod
from mho.registry import entries

LARGEST = 4 * 1024 * 1024
"""Bytes of the inputs of one query."""
_TYPES = frozenset(
    {"bool", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
_MOST_DIMENSIONS = 32
_MOST_NAME = 1000
_MOST_TOP = 1000


def admitted(query: Query, record: ModelRecord, methods: str) -> tuple[Query, bool]:
    """``query`` where it can be asked of the model, and whether it has to be run alone.

    methods: the package in which the methods are. InvalidOption, InvalidData or UnknownLayer names
    what is at fault.
    """
    method = _method(query, methods)
    check_names(method, record)
    _check_inputs(query)
    if not 0 <= query.top <= _MOST_TOP:
        raise InvalidOption(
            f"top is {query.top}; it must lie between 0 (all scores) and {_MOST_TOP}", subject="top"
        )
    by_label = "target" in method.uses and method.target == "label"
    if by_label and not query.labels:
        raise InvalidOption(
            "target 'label' needs a label for every input; set labels, or take another target",
            subject="target",
        )
    spec = query.preprocess
    if spec:  # in full, so that equal specs are equal texts
        spec = preprocessing.parse(spec, files=False).text()
    labels = query.labels if by_label else ()
    # The mean of the inputs is that of the query's own.
    alone = isinstance(method, PathMethod) and method.baseline == "mean"
    return replace(query, preprocess=spec, labels=labels), alone


def _method(query: Query, methods: str) -> Method[Any, Any]:
    kinds: Mapping[str, type[Any]] = entries(methods, Method)
    served = [name for name, kind in kinds.items() if issubclass(kind, (PathMethod, PointMethod))]
    if query.method not in served:
        raise InvalidOption(
            f"{query.method[:80]} can't be had in one call: it works on a data set, and may take "
            f"long; submit a job. One call gives {', '.join(served)}",
            subject="method",
        )
    kind = kinds[query.method]
    method: Method[Any, Any] = build(kind, query.options)
    for entry, option in options_of(kind):
        value = getattr(method, entry.name)
        if option.file and not option.free and value not in (*option.choices, entry.default):
            raise InvalidOption(
                f"option '{entry.name}' is '{value}'; choose one of {', '.join(option.choices)}, "
                "or submit a job, to which a file can be attached",
                subject=entry.name,
            )
    return method


def _check_inputs(query: Query) -> None:
    if bool(query.images) == bool(query.tensors):
        what = "both inputs and images" if query.images else "neither inputs nor images"
        raise InvalidData(f"the call has {what}; give one of them", subject="inputs")
    if query.size > LARGEST:
        raise InvalidData(
            f"the inputs have {query.size} bytes; one call takes {LARGEST}: give fewer inputs at a "
            "time, or submit a job",
            subject="inputs",
        )
    for name, tensor in query.tensors.items():
        if len(name) > _MOST_NAME:
            raise InvalidData("an input's name is too long to be one", subject="inputs")
        _check_tensor(name, tensor)
    if query.labels and len(query.labels) != query.inputs:
        raise InvalidData(
            f"there are {len(query.labels)} labels for {query.inputs} inputs; give one each",
            subject="labels",
        )


def _check_tensor(name: str, tensor: Tensor) -> None:
    called = f"inputs['{name[:80]}']"
    if tensor.dtype not in _TYPES:
        raise InvalidData(
            f"{called} is of the type {tensor.dtype or 'unspecified'}; numbers of the types "
            f"{', '.join(sorted(_TYPES))} are taken",
            subject="inputs",
        )
    if len(tensor.shape) > _MOST_DIMENSIONS or any(length < 0 for length in tensor.shape):
        raise InvalidData(
            f"{called} has impossible dims: {len(tensor.shape)} of them, the least "
            f"{min(tensor.shape)}; at most {_MOST_DIMENSIONS}, none below 0, are possible",
            subject="inputs",
        )
    if not tensor.shape:
        raise InvalidData(
            f"{called} is a scalar; the first dimension is the batch", subject="inputs"
        )
    needed = math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
    if needed != len(tensor.data):
        raise InvalidData(
            f"{called} has {len(tensor.data)} bytes of data, but dims {list(tensor.shape)} of "
            f"{tensor.dtype} are {needed if needed < 2**63 else 'far more'} bytes",
            subject="inputs",
        )
