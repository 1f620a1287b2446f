"""What the tests of the API and of the clients share: a real server on a port of this machine."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from mho.api.server import Server
from mho.config import Settings
from mho.jobs.control import Control
from mho_client.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    catalog_pb2_grpc,
    datasets_pb2,
    datasets_pb2_grpc,
    files_pb2,
    jobs_pb2,
    jobs_pb2_grpc,
    methods_pb2,
    models_pb2,
    models_pb2_grpc,
)

PARENT = "tenants/default"


class Calls:
    """Stubs of all services for one tenant, and what most tests need of them."""

    def __init__(self, channel: grpc.Channel, tenant: str = "default", token: str = "") -> None:
        self.parent = f"tenants/{tenant}"
        if token:
            channel = bearing(channel, token)
        self.blobs = blobs_pb2_grpc.BlobsStub(channel)
        self.models = models_pb2_grpc.ModelsStub(channel)
        self.datasets = datasets_pb2_grpc.DatasetsStub(channel)
        self.jobs = jobs_pb2_grpc.JobsStub(channel)
        self.methods = catalog_pb2_grpc.MethodsStub(channel)

    def upload(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        begin = blobs_pb2.UploadBlobRequest.Begin(
            parent=self.parent, sha256=digest, size_bytes=len(content)
        )
        chunks = [content[at : at + 2**20] for at in range(0, len(content), 2**20)]
        answer = self.blobs.UploadBlob(
            iter(
                [
                    blobs_pb2.UploadBlobRequest(begin=begin),
                    *(blobs_pb2.UploadBlobRequest(chunk=chunk) for chunk in chunks),
                ]
            )
        )
        assert answer.complete
        return digest

    def file(self, name: str, content: bytes) -> files_pb2.File:
        return files_pb2.File(name=name, sha256=self.upload(content))

    def model(self, content: bytes = b"toy model") -> models_pb2.Model:
        wanted = models_pb2.Model(files=[self.file("toy.onnx", content)])
        return self.models.CreateModel(
            models_pb2.CreateModelRequest(parent=self.parent, model=wanted)
        )

    def dataset(self, content: bytes = b"inputs") -> datasets_pb2.Dataset:
        wanted = datasets_pb2.Dataset(
            model=self.model().name, inputs=self.file("inputs.npy", content)
        )
        return self.datasets.CreateDataset(
            datasets_pb2.CreateDatasetRequest(parent=self.parent, dataset=wanted)
        )

    def spec(self, *layers: str) -> jobs_pb2.JobSpec:
        dataset = self.dataset()
        return jobs_pb2.JobSpec(
            model=dataset.model,
            dataset=dataset.name,
            method=methods_pb2.MethodOptions(
                activation=methods_pb2.ActivationOptions(layers=layers)
            ),
        )

    def job(self, *layers: str) -> jobs_pb2.Job:
        return self.jobs.CreateJob(
            jobs_pb2.CreateJobRequest(parent=self.parent, spec=self.spec(*layers))
        )

    def ended(self, name: str) -> list[jobs_pb2.JobEvent]:
        """All events of a job, once it has ended."""
        return list(self.jobs.WatchJob(jobs_pb2.WatchJobRequest(name=name), timeout=60))


class Running(Calls):
    """A server with its control, called without a credential."""

    def __init__(
        self,
        control: Control,
        settings: Settings,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.control = control
        self._settings = settings
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(30)
        if self._failed is not None:
            raise self._failed
        self.address = f"127.0.0.1:{self.port}"
        self.channel = self.connected(credentials)
        super().__init__(self.channel)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = Server(self.control, self._settings)
        try:
            self.port = await self._server.start()
        except Exception as error:  # noqa: BLE001 raised again by the thread that waits
            self._failed = error
            return
        finally:
            self._ready.set()
        await self._server.wait()

    def stop(self, grace: float = 5.0) -> None:
        """Drain and stop the server, where it runs; the control goes on."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._server.stop(grace), self._loop).result(30)
        self._thread.join(30)

    def connected(self, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
        """A further channel."""
        if credentials is None:
            return grpc.insecure_channel(self.address)
        return grpc.secure_channel(self.address, credentials)

    def bearing(self, token: str, tenant: str = "default") -> Calls:
        """The same server, called with a bearer token."""
        return Calls(self.channel, tenant, token)


class _Details(grpc.ClientCallDetails):  # type: ignore[misc]
    def __init__(self, details: Any, metadata: Any) -> None:
        self.method, self.timeout, self.metadata = details.method, details.timeout, metadata
        self.credentials = details.credentials
        self.wait_for_ready, self.compression = details.wait_for_ready, details.compression


class _Bearing(  # type: ignore[misc]
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(_Details(details, [*(details.metadata or ()), self._header]), request)

    intercept_unary_stream = intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


def bearing(channel: grpc.Channel, token: str) -> grpc.Channel:
    """The channel, whose calls carry a bearer token."""
    return grpc.intercept_channel(channel, _Bearing(token))


@contextmanager
def running(
    folder: Path,
    *,
    entry: str = "api.toy_entry",
    credentials: grpc.ChannelCredentials | None = None,
    **changes: Any,
) -> Iterator[Running]:
    """A started control and a server on a free port; what works is a toy, or ``entry``.

    credentials: those of ``channel``, for a server with TLS.
    """
    settings = Settings(
        **({"data_dir": str(folder), "port": 0, "checkpoint_seconds": 0.05} | changes)
    )
    control = Control(settings, entry=entry)
    try:
        control.start()
        server = Running(control, settings, credentials)
        try:
            yield server
        finally:
            server.channel.close()
            server.stop(0)
    finally:
        control.close()


def failure(call: Callable[[], Any]) -> tuple[grpc.StatusCode, status_pb2.Status, dict[str, Any]]:
    """(code, status, details by type) of a call that must fail."""
    try:
        answer = call()
        if not isinstance(answer, Message):
            answer = list(answer)
    except grpc.RpcError as error:
        status = status_pb2.Status()
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status.ParseFromString(value)
        details = {}
        for detail in status.details:
            kind = getattr(error_details_pb2, detail.type_url.rsplit(".", 1)[1])
            details[kind.DESCRIPTOR.name] = kind.FromString(detail.value)
        return error.code(), status, details
    raise AssertionError(f"the call did not fail, but gave {answer}")
