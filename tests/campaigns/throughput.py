"""How fast bytes are taken: one client, one blob after another, in chunks of 1 MiB."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from mho_client.v1 import blobs_pb2, blobs_pb2_grpc

MIB = 1024 * 1024


@dataclass(frozen=True)
class Uploaded:
    """``megabytes`` (10⁶ bytes) were sent and stored durably in ``seconds``."""

    megabytes: float
    seconds: float

    @property
    def rate(self) -> float:
        """MB/s."""
        return self.megabytes / self.seconds


def upload(channel: grpc.Channel, parent: str, content: bytes, metadata: tuple = ()) -> Uploaded:
    """Send a blob and wait until the server has it on disk; hashing it here is not timed."""
    digest = hashlib.sha256(content).hexdigest()
    view = memoryview(content)

    def messages() -> Iterator[blobs_pb2.UploadBlobRequest]:
        begin = blobs_pb2.UploadBlobRequest.Begin(
            parent=parent, sha256=digest, size_bytes=len(content)
        )
        yield blobs_pb2.UploadBlobRequest(begin=begin)
        for start in range(0, len(content), MIB):
            yield blobs_pb2.UploadBlobRequest(chunk=bytes(view[start : start + MIB]))

    began = time.monotonic()
    answer = blobs_pb2_grpc.BlobsStub(channel).UploadBlob(messages(), metadata=metadata)
    seconds = time.monotonic() - began
    assert answer.complete
    return Uploaded(len(content) / 1e6, seconds)


def unlike_any(size: int) -> bytes:
    """``size`` bytes that no server has yet."""
    return secrets.token_bytes(32) + bytes(size - 32)
