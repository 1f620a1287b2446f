"""Files -> blobs on the server: only what it lacks, in chunks, resumed after a break."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc

from mho_client.connection import Attempt, Connection
from mho_client.errors import code_of, from_rpc, unreadable
from mho_client.files import LocalFile
from mho_client.v1 import blobs_pb2, blobs_pb2_grpc, files_pb2

UploadProgress = Callable[[int, int], None]
"""Called with the bytes that are sent and those there are to send."""

_CHUNK = 1024 * 1024
_DIGESTS_AT_ONCE = 5000
_STALLS = 20


class Uploader:
    """Uploads into the blobs of one tenant (``parent``)."""

    def __init__(self, connection: Connection, parent: str) -> None:
        self._connection = connection
        self._parent = parent
        self._blobs = blobs_pb2_grpc.BlobsStub(connection.channel)

    def upload(
        self, files: Sequence[LocalFile], progress: UploadProgress | None = None
    ) -> list[files_pb2.File]:
        """References to the files, in their order, once the server has all of their bytes.

        progress: counts bytes; those that the server has already are counted at once. It is called
        from a thread of gRPC, and what it raises ends the upload.
        """
        digests = {file.path: _digest(file.path) for file in files}
        missing = self._missing(sorted(set(digests.values())))
        paths = {digest: path for path, digest in digests.items()}
        sizes = {digest: path.stat().st_size for digest, path in paths.items()}
        counter = _Counter(sum(sizes.values()), progress)
        counter.add(sum(size for digest, size in sizes.items() if digest not in missing))
        for digest in missing:
            self._send(paths[digest], digest, sizes[digest], counter)
        return [files_pb2.File(name=file.name, sha256=digests[file.path]) for file in files]

    def _missing(self, digests: Sequence[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(digests), _DIGESTS_AT_ONCE):
            request = blobs_pb2.QueryMissingBlobsRequest(
                parent=self._parent, sha256=digests[start : start + _DIGESTS_AT_ONCE]
            )
            found += self._connection.call(self._blobs.QueryMissingBlobs, request).missing_sha256
        return found

    def _send(self, path: Path, digest: str, size: int, counter: _Counter) -> None:
        base = counter.done
        reached = -1
        stalls = 0
        for attempt in self._connection.attempts():
            offset = self._offset(digest)
            counter.set(base + offset)
            if offset > reached:
                reached, stalls = offset, 0
                attempt.advanced()
            requests = _Requests(self._parent, path, digest, size, offset, counter)
            try:
                upload = self._connection.stream(self._blobs.UploadBlob, requests.messages())
            except grpc.RpcError as error:
                if requests.error is not None:
                    raise requests.error from None
                stalls += 1
                self._again(error, attempt, stalls)
                continue
            if requests.error is not None:
                raise requests.error
            if upload.complete:
                counter.set(base + size)
                return
        raise AssertionError("attempts() ends by an error only")

    def _again(self, error: grpc.RpcError, attempt: Attempt, stalls: int) -> None:
        """Return where the upload may go on; raises otherwise."""
        failed = from_rpc(error, self._connection.address)
        # Somebody else uploads the same bytes, and the two are in each other's way.
        if code_of(error) == grpc.StatusCode.INVALID_ARGUMENT and failed.subject == "offset":
            if stalls > _STALLS:
                raise failed from None
            return
        attempt.failed(error)

    def _offset(self, digest: str) -> int:
        request = blobs_pb2.GetUploadRequest(parent=self._parent, sha256=digest)
        return self._connection.call(self._blobs.GetUpload, request).received_bytes


class _Counter:
    def __init__(self, total: int, progress: UploadProgress | None) -> None:
        self.done = 0
        self._total = total
        self._progress = progress

    def add(self, count: int) -> None:
        self.set(self.done + count)

    def set(self, done: int) -> None:
        self.done = done
        if self._progress is not None:
            self._progress(done, self._total)


class _Requests:
    """The messages of one upload stream; gRPC takes them in a thread of its own."""

    def __init__(
        self, parent: str, path: Path, digest: str, size: int, offset: int, counter: _Counter
    ) -> None:
        self._begin = blobs_pb2.UploadBlobRequest.Begin(
            parent=parent, sha256=digest, size_bytes=size, offset=offset
        )
        self._path = path
        self._counter = counter
        self.error: Exception | None = None
        """What went wrong on this side."""

    def messages(self) -> Iterator[blobs_pb2.UploadBlobRequest]:
        yield blobs_pb2.UploadBlobRequest(begin=self._begin)
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._begin.offset)
                while chunk := stream.read(_CHUNK):
                    yield blobs_pb2.UploadBlobRequest(chunk=chunk)
                    self._counter.add(len(chunk))
        except Exception as error:  # noqa: BLE001 raised again by the thread that waits
            self.error = error


def _digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
