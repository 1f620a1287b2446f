"""The service Attributions: one call, one answer."""

from __future__ import annotations

import asyncio
from typing import Any

from mho.api.convert import data_type
from mho.api.names import child_of
from mho.api.options import options_from
from mho.api.threads import Threads
from mho.errors import DeadlineExceeded, InvalidData
from mho.jobs.control import Control
from mho.jobs.serving.desks import Answered
from mho.jobs.serving.query import LayerScores, Query, Tensor
from mho_client.v1 import attributions_pb2, attributions_pb2_grpc, results_pb2, tensors_pb2

_PREFIX = "DATA_TYPE_"


class Attributions(attributions_pb2_grpc.AttributionsServicer):
    """``most_seconds``: the longest that a call may take."""

    def __init__(self, control: Control, threads: Threads, most_seconds: float) -> None:
        self._control = control
        self._threads = threads
        self._most_seconds = most_seconds

    async def Attribute(  # noqa: N802 the names of calls are the proto's
        self, request: attributions_pb2.AttributeRequest, context: Any
    ) -> attributions_pb2.AttributeResponse:
        tenant, model = child_of(request.model, "models", field="model")
        query = query_of(request)
        left = context.time_remaining()
        seconds = self._most_seconds if left is None else min(left, self._most_seconds)
        try:
            async with asyncio.timeout(seconds):
                future = await self._threads.call(self._control.attribute, tenant, model, query)
                # Whatever ends this wait cancels the future, and with it the work.
                answered = await asyncio.wrap_future(future)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{query.method} was not done within {seconds:.3g} s, and was stopped; ask for "
                "fewer layers or inputs, allow more time (the deadline of the call, the server's "
                "setting serving_seconds), or submit a job",
                subject="deadline",
            ) from None
        return response_message(query.method, answered)


def query_of(request: attributions_pb2.AttributeRequest) -> Query:
    """What a request asks; InvalidOption or InvalidData name the field at fault."""
    method, options = options_from(request.method, field="method")
    return Query(
        method=method,
        options=options,
        tensors={name: _tensor(name, tensor) for name, tensor in request.inputs.items()},
        images=tuple(request.images),
        preprocess=request.preprocess,
        labels=tuple(request.labels),
        top=request.top,
    )


def response_message(method: str, answered: Answered) -> attributions_pb2.AttributeResponse:
    """An answer as a message."""
    answer = answered.answer
    starts: list[float | None] = list(answer.starts) or [None] * len(answer.targets)
    return attributions_pb2.AttributeResponse(
        method=method,
        estimand=answer.estimand,
        model_digest=answer.model_digest,
        engine=answer.engine,
        engine_reason=answer.why,
        layers=[_layer(layer) for layer in answer.layers],
        predictions=[
            attributions_pb2.Prediction(target=target, score=value, baseline_score=start)
            for target, value, start in zip(answer.targets, answer.values, starts, strict=True)
        ],
        completeness=[
            attributions_pb2.Completeness(
                layers=cut.layers, difference=cut.difference, total=cut.total, gap=cut.gap
            )
            for cut in answer.completeness
        ],
        notes=answer.notes,
        queue_milliseconds=1000 * answered.waited,
        compute_milliseconds=1000 * answer.seconds,
        batch_inputs=answer.inputs,
    )


def _tensor(name: str, message: tensors_pb2.Tensor) -> Tensor:
    kinds = tensors_pb2.DataType
    if message.data_type not in kinds.values():
        raise InvalidData(
            f"inputs['{name[:80]}'] has the data type {message.data_type}, which is none",
            subject="inputs",
        )
    kind = kinds.Name(message.data_type).removeprefix(_PREFIX).lower()
    return Tensor(kind, tuple(message.dims), message.data)


def _layer(layer: LayerScores) -> attributions_pb2.LayerAttribution:
    return attributions_pb2.LayerAttribution(
        layer=layer.layer,
        scores=None if layer.scores is None else _tensor_message(layer.scores),
        map=None if layer.map is None else _tensor_message(layer.map),
        top=[
            attributions_pb2.TopUnits(
                units=[
                    results_pb2.UnitScore(unit=unit.unit, position=unit.position, score=unit.score)
                    for unit in units
                ]
            )
            for units in layer.top
        ],
    )


def _tensor_message(tensor: Tensor) -> tensors_pb2.Tensor:
    return tensors_pb2.Tensor(
        data_type=data_type(tensor.dtype), dims=tensor.shape, data=tensor.data
    )
