"""The part of the service Jobs that hands out what a job found: figures, arrays, files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mho.api.convert import artifact_message, data_type, finite
from mho.api.names import artifact_of, child_of, job_name
from mho.api.paging import MOST_BYTES, slice_of
from mho.api.scores import StoredArray, StoredArrays
from mho.api.threads import Threads
from mho.errors import InvalidOption, ResourceExhausted
from mho.jobs.control import Control
from mho_client.v1 import jobs_pb2, jobs_pb2_grpc, results_pb2, tensors_pb2

CHUNK_BYTES = 1024 * 1024
_SUMMARY = "result.json"
_SCORES = "scores.npz"
_MOST_SUMMARY_BYTES = 1024 * 1024


class Findings(jobs_pb2_grpc.JobsServicer):
    def __init__(self, control: Control, threads: Threads) -> None:
        self._control = control
        self._threads = threads

    async def GetResult(  # noqa: N802 the names of calls are the proto's
        self, request: jobs_pb2.GetResultRequest, context: Any
    ) -> results_pb2.Result:
        del context
        tenant, job = child_of(request.name, "jobs")
        return await self._threads.call(self._result, tenant, job)

    async def FetchScores(  # noqa: N802
        self, request: jobs_pb2.FetchScoresRequest, context: Any
    ) -> None:
        tenant, job = child_of(request.name, "jobs")
        with ExitStack() as opened:
            stored = await self._threads.call(self._stored, tenant, job)
            opened.callback(stored.close)
            missing = [key for key in request.keys if key not in stored.keys]
            if missing:
                raise InvalidOption(
                    f"the result has no array '{missing[0]}'; it has {', '.join(stored.keys)}",
                    subject="keys",
                )
            for number, key in enumerate(request.keys or stored.keys):
                array = await self._threads.call(stored.open, key)
                opened.callback(array.close)
                if offset := request.offset if number == 0 else 0:
                    await self._threads.call(array.skip, offset)
                await context.write(jobs_pb2.FetchScoresResponse(begin=_begin(array)))
                while chunk := await self._threads.call(array.read, CHUNK_BYTES):
                    await context.write(jobs_pb2.FetchScoresResponse(chunk=chunk))

    async def ListArtifacts(  # noqa: N802
        self, request: jobs_pb2.ListArtifactsRequest, context: Any
    ) -> jobs_pb2.ListArtifactsResponse:
        del context
        tenant, job = child_of(request.parent, "jobs", field="parent")
        found = await self._threads.call(self._control.artifacts, tenant, job)
        artifacts, token = slice_of(
            found,
            lambda artifact: artifact_message(artifact, tenant, job),
            request.page_size,
            request.page_token,
            self._control.page_tokens,
            ("artifacts", tenant, job),
        )
        return jobs_pb2.ListArtifactsResponse(artifacts=artifacts, next_page_token=token)

    async def FetchArtifact(  # noqa: N802
        self, request: jobs_pb2.FetchArtifactRequest, context: Any
    ) -> None:
        tenant, job, path = artifact_of(request.name)
        file = await self._threads.call(self._control.artifact_path, tenant, job, path)
        async for chunk in self._chunks(file, request.offset):
            await context.write(jobs_pb2.FetchArtifactResponse(chunk=chunk))

    async def _chunks(self, file: Path, offset: int) -> AsyncIterator[bytes]:
        stream = await self._threads.call(file.open, "rb")
        with stream:
            size = await self._threads.call(stream.seek, 0, 2)
            if not 0 <= offset <= size:
                raise InvalidOption(
                    f"offset is {offset}; the artifact has {size} bytes, so it must lie between 0 "
                    f"and {size}",
                    subject="offset",
                )
            await self._threads.call(stream.seek, offset)
            while chunk := await self._threads.call(stream.read, CHUNK_BYTES):
                yield chunk

    def _stored(self, tenant: str, job: str) -> StoredArrays:
        return StoredArrays(self._control.artifact_path(tenant, job, _SCORES))

    def _result(self, tenant: str, job: str) -> results_pb2.Result:
        text = self._control.artifact_path(tenant, job, _SUMMARY).read_text(encoding="utf-8")
        stored = self._stored(tenant, job)
        try:
            keys = stored.keys
        finally:
            stored.close()
        result = result_message(json.loads(text), job_name(tenant, job))
        result.keys.extend(keys)
        if len(text.encode()) <= _MOST_SUMMARY_BYTES:
            result.summary_json = text
        if result.ByteSize() > MOST_BYTES:
            raise ResourceExhausted(
                f"the result has {len(result.layers)} layers, too many for one answer; fetch the "
                f"artifacts {_SUMMARY} and {_SCORES} instead",
                subject="layers",
            )
        return result


def _begin(array: StoredArray) -> jobs_pb2.FetchScoresResponse.Begin:
    return jobs_pb2.FetchScoresResponse.Begin(
        key=array.key,
        role=f"ARRAY_ROLE_{array.role}",
        subject=array.subject,
        tensor=tensors_pb2.Tensor(data_type=data_type(array.dtype.name), dims=array.shape),
    )


def result_message(summary: Mapping[str, Any], job: str) -> results_pb2.Result:
    """The typed part of the ``result.json`` of the job called ``job``."""
    gaps = [
        entry["gap"]["max"] for entry in summary["completeness"] if entry["gap"]["max"] is not None
    ]
    return results_pb2.Result(
        job=job,
        method=summary["method"],
        estimand=summary["estimand"],
        engine=summary["engine"] or "",
        engine_reason=summary["why"] or "",
        layers=[
            results_pb2.LayerResult(layer=layer, top=[_unit(unit) for unit in units])
            for layer, units in summary["top_units"].items()
        ],
        completeness_gap=max(gaps) if gaps else None,
        evaluations=summary["evaluations"],
        wall_seconds=summary["seconds"],
        notes=summary["notes"],
        findings=[
            *(_curve(name, told) for name, told in summary["curves"].items()),
            *(_picture(told, job) for told in summary["pictures"]),
        ],
    )


def _curve(name: str, told: Mapping[str, Any]) -> results_pb2.Finding:
    curve = results_pb2.Curve(
        key=f"curves/{name}",
        x_label=told["x_label"],
        y_label=told["y_label"],
        draws=told["draws"],
        **{
            axis: [finite(value) for value in told.get(axis, ())]
            for axis in ("x", "y", "y_low", "y_high")
        },
    )
    return results_pb2.Finding(title=told["title"], curve=curve)


def _picture(told: Mapping[str, Any], job: str) -> results_pb2.Finding:
    image = results_pb2.Image(artifact=f"{job}/artifacts/{told['file']}", media_type="image/png")
    return results_pb2.Finding(title=told["title"], caption=told["caption"], image=image)


def _unit(entry: Mapping[str, Any]) -> results_pb2.UnitScore:
    return results_pb2.UnitScore(
        unit=entry["unit"],
        position=entry.get("position", ()),
        label=entry.get("name", ""),
        score=finite(entry["score"]),
        std_error=finite(entry["std_error"]) if "std_error" in entry else None,
        magnitude=finite(entry["magnitude"]) if "magnitude" in entry else None,
    )
