"""The service Blobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from mho.api.names import tenant_of
from mho.api.stalling import moving
from mho.api.threads import Threads
from mho.errors import InvalidOption
from mho.jobs.control import Control
from mho_client.v1 import blobs_pb2, blobs_pb2_grpc

MOST_CHUNK_BYTES = 1024 * 1024


class Blobs(blobs_pb2_grpc.BlobsServicer):
    def __init__(self, control: Control, threads: Threads, stalled_seconds: float) -> None:
        self._control = control
        self._threads = threads
        self._stalled_seconds = stalled_seconds

    async def QueryMissingBlobs(  # noqa: N802 the names of calls are the proto's
        self, request: blobs_pb2.QueryMissingBlobsRequest, context: Any
    ) -> blobs_pb2.QueryMissingBlobsResponse:
        del context
        missing = await self._threads.call(
            self._control.missing_blobs, tenant_of(request.parent), list(request.sha256)
        )
        return blobs_pb2.QueryMissingBlobsResponse(missing_sha256=missing)

    async def GetUpload(  # noqa: N802
        self, request: blobs_pb2.GetUploadRequest, context: Any
    ) -> blobs_pb2.Upload:
        del context
        tenant = tenant_of(request.parent)
        received = await self._threads.call(self._control.upload_status, tenant, request.sha256)
        return await self._upload(tenant, request.sha256, received)

    async def UploadBlob(  # noqa: N802
        self, requests: AsyncIterator[blobs_pb2.UploadBlobRequest], context: Any
    ) -> blobs_pb2.Upload:
        del context
        begin: blobs_pb2.UploadBlobRequest.Begin | None = None
        tenant, offset = "", 0
        async for request in moving(aiter(requests), self._stalled_seconds):
            part = request.WhichOneof("part")
            if begin is None:
                if part != "begin":
                    raise InvalidOption(
                        "the first message of an upload must be 'begin'", subject="begin"
                    )
                begin = request.begin
                tenant, offset = tenant_of(begin.parent), begin.offset
                # An empty blob has no chunk that would make it complete.
                if begin.size_bytes == 0:
                    offset = await self._receive(tenant, begin, offset, b"")
                continue
            if part != "chunk":
                raise InvalidOption(
                    "every message of an upload but the first must be a 'chunk'", subject="chunk"
                )
            chunk = request.chunk  # a copy, each time it is asked for
            if len(chunk) > MOST_CHUNK_BYTES:
                raise InvalidOption(
                    f"a chunk has {len(chunk)} bytes; send at most {MOST_CHUNK_BYTES}",
                    subject="chunk",
                )
            await self._receive(tenant, begin, offset, chunk)
            offset += len(chunk)
        if begin is None:
            raise InvalidOption("an upload needs 'begin' and its chunks", subject="begin")
        received = await self._threads.call(self._control.upload_status, tenant, begin.sha256)
        return await self._upload(tenant, begin.sha256, received)

    async def _receive(
        self, tenant: str, begin: blobs_pb2.UploadBlobRequest.Begin, offset: int, chunk: bytes
    ) -> int:
        return await self._threads.call(
            self._control.upload_chunk, tenant, begin.sha256, begin.size_bytes, offset, chunk
        )

    async def _upload(self, tenant: str, digest: str, received: int) -> blobs_pb2.Upload:
        missing = await self._threads.call(self._control.missing_blobs, tenant, [digest])
        return blobs_pb2.Upload(sha256=digest, received_bytes=received, complete=not missing)
