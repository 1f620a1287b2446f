"""Artifacts -> files of a folder: verified, resumed after a break, never half there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import grpc

from mho_client.connection import Connection
from mho_client.errors import MhoClientError
from mho_client.resources import Artifact
from mho_client.v1 import jobs_pb2, jobs_pb2_grpc

DownloadProgress = Callable[[int, int], None]
"""Called with the bytes that are there and those that there will be."""


class Downloader:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._jobs = jobs_pb2_grpc.JobsStub(connection.channel)

    def fetch(
        self, artifacts: Sequence[Artifact], folder: Path, progress: DownloadProgress | None
    ) -> list[Path]:
        """The files, in their order. A file that is there with the right bytes is left alone."""
        total = sum(artifact.size for artifact in artifacts)
        done = 0
        paths = []
        for artifact in artifacts:
            path = _place(artifact, folder)

            def arrived(count: int, base: int = done) -> None:
                if progress is not None:
                    progress(base + count, total)

            if not (path.is_file() and _digest(path) == artifact.sha256):
                self._fetch(artifact, path, arrived)
            done += artifact.size
            arrived(artifact.size)
            paths.append(path)
        return paths

    def text(self, name: str) -> str:
        """The whole of an artifact that is text."""
        return self.content(name).decode("utf-8")

    def content(self, name: str) -> bytes:
        """The whole of an artifact."""
        content = bytearray()
        for attempt in self._connection.attempts():
            try:
                for chunk in self._chunks(name, len(content)):
                    content += chunk
                    attempt.advanced()
                break
            except grpc.RpcError as error:
                attempt.failed(error)
        return bytes(content)

    def _fetch(self, artifact: Artifact, path: Path, arrived: Callable[[int], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{artifact.sha256[:16]}.part")
        for attempt in self._connection.attempts():
            size = part.stat().st_size if part.exists() else 0
            try:
                with part.open("ab") as stream:
                    for chunk in self._chunks(artifact.name, size):
                        stream.write(chunk)
                        attempt.advanced()
                        arrived(stream.tell())
                break
            except grpc.RpcError as error:
                attempt.failed(error)
        if _digest(part) != artifact.sha256:
            part.unlink()
            raise MhoClientError(
                f"the bytes of '{artifact.path}' that arrived do not have the digest that the "
                "server gave; fetch again",
                code="DATA_LOSS",
                reason="INVALID_DATA",
                subject=artifact.path,
            )
        part.replace(path)

    def _chunks(self, name: str, offset: int) -> Iterator[bytes]:
        request = jobs_pb2.FetchArtifactRequest(name=name, offset=offset)
        responses = self._connection.stream(self._jobs.FetchArtifact, request)
        return (response.chunk for response in responses)


def _place(artifact: Artifact, folder: Path) -> Path:
    """Where the artifact goes; MhoClientError where its path would leave the folder."""
    path = PurePosixPath(artifact.path)
    if path.is_absolute() or ".." in path.parts or "\\" in artifact.path or not path.name:
        raise MhoClientError(
            f"the server names an artifact '{artifact.path}', which would lie outside '{folder}'",
            code="DATA_LOSS",
            subject=artifact.path,
        )
    return folder / path


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
