"""A server to be fuzzed: real workers, a real model, a dataset and a finished job in the tenant.

``Place.judge`` says what must hold of every answer: a documented status with its details, nothing
in the log that was not foreseen, and nothing on disk of a call that was refused.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from api.running import PARENT, Running, running
from fuzz.messages import HOSTILE_TEXT, Pool
from mho.api.errors import CODES
from mho.api.server import SERVICES
from mho_client.v1 import (
    attributions_pb2,
    blobs_pb2,
    datasets_pb2,
    files_pb2,
    jobs_pb2,
    methods_pb2,
    models_pb2,
    tensors_pb2,
)

X = np.random.default_rng(0).normal(size=(4, 3, 6, 6)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0])
_STATE = ("blobs", "models", "datasets", "jobs", "staging")


def model_bytes() -> bytes:
    """A small network with a convolution, a dense layer and three classes."""
    generator = np.random.default_rng(1)
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        net (float[N,3,6,6] x) => (float[N,3] y) {
            c = Conv<pads = [1,1,1,1]>(x, w)  r = Relu(c)  p = MaxPool<kernel_shape = [2,2]>(r)
            g = GlobalAveragePool(p)  f = Flatten(g)  d = Gemm(f, v, b)  h = Relu(d)
            z = MatMul(h, u)  y = Softmax<axis = 1>(z)
        }"""
    )
    shapes = {"w": (4, 3, 3, 3), "v": (4, 5), "b": (5,), "u": (5, 3)}
    for name, shape in shapes.items():
        array = generator.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model.SerializeToString()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def png() -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(2).integers(0, 255, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


class _Unforeseen(logging.Handler):
    """Keeps what the server logs as an error: there is to be none."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = logging.Formatter().format(record)
        if "MemoryError" not in text:  # a model that is too large is foreseen
            self.found.append(text)


@dataclass(frozen=True)
class Call:
    """A call of the API. ``seeds``: requests (of a stream: their lists) that it answers."""

    path: str
    request: type[Any]
    response: type[Any]
    streams_in: bool
    streams_out: bool
    seeds: list[list[Message]] = field(default_factory=list)


class Place:
    def __init__(self, server: Running, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.model = server.models.CreateModel(
            models_pb2.CreateModelRequest(
                parent=PARENT, model=models_pb2.Model(files=[server.file("m.onnx", model_bytes())])
            )
        )
        self.dataset = self._dataset(npz(x=X, labels=LABELS))
        self.job = self._finished()
        self.doomed = self._doomed()
        self.calls = {call.path: call for call in self._calls()}
        self.outcomes: Counter[str] = Counter()
        self._log = _Unforeseen()
        logging.getLogger("mho").addHandler(self._log)

    def close(self) -> None:
        logging.getLogger("mho").removeHandler(self._log)

    # sending

    def send(self, path: str, messages: Sequence[bytes], seconds: float = 20.0) -> Any:
        """What ``path`` answers to ``messages``: the last response or the error, judged."""
        call = self.calls[path]
        before = self.kept()
        answer, error = self._sent(call, messages, seconds)
        self.judge(call, error, before)
        if error is None and path == "mho.v1.Jobs/CreateJob" and answer is not None and answer.name:
            self.end(answer.name)
        return answer

    def try_model(self, files: Mapping[str, bytes], main: str, method: str, seconds: float) -> str:
        """Has a model checked and, where it is taken, a short job run on it; what came of it."""
        kept = [self.server.file(name, content) for name, content in files.items()]
        request = models_pb2.CreateModelRequest(
            parent=PARENT, model=models_pb2.Model(files=kept, main=main)
        )
        model = self.send("mho.v1.Models/CreateModel", [request.SerializeToString()], 60)
        if model is None:
            return "refused"
        if model.name == self.model.name:
            return "unchanged"
        try:
            inputs = files_pb2.File(name="x.npz", sha256=self.dataset.inputs.sha256)
            dataset = self.try_dataset(model.name, inputs, keep=True)
            if dataset is None:
                return "no dataset"
            try:
                spec = jobs_pb2.JobSpec(
                    model=model.name, dataset=dataset.name, method=method_options(method, [])
                )
                job = jobs_pb2.CreateJobRequest(parent=PARENT, spec=spec)
                made = self.server.jobs.CreateJob(job)
                return jobs_pb2.JobState.Name(self.end(made.name, seconds).state)
            finally:
                delete = datasets_pb2.DeleteDatasetRequest(name=dataset.name)
                self.server.datasets.DeleteDataset(delete)
        finally:
            self.server.models.DeleteModel(models_pb2.DeleteModelRequest(name=model.name))

    def try_dataset(
        self,
        model: str,
        inputs: files_pb2.File,
        labels: files_pb2.File | None = None,
        preprocess: str = "",
        *,
        keep: bool = False,
    ) -> datasets_pb2.Dataset | None:
        """Has a dataset checked; None where it is refused."""
        wanted = datasets_pb2.Dataset(
            model=model, inputs=inputs, labels=labels, preprocess=preprocess
        )
        request = datasets_pb2.CreateDatasetRequest(
            parent=PARENT, dataset=wanted, validate_only=not keep
        )
        answer: datasets_pb2.Dataset | None = self.send(
            "mho.v1.Datasets/CreateDataset", [request.SerializeToString()], 60
        )
        return answer

    def judge(self, call: Call, error: Any, before: set[str]) -> None:
        unforeseen, self._log.found = self._log.found, []
        assert not unforeseen, unforeseen
        self._counted(call.path, "OK" if error is None else error[0])
        if error is None:
            return
        code, status, details = error
        if call.path.endswith(("WatchJob", "Attribute")) and code == "DEADLINE_EXCEEDED":
            return
        named = f"{call.path}: {code} {status.message}"
        assert code not in ("INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "UNAVAILABLE", "ABORTED"), named
        if code == "RESOURCE_EXHAUSTED" and not details:
            return  # gRPC's own, of a message that is too large
        reason = details["ErrorInfo"].reason
        assert status.code == CODES[reason], named
        for violation in details["BadRequest"].field_violations if "BadRequest" in details else ():
            assert violation.field, named
        assert status.message, named
        left = self.kept() - before
        assert not left or call.path.endswith("UploadBlob"), (named, left)

    def kept(self) -> set[str]:
        """What is on disk for good: all but the database and unfinished uploads."""
        return {
            path.relative_to(self.folder).as_posix()
            for name in _STATE
            for path in (self.folder / name).rglob("*")
            if path.is_file()
        }

    def healthy(self) -> None:
        """AssertionError where the server does not serve what it served before."""
        health = health_pb2_grpc.HealthStub(self.server.channel)
        for service in ("", *SERVICES):
            status = health.Check(health_pb2.HealthCheckRequest(service=service)).status
            assert status == health_pb2.HealthCheckResponse.SERVING
        name = jobs_pb2.GetResultRequest(name=self.job)
        assert self.server.jobs.GetResult(name).layers
        dataset = datasets_pb2.GetDatasetRequest(name=self.dataset.name)
        assert self.server.datasets.GetDataset(dataset) == self.dataset

    def end(self, job: str, seconds: float = 3.0) -> jobs_pb2.Job:
        """The job once it has ended, cancelled after ``seconds``; why it failed is judged."""
        get = jobs_pb2.GetJobRequest(name=job)
        until = time.monotonic() + seconds
        asked = False
        while (found := self.server.jobs.GetJob(get)).state <= jobs_pb2.JOB_STATE_RUNNING:
            if time.monotonic() > until and not asked:
                with suppress(grpc.RpcError):  # it may just have ended
                    self.server.jobs.CancelJob(jobs_pb2.CancelJobRequest(name=job))
                asked = True
            assert time.monotonic() < until + 60, "a job does not stop when it is cancelled"
            time.sleep(0.02)
        self._counted("job", found.error.reason or jobs_pb2.JobState.Name(found.state))
        if found.state == jobs_pb2.JOB_STATE_FAILED:
            assert found.error.reason in CODES, found.error
            assert found.error.message
        self.server.jobs.DeleteJob(jobs_pb2.DeleteJobRequest(name=job))
        return found

    def _counted(self, what: str, outcome: str) -> None:
        self.outcomes[f"{what.rsplit('/', 1)[-1]} {outcome}"] += 1

    def _sent(self, call: Call, messages: Sequence[bytes], seconds: float) -> tuple[Any, Any]:
        kind = f"{_way(call.streams_in)}_{_way(call.streams_out)}"
        multi = getattr(self.server.channel, kind)(
            f"/{call.path}",
            request_serializer=bytes,
            response_deserializer=call.response.FromString,
        )
        try:
            given = iter(messages) if call.streams_in else messages[0]
            answer = multi(given, timeout=seconds)
            if call.streams_out:
                last = None
                for last in answer:  # noqa: B007 the last one is what is wanted
                    pass
                return last, None
        except grpc.RpcError as error:
            return None, _failed(error)
        return answer, None

    # what there is

    def pool(self, path: str) -> Pool:
        """What the fields of a call may mean; what is removed is none that others need."""
        if path.rsplit("/", 1)[1].startswith(("Delete", "Cancel")):
            return Pool(texts=(*self.doomed, *(f"{name}x" for name in self.doomed)))
        method = methods_pb2.MethodOptions.DESCRIPTOR
        options = {entry.name for each in method.fields for entry in each.message_type.fields}
        catalogue = self.server.methods.ListMethods
        choices = {
            option.name: tuple(option.choices)
            for each in catalogue(_list_methods()).methods
            for option in each.options
            if option.choices
        }
        names = (self.model.name, self.dataset.name, self.job, f"{self.job}/artifacts/scores.npz")
        by_field = {
            "parent": (PARENT, PARENT, PARENT, self.model.name, self.job),
            "name": (*names, *names, "m.onnx", "x.npz"),
            "model": (self.model.name,) * 4,
            "dataset": (self.dataset.name,) * 4,
            "sha256": (self.dataset.inputs.sha256, self.model.files[0].sha256) * 2,
            "layers": ("r", "h", "*", "r", "d", "c"),
            "path_input": ("x", "r"),
            "output": ("y",),
            "target": ("argmax", "label", "0", "2", "3"),
            "keys": ("r", "h", "curves/top", "r/std_error"),
            "attachments": tuple(options),
            "preprocess": ("imagenet", "{resize: 6, mean: [0.5, 0.5, 0.5]}"),
            "inputs": ("x", "", "y"),
            **choices,
        }
        blobs = (X[:1].tobytes(), X[0].tobytes(), png(), png()[:50])
        return Pool(by_field, (*names, *HOSTILE_TEXT[:4], "1", "r"), blobs)

    def _calls(self) -> Iterator[Call]:
        seeds = self._seeds()
        for service in SERVICES:
            descriptor: Any = descriptor_pool.Default().FindServiceByName(service)
            for method in descriptor.methods:
                yield Call(
                    f"{service}/{method.name}",
                    message_factory.GetMessageClass(method.input_type),
                    message_factory.GetMessageClass(method.output_type),
                    method.client_streaming,
                    method.server_streaming,
                    seeds.get(method.name, []),
                )

    def _seeds(self) -> dict[str, list[list[Message]]]:
        digest = self.dataset.inputs.sha256
        model = models_pb2.Model(files=self.model.files)
        dataset = datasets_pb2.Dataset(model=self.model.name, inputs=self.dataset.inputs)
        artifact = f"{self.job}/artifacts/scores.npz"
        tensor = tensors_pb2.Tensor(
            data_type=tensors_pb2.DATA_TYPE_FLOAT32, dims=X[:1].shape, data=X[:1].tobytes()
        )
        begin = blobs_pb2.UploadBlobRequest.Begin(
            parent=PARENT, sha256=hashlib.sha256(b"123456789").hexdigest(), size_bytes=9
        )
        request = attributions_pb2.AttributeRequest
        seeds: dict[str, list[list[Message]]] = {
            "QueryMissingBlobs": [
                [blobs_pb2.QueryMissingBlobsRequest(parent=PARENT, sha256=[digest])]
            ],
            "GetUpload": [[blobs_pb2.GetUploadRequest(parent=PARENT, sha256=digest)]],
            "UploadBlob": [
                [
                    blobs_pb2.UploadBlobRequest(begin=begin),
                    blobs_pb2.UploadBlobRequest(chunk=b"12345"),
                    blobs_pb2.UploadBlobRequest(chunk=b"6789"),
                ]
            ],
            "CreateModel": [[models_pb2.CreateModelRequest(parent=PARENT, model=model)]],
            "CreateDataset": [[datasets_pb2.CreateDatasetRequest(parent=PARENT, dataset=dataset)]],
            "CreateJob": [
                [jobs_pb2.CreateJobRequest(parent=PARENT, spec=self._spec(method))]
                for method in methods_pb2.MethodOptions.DESCRIPTOR.fields_by_name
            ],
            "Attribute": [
                [
                    request(
                        model=self.model.name,
                        method=method_options(method, ["r"]),
                        inputs={"x": tensor},
                    )
                ]
                for method in ("conductance", "gradient", "activation", "grad_cam")
            ],
            "FetchScores": [[jobs_pb2.FetchScoresRequest(name=self.job, keys=["r"])]],
            "FetchArtifact": [[jobs_pb2.FetchArtifactRequest(name=artifact)]],
            "ListLayers": [[models_pb2.ListLayersRequest(parent=self.model.name, page_size=1)]],
            "ListArtifacts": [[jobs_pb2.ListArtifactsRequest(parent=self.job, page_size=1)]],
        }
        named = {"GetModel": self.model.name, "GetDataset": self.dataset.name}
        named |= dict.fromkeys(("GetJob", "GetResult", "WatchJob"), self.job)
        named |= dict.fromkeys(("CancelJob", "DeleteJob"), self.doomed[0])
        named["DeleteDataset"] = self.doomed[1]
        for file in (models_pb2, datasets_pb2, jobs_pb2):
            for call, name in named.items():
                if kind := getattr(file, f"{call}Request", None):
                    seeds[call] = [[kind(name=name)]]
            for call in ("ListModels", "ListDatasets", "ListJobs"):
                if kind := getattr(file, f"{call}Request", None):
                    seeds[call] = [[kind(parent=PARENT)]]
        encoded = request(
            model=self.model.name,
            method=method_options("activation", ["r"]),
            images=[png()],
            preprocess="{resize: 6, mean: [0.5, 0.5, 0.5]}",
        )
        seeds["Attribute"].append([encoded])
        return seeds

    def _spec(self, method: str) -> jobs_pb2.JobSpec:
        return jobs_pb2.JobSpec(
            model=self.model.name, dataset=self.dataset.name, method=method_options(method, ["r"])
        )

    def _dataset(self, content: bytes) -> datasets_pb2.Dataset:
        wanted = datasets_pb2.Dataset(
            model=self.model.name, inputs=self.server.file("x.npz", content)
        )
        request = datasets_pb2.CreateDatasetRequest(parent=PARENT, dataset=wanted)
        return self.server.datasets.CreateDataset(request)

    def _finished(self) -> str:
        request = jobs_pb2.CreateJobRequest(parent=PARENT, spec=self._spec("ablation"))
        name = self.server.jobs.CreateJob(request).name
        assert self.server.ended(name)[-1].state == jobs_pb2.JOB_STATE_SUCCEEDED
        return name

    def _doomed(self) -> tuple[str, ...]:
        """Names of a job and a dataset that nobody misses."""
        dataset = self._dataset(npz(x=X[:2], labels=LABELS[:2]))
        return self._finished(), dataset.name


def _list_methods() -> Any:
    from mho_client.v1 import catalog_pb2

    return catalog_pb2.ListMethodsRequest()


def method_options(name: str, layers: list[str]) -> methods_pb2.MethodOptions:
    """A method on some layers, with a small budget."""
    message = methods_pb2.MethodOptions()
    options = getattr(message, name)
    options.SetInParent()
    if name == "edit":
        options.remove.append("r:0")
    else:
        options.layers.extend(layers)
    if "evaluations" in options.DESCRIPTOR.fields_by_name:
        options.evaluations = 120
    return message


def _way(streams: bool) -> str:
    return "stream" if streams else "unary"


def _failed(error: Any) -> tuple[str, status_pb2.Status, dict[str, Any]]:
    status = status_pb2.Status(message=error.details() or "")
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    details = {}
    for detail in status.details:
        kind = getattr(error_details_pb2, detail.type_url.rsplit(".", 1)[1])
        details[kind.DESCRIPTOR.name] = kind.FromString(detail.value)
    return error.code().name, status, details


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """A place to fuzz; nothing of it is left but its folder."""
    limits = {"cost_limit_seconds": 2.0, "inspect_seconds": 10.0, "threads": 1, "provider": "cpu"}
    with running(folder, entry="mho.jobs.attribution", **limits) as server:
        found = Place(server, folder)
        try:
            yield found
        finally:
            found.close()
