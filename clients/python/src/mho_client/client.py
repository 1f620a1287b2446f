"""The client: models and data go up, jobs are made, what they find comes down."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from mho_client.access import Access
from mho_client.attachments import Attachments
from mho_client.attributions import Attribution, RequestInputs, put_inputs
from mho_client.connection import QUICK_SECONDS, SLOW_SECONDS, Connection
from mho_client.errors import invalid
from mho_client.files import (
    Image,
    Inputs,
    PathOrArray,
    inputs_file,
    labels_file,
    preprocess_text,
)
from mho_client.jobs import Job
from mho_client.model_files import model_files
from mho_client.options import method_message, priority_named, timestamp
from mho_client.resources import Dataset, JobStatus, Layer, Method, Model
from mho_client.uploads import Uploader, UploadProgress
from mho_client.v1 import (
    attributions_pb2,
    attributions_pb2_grpc,
    catalog_pb2,
    catalog_pb2_grpc,
    datasets_pb2,
    datasets_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
)

_Entry = TypeVar("_Entry")


class Client:
    """A connection to a server; close it, or use it in a ``with`` statement. Thread-safe.

    address: ``host:port``. tenant: whose resources. retry_seconds: how long a server that went away
    is waited for, in every call (one that was never reached: five seconds at most).

    ca: PEM file of the authorities that the server's certificate may come from; default those that
    gRPC knows. certificate, key: PEM files, for a server that knows its clients by certificates.
    token, token_file: for one that knows them by tokens. What is not given is taken from MHO_CA,
    MHO_CERT, MHO_KEY, and MHO_TOKEN or MHO_TOKEN_FILE. Nothing but loopback is ever spoken to
    without TLS.
    """

    def __init__(
        self,
        address: str = "localhost:50061",
        *,
        tenant: str = "default",
        retry_seconds: float = 60.0,
        ca: str | PathLike[str] | None = None,
        certificate: str | PathLike[str] | None = None,
        key: str | PathLike[str] | None = None,
        token: str | None = None,
        token_file: str | PathLike[str] | None = None,
    ) -> None:
        self._parent = f"tenants/{tenant}"
        self._connection = Connection(
            address,
            retry_seconds=retry_seconds,
            access=Access(ca, certificate, key, token, token_file).completed(),
        )
        channel = self._connection.channel
        self._models = models_pb2_grpc.ModelsStub(channel)
        self._datasets = datasets_pb2_grpc.DatasetsStub(channel)
        self._jobs = jobs_pb2_grpc.JobsStub(channel)
        self._attributions = attributions_pb2_grpc.AttributionsStub(channel)
        self._catalogue = catalog_pb2_grpc.MethodsStub(channel)
        self._uploader = Uploader(self._connection, self._parent)
        self._known_methods: list[Method] | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Jobs go on."""
        self._connection.close()

    def health(self) -> str:
        """What the server says: ``SERVING``, ``NOT_SERVING`` (it is about to stop), ``UNKNOWN``."""
        # grpc.health.v1 by hand: its answer is one enum, and its package one dependency more.
        check = self._connection.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        answer = self._connection.call(check, b"")
        return {b"\x08\x01": "SERVING", b"\x08\x02": "NOT_SERVING"}.get(answer, "UNKNOWN")

    def methods(self) -> list[Method]:
        """The server's methods with their options."""
        pages = self._pages(
            lambda token: self._connection.call(
                self._catalogue.ListMethods, catalog_pb2.ListMethodsRequest(page_token=token)
            )
        )
        return [Method.of(message) for page in pages for message in page.methods]

    # models

    def upload_model(
        self,
        path: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        display_name: str = "",
        progress: UploadProgress | None = None,
    ) -> Model:
        """A model of an .onnx file, with the files of external data that it names beside it.

        path: the .onnx file; or a folder of one .onnx and its data; or a list of such files.
        The same files again are the same model.
        """
        main, files = model_files(path)
        request = models_pb2.CreateModelRequest(
            parent=self._parent,
            model=models_pb2.Model(
                display_name=display_name or main,
                files=self._uploader.upload(files, progress),
                main=main,
            ),
        )
        return Model.of(
            self._connection.call(self._models.CreateModel, request, seconds=SLOW_SECONDS)
        )

    def model(self, name: str) -> Model:
        """One model, by its name or id."""
        request = models_pb2.GetModelRequest(name=self._name("models", name))
        return Model.of(self._connection.call(self._models.GetModel, request))

    def models(self) -> Iterator[Model]:
        """All models, newest first."""
        for page in self._pages(
            lambda token: self._connection.call(
                self._models.ListModels,
                models_pb2.ListModelsRequest(parent=self._parent, page_token=token),
            )
        ):
            yield from map(Model.of, page.models)

    def layers(self, model: Model | str) -> list[Layer]:
        """The layers of a model, in the order of the graph."""
        name = self._name("models", model)
        pages = self._pages(
            lambda token: self._connection.call(
                self._models.ListLayers,
                models_pb2.ListLayersRequest(parent=name, page_token=token),
            )
        )
        return [Layer.of(message) for page in pages for message in page.layers]

    def delete_model(self, model: Model | str) -> None:
        """Forget a model that no unfinished job uses."""
        request = models_pb2.DeleteModelRequest(name=self._name("models", model))
        self._connection.call(self._models.DeleteModel, request)

    # datasets

    def upload_dataset(
        self,
        model: Model | str,
        inputs: Inputs,
        *,
        labels: PathOrArray | Sequence[int] | None = None,
        preprocess: str | PathLike[str] | Mapping[str, Any] | None = None,
        display_name: str = "",
        progress: UploadProgress | None = None,
    ) -> Dataset:
        """A dataset for a model.

        inputs: a .npy, .npz or .zip file, or a folder of images; an array; arrays by graph input;
        or a list of PIL images or of paths. labels: a .npy or .tsv file, or whole numbers, one per
        input; or a regressor's targets, floats of shape (inputs, outputs). preprocess: how images
        become tensors: a preset's name, a spec as text or mapping, or a .yaml or .json file. The
        same data again are the same dataset.
        """
        with tempfile.TemporaryDirectory(prefix="mho-") as folder:
            files = [inputs_file(inputs, Path(folder))]
            if labels is not None:
                files.append(labels_file(labels, Path(folder)))
            uploaded = self._uploader.upload(files, progress)
        request = datasets_pb2.CreateDatasetRequest(
            parent=self._parent,
            dataset=datasets_pb2.Dataset(
                display_name=display_name or files[0].name,
                model=self._name("models", model),
                inputs=uploaded[0],
                labels=uploaded[1] if labels is not None else None,
                preprocess=preprocess_text(preprocess),
            ),
        )
        return Dataset.of(
            self._connection.call(self._datasets.CreateDataset, request, seconds=SLOW_SECONDS)
        )

    def dataset(self, name: str) -> Dataset:
        """One dataset, by its name or id."""
        request = datasets_pb2.GetDatasetRequest(name=self._name("datasets", name))
        return Dataset.of(self._connection.call(self._datasets.GetDataset, request))

    def datasets(self) -> Iterator[Dataset]:
        """All datasets, newest first."""
        for page in self._pages(
            lambda token: self._connection.call(
                self._datasets.ListDatasets,
                datasets_pb2.ListDatasetsRequest(parent=self._parent, page_token=token),
            )
        ):
            yield from map(Dataset.of, page.datasets)

    def delete_dataset(self, dataset: Dataset | str) -> None:
        """Forget a dataset that no unfinished job uses."""
        request = datasets_pb2.DeleteDatasetRequest(name=self._name("datasets", dataset))
        self._connection.call(self._datasets.DeleteDataset, request)

    # synchronous calls

    def attribute(
        self,
        model: Model | str,
        method: str,
        inputs: RequestInputs | Image,
        *,
        top: int = 0,
        labels: Sequence[int] = (),
        preprocess: str | PathLike[str] | Mapping[str, Any] | None = None,
        seconds: float = QUICK_SECONDS,
        **options: Any,
    ) -> Attribution:
        """Attribute predictions while you wait: path and pointwise methods on a few inputs.

        inputs: an array, batch first; arrays by graph input; or PIL images or paths of images,
        which need ``preprocess``. top: give only so many units of each layer, for each input.
        labels: for ``target="label"``. seconds: how long to wait; then the work is stopped.
        options: those of the method; ``layers`` says which layers are scored, and fewer are faster.
        """
        message, files = method_message(method, options, self._method_catalogue())
        if files:
            name = next(iter(files))
            raise invalid(
                f"option '{name}' takes its keywords only in one call; submit a job, to which a "
                "file can be attached",
                name,
            )
        request = attributions_pb2.AttributeRequest(
            model=self._name("models", model),
            method=message,
            preprocess=preprocess_text(preprocess),
            labels=labels,
            top=top,
        )
        put_inputs(request, inputs)
        return Attribution.of(
            self._connection.call(self._attributions.Attribute, request, seconds=seconds)
        )

    # jobs

    def submit(
        self,
        method: str,
        model: Model | str,
        dataset: Dataset | str,
        *,
        request_id: str | None = None,
        accept_cost: bool = False,
        priority: Literal["low", "normal", "high"] = "normal",
        deadline: datetime | timedelta | None = None,
        labels: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Job:
        """Have a method run on a model and a dataset; returns once the job is accepted.

        options: those of the method (``client.methods()`` tells them); what is not given is left to
        the server. An option that takes a file takes a path, an array or a mapping; ``reference``
        also a Dataset, ``scores`` also a Result or a folder of one. request_id: a second call with
        the same one gives the same job; default a random one. accept_cost: run even where the
        estimated cost is beyond the server's limit. priority: among the tenant's own jobs.
        deadline: when (aware of its time zone), or how long from now, the job fails if it has not
        ended. labels: by which ``jobs`` finds it.
        """
        message, files = method_message(method, options, self._method_catalogue())
        attached = Attachments(self, self._uploader, self._name("models", model), dataset)
        spec = jobs_pb2.JobSpec(
            model=self._name("models", model),
            dataset=self._name("datasets", dataset),
            method=message,
            attachments={
                name: attached.attachment(name, kind, value)
                for name, (kind, value) in files.items()
            },
            cost_accepted=accept_cost,
            priority=priority_named(priority),
            deadline=None if deadline is None else timestamp(deadline),
            labels=labels,
        )
        request = jobs_pb2.CreateJobRequest(
            parent=self._parent, spec=spec, request_id=request_id or str(uuid.uuid4())
        )
        return Job(self._connection, self._connection.call(self._jobs.CreateJob, request).name)

    def job(self, name: str) -> Job:
        """A handle to a job, by its name or id; whether it exists, its calls will say."""
        return Job(self._connection, self._name("jobs", name))

    def jobs(
        self, state: str | Sequence[str] = (), labels: Mapping[str, str] | None = None
    ) -> Iterator[JobStatus]:
        """The jobs in one of the states (``QUEUED``, ``RUNNING``…; default all) that have all of
        the labels, newest first."""
        names = [state] if isinstance(state, str) else list(state)
        known = [name.removeprefix("JOB_STATE_") for name in jobs_pb2.JobState.keys()][1:]  # noqa: SIM118
        for name in names:
            if name.upper() not in known:
                raise invalid(f"there is no state '{name}'; there are {', '.join(known)}", "state")
        for page in self._pages(
            lambda token: self._connection.call(
                self._jobs.ListJobs,
                jobs_pb2.ListJobsRequest(
                    parent=self._parent,
                    states=[f"JOB_STATE_{name.upper()}" for name in names],
                    labels=labels,
                    page_token=token,
                ),
            )
        ):
            yield from map(JobStatus.of, page.jobs)

    # inside

    def _method_catalogue(self) -> list[Method]:
        if self._known_methods is None:
            self._known_methods = self.methods()
        return self._known_methods

    def _pages(self, ask: Callable[[str], _Entry]) -> Iterator[_Entry]:
        token = ""
        while True:
            page = ask(token)
            yield page
            token = page.next_page_token  # type: ignore[attr-defined]  # every List answer has one
            if not token:
                return

    def _name(self, collection: str, resource: Any) -> str:
        """The full name of a resource that is given as an object, a name or an id."""
        name = resource if isinstance(resource, str) else resource.name
        return name if "/" in name else f"{self._parent}/{collection}/{name}"
