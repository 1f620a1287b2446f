"""A server under attack: ``mho serve`` as a process of its own, two tenants, and what must hold.

*Mallory* attacks. A *bystander* calls the same server all the time, and must always be served.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from api.credentials import tenants_file
from api.running import Calls, bearing, failure
from fuzz.place import X as INPUTS
from fuzz.place import method_options, model_bytes, npy
from mho.api.errors import CODES
from mho_client.v1 import (
    attributions_pb2,
    attributions_pb2_grpc,
    datasets_pb2,
    files_pb2,
    jobs_pb2,
    models_pb2,
    tensors_pb2,
)

SETTINGS = {
    "PROVIDER": "cpu",
    "THREADS": "1",
    "INSPECT_SECONDS": "30",
    "SERVING_SECONDS": "20",
    "MAX_MODEL_BYTES": str(64 * 2**20),
    "MAX_IMAGE_PIXELS": "1000000",
    "MAX_DATA_BYTES": str(64 * 2**20),
}
FIELDS = {"float32": tensors_pb2.DATA_TYPE_FLOAT32, "int64": tensors_pb2.DATA_TYPE_INT64}
PATIENCE = 60.0
"""Seconds that a call may take at most, on a machine that has other things to do."""


class Tenant(Calls):
    """What a tenant sends, and which bytes the server took from it."""

    def __init__(self, channel: grpc.Channel, tenant: str) -> None:
        super().__init__(channel, tenant, token_of(tenant))
        self.attributions = attributions_pb2_grpc.AttributionsStub(
            bearing(channel, token_of(tenant))
        )
        self.taken: set[str] = set()
        """Digests of complete uploads, which the server keeps for a day."""

    def upload(self, content: bytes) -> str:
        digest = super().upload(content)
        self.taken.add(digest)
        return digest

    def make_model(
        self, files: Mapping[str, bytes], main: str = "", *, validate_only: bool = False
    ) -> models_pb2.Model:
        wanted = models_pb2.Model(files=[self.file(*each) for each in files.items()], main=main)
        return self.models.CreateModel(
            models_pb2.CreateModelRequest(
                parent=self.parent, model=wanted, validate_only=validate_only
            ),
            timeout=PATIENCE,
        )

    def make_dataset(
        self, model: str, inputs: tuple[str, bytes], *, validate_only: bool = False, **more: Any
    ) -> datasets_pb2.Dataset:
        wanted = datasets_pb2.Dataset(model=model, inputs=self.file(*inputs), **more)
        return self.datasets.CreateDataset(
            datasets_pb2.CreateDatasetRequest(
                parent=self.parent, dataset=wanted, validate_only=validate_only
            ),
            timeout=PATIENCE,
        )

    def attribute(
        self,
        model: str,
        method: str = "activation",
        layers: list[str] | None = None,
        timeout: float = PATIENCE,
        **given: Any,
    ) -> attributions_pb2.AttributeResponse:
        options = method_options(method, ["r"] if layers is None else layers)
        request = attributions_pb2.AttributeRequest(model=model, method=options, **given)
        return self.attributions.Attribute(request, timeout=timeout)

    def begin(self, spec: jobs_pb2.JobSpec, **more: Any) -> jobs_pb2.Job:
        return self.jobs.CreateJob(
            jobs_pb2.CreateJobRequest(parent=self.parent, spec=spec, **more), timeout=PATIENCE
        )

    def delete_job(self, name: str) -> None:
        self.jobs.DeleteJob(jobs_pb2.DeleteJobRequest(name=name), timeout=PATIENCE)

    def delete_model(self, name: str) -> None:
        self.models.DeleteModel(models_pb2.DeleteModelRequest(name=name), timeout=PATIENCE)

    def delete_dataset(self, name: str) -> None:
        self.datasets.DeleteDataset(datasets_pb2.DeleteDatasetRequest(name=name), timeout=PATIENCE)


class Bystander(threading.Thread):
    """Calls all services over a connection of its own until it is told to stop."""

    def __init__(self, address: str, tenant: Tenant, model: str) -> None:
        super().__init__(name="bystander", daemon=True)
        self._channel = connection(address)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._tenant, self._model = tenant, model
        self._stopping = threading.Event()
        self.served = 0
        self.failed: list[str] = []

    def run(self) -> None:
        while not self._stopping.wait(0.1):
            try:
                self._call()
            except Exception as error:  # noqa: BLE001 whatever it is, a test fails for it
                self.failed.append(repr(error))
            else:
                self.served += 1

    def _call(self) -> None:
        request = health_pb2.HealthCheckRequest()
        found = self._health.Check(request, timeout=PATIENCE).status
        assert found == health_pb2.HealthCheckResponse.SERVING
        layers = models_pb2.ListLayersRequest(parent=self._model)
        assert self._tenant.models.ListLayers(layers, timeout=PATIENCE).layers
        answer = self._tenant.attribute(self._model, inputs={"x": tensor(INPUTS[:1])})
        assert answer.layers[0].scores.dims == [1, 4]

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        self._channel.close()


class Attacked:
    """The server, Mallory's calls, and a model and a dataset that are Mallory's."""

    def __init__(self, process: subprocess.Popen[str], address: str, data: Path) -> None:
        self.process = psutil.Process(process.pid)
        self.address, self.data = address, data
        self._log = data.parent / "log"
        self.channel = connection(address)
        self._other = connection(address)
        self.mallory = Tenant(self.channel, "mallory")
        self.other = Tenant(self._other, "bystander")
        self.model = self.mallory.make_model({"m.onnx": model_bytes()}).name
        self.dataset = self.mallory.make_dataset(self.model, ("x.npy", npy(INPUTS))).name
        theirs = self.other.make_model({"m.onnx": model_bytes()})
        self.bystander = Bystander(address, self.other, theirs.name)
        self.other_model = theirs.name

    def spec(self, method: str = "activation", **more: Any) -> jobs_pb2.JobSpec:
        options = method_options(method, ["r"])
        return jobs_pb2.JobSpec(model=self.model, dataset=self.dataset, method=options, **more)

    def close(self) -> None:
        self.channel.close()
        self._other.close()

    # what must hold

    def tree(self) -> set[str]:
        """What lies in the data directory, but for the database and its locks of blobs, of which
        there are at most 256, empty."""
        return {
            path.relative_to(self.data).as_posix()
            for path in self.data.rglob("*")
            if not path.name.startswith("mho.sqlite")
            and path.parent.name != "locks"
            and not path.is_dir()
        }

    def left_since(self, before: set[str]) -> set[str]:
        """What is there now and was not; complete uploads are kept, and do not count."""
        kept = {f"blobs/{digest[:2]}/{digest}" for digest in self.mallory.taken}
        return self.tree() - before - kept

    def workers(self) -> list[psutil.Process]:
        found = []
        for child in self.process.children():
            with suppress(psutil.Error):
                if "mho.jobs.worker" in child.cmdline():
                    found.append(child)
        return found

    def logged(self) -> int:
        """How long the log is."""
        return len(self._log.read_text(errors="replace"))

    def traces(self, start: int) -> list[str]:
        """Tracebacks in the log from ``start`` on, each with what follows it."""
        _, *found = self._log.read_text(errors="replace")[start:].split("Traceback")
        return [trace[:3000] for trace in found]


def connection(address: str) -> grpc.Channel:
    """A channel that shares its connection with no other one."""
    return grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])


def token_of(tenant: str) -> str:
    return f"token-of-{tenant}-0123456789abcdef"


def tensor(array: Any, **changes: Any) -> tensors_pb2.Tensor:
    """The array; ``changes`` make it lie."""
    told: dict[str, Any] = {
        "data_type": FIELDS[str(array.dtype)],
        "dims": array.shape,
        "data": array.tobytes(),
    }
    return tensors_pb2.Tensor(**{**told, **changes})


def file(name: str, digest: str) -> files_pb2.File:
    return files_pb2.File(name=name, sha256=digest)


def refused(call: Callable[[], Any], *reasons: str) -> str:
    """The message of a call that must fail for one of ``reasons``, with the status that is
    documented for it."""
    code, status, details = failure(call)
    said = f"{code} {status.message}"
    assert "ErrorInfo" in details, said
    reason = details["ErrorInfo"].reason
    assert reason in reasons, f"{reason}: {said}"
    assert code.value[0] == CODES[reason], said
    assert status.message
    assert "/blobs/" not in status.message, status.message  # nor any path of the server's
    return str(status.message)


def wait_for(what: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Until ``what`` is true; AssertionError after ``seconds``."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it does not come true"
        time.sleep(0.05)


@contextmanager
def attacked(folder: Path) -> Iterator[Attacked]:
    """Start the server and the bystander; at the end both stop, and nothing of them is left."""
    data = folder / "data"
    tokens = {name: {token_of(name): "role: writer"} for name in ("mallory", "bystander")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MHO_")}
    environment |= {f"MHO_{key}": value for key, value in SETTINGS.items()}
    environment["MHO_TENANTS_FILE"] = tenants_file(folder, **tokens)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mho.cli", "serve", "--port", "0", "--data-dir", str(data)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("mho serves at"), (folder / "log").read_text()
        found = Attacked(process, line.split()[-1], data)
        found.bystander.start()
        try:
            yield found
        finally:
            found.bystander.stop()
            found.close()
        workers = found.workers()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0, (folder / "log").read_text()
        _, alive = psutil.wait_procs(workers, timeout=PATIENCE)
        assert not alive, f"left over: {alive}"
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
