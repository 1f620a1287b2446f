"""What the server tells of models, datasets, methods and jobs, as plain frozen objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mho_client.v1 import (
    catalog_pb2,
    datasets_pb2,
    jobs_pb2,
    models_pb2,
    tensors_pb2,
)

Extent = int | str | None
"""A dimension: its length, its name where it is symbolic, or None."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model; ``dtype`` as NumPy names it, empty where it is not known."""

    name: str
    dtype: str
    shape: tuple[Extent, ...]


@dataclass(frozen=True)
class Model:
    """A model on the server; ``name`` is ``tenants/{tenant}/models/{id}``."""

    name: str
    display_name: str
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layer_count: int
    notes: tuple[str, ...]
    created: datetime

    @staticmethod
    def of(message: models_pb2.Model) -> Model:
        return Model(
            name=message.name,
            display_name=message.display_name,
            digest=message.digest,
            inputs=tuple(_spec(entry) for entry in message.inputs),
            outputs=tuple(_spec(entry) for entry in message.outputs),
            layer_count=message.layer_count,
            notes=tuple(message.notes),
            created=when(message.create_time),
        )


@dataclass(frozen=True)
class Layer:
    """A layer of a model: what has units. ``axis`` is the position of the units in ``shape``."""

    name: str
    op_type: str
    units: int
    shape: tuple[Extent, ...]
    axis: int
    engines: tuple[str, ...]

    @staticmethod
    def of(message: models_pb2.Layer) -> Layer:
        return Layer(
            name=message.name,
            op_type=message.op_type,
            units=message.unit_count,
            shape=tuple(_extent(dimension) for dimension in message.shape),
            axis=message.unit_axis,
            engines=tuple(message.engines),
        )


@dataclass(frozen=True)
class Dataset:
    """A dataset on the server; ``name`` is ``tenants/{tenant}/datasets/{id}``.

    labelled, targeted: whether each input has a class label, a regression target.
    """

    name: str
    display_name: str
    model: str
    digest: str
    preprocess: str
    inputs: int
    labelled: bool
    targeted: bool
    subgroups: tuple[str, ...]
    concepts: tuple[str, ...]
    created: datetime

    @staticmethod
    def of(message: datasets_pb2.Dataset) -> Dataset:
        return Dataset(
            name=message.name,
            display_name=message.display_name,
            model=message.model,
            digest=message.digest,
            preprocess=message.preprocess,
            inputs=message.input_count,
            labelled=message.has_labels,
            targeted=message.has_targets,
            subgroups=tuple(message.subgroups),
            concepts=tuple(message.concepts),
            created=when(message.create_time),
        )


@dataclass(frozen=True)
class Option:
    """An option of a method. ``file``: what may be given instead (array, data, groups, scores)."""

    name: str
    help: str
    type: str
    default: Any
    choices: tuple[str, ...]
    free: bool
    file: str
    minimum: float | None
    maximum: float | None
    used: bool

    @staticmethod
    def of(message: catalog_pb2.Option) -> Option:
        file = catalog_pb2.Option.FileKind.Name(message.file_kind).removeprefix("FILE_KIND_")
        return Option(
            name=message.name,
            help=message.help,
            type=catalog_pb2.Option.Type.Name(message.type).removeprefix("TYPE_").lower(),
            default=_plain(message.default_value),
            choices=tuple(message.choices),
            free=message.free,
            file="" if file == "UNSPECIFIED" else file.lower(),
            minimum=message.minimum if message.HasField("minimum") else None,
            maximum=message.maximum if message.HasField("maximum") else None,
            used=message.used,
        )


@dataclass(frozen=True)
class Method:
    """An attribution method that the server has."""

    name: str
    summary: str
    options: tuple[Option, ...]

    @staticmethod
    def of(message: catalog_pb2.Method) -> Method:
        return Method(
            message.name, message.summary, tuple(Option.of(entry) for entry in message.options)
        )


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total``, in ``unit``; the total may grow."""

    done: float
    total: float
    unit: str
    message: str = ""

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0

    @staticmethod
    def of(message: jobs_pb2.Progress) -> Progress:
        return Progress(message.done, message.total, message.unit, message.message)


@dataclass(frozen=True)
class JobError:
    """Why a job failed."""

    reason: str
    message: str
    subject: str

    @staticmethod
    def of(message: jobs_pb2.JobError) -> JobError:
        return JobError(message.reason, message.message, message.subject)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job. kind: STATE, PROGRESS or NOTE; state: that after it."""

    sequence: int
    time: datetime
    kind: str
    state: str
    progress: Progress | None
    message: str
    error: JobError | None

    @staticmethod
    def of(message: jobs_pb2.JobEvent) -> Event:
        return Event(
            sequence=message.sequence,
            time=when(message.time),
            kind=jobs_pb2.JobEvent.Kind.Name(message.kind).removeprefix("KIND_"),
            state=state_name(message.state),
            progress=Progress.of(message.progress) if message.HasField("progress") else None,
            message=message.message,
            error=JobError.of(message.error) if message.HasField("error") else None,
        )


@dataclass(frozen=True)
class JobStatus:
    """A job as it stood when it was asked for. Times are None until they come."""

    name: str
    state: str
    method: str
    model: str
    dataset: str
    progress: Progress | None
    error: JobError | None
    attempts: int
    cancelling: bool
    priority: str
    deadline: datetime | None
    labels: Mapping[str, str]
    created: datetime
    started: datetime | None
    finished: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @staticmethod
    def of(message: jobs_pb2.Job) -> JobStatus:
        return JobStatus(
            name=message.name,
            state=state_name(message.state),
            method=message.spec.method.WhichOneof("method") or "",
            model=message.spec.model,
            dataset=message.spec.dataset,
            progress=Progress.of(message.progress) if message.HasField("progress") else None,
            error=JobError.of(message.error) if message.HasField("error") else None,
            attempts=message.attempts,
            cancelling=message.cancelling,
            priority=jobs_pb2.JobPriority.Name(message.spec.priority).removeprefix("JOB_PRIORITY_"),
            deadline=when(message.spec.deadline) if message.spec.HasField("deadline") else None,
            labels=dict(message.spec.labels),
            created=when(message.create_time),
            started=when(message.start_time) if message.HasField("start_time") else None,
            finished=when(message.finish_time) if message.HasField("finish_time") else None,
        )


@dataclass(frozen=True)
class Artifact:
    """A file that a job has written; ``path`` is relative, ``size`` in bytes."""

    name: str
    path: str
    size: int
    sha256: str
    media_type: str

    @staticmethod
    def of(message: jobs_pb2.Artifact) -> Artifact:
        return Artifact(
            message.name, message.path, message.size_bytes, message.sha256, message.media_type
        )


ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


def state_name(value: int) -> str:
    """``RUNNING`` for JOB_STATE_RUNNING; a state of a newer server by its number."""
    if value in jobs_pb2.JobState.values():
        return jobs_pb2.JobState.Name(value).removeprefix("JOB_STATE_")
    return str(value)


def when(message: Timestamp) -> datetime:
    """A point in time, in UTC."""
    return message.ToDatetime(tzinfo=UTC)


def _spec(message: tensors_pb2.TensorSpec) -> TensorSpec:
    name = tensors_pb2.DataType.Name(message.data_type).removeprefix("DATA_TYPE_").lower()
    return TensorSpec(
        message.name,
        "" if name == "unspecified" else name,
        tuple(_extent(dimension) for dimension in message.shape),
    )


def _extent(message: tensors_pb2.Dimension) -> Extent:
    kind = message.WhichOneof("extent")
    if kind is None:
        return None
    return message.size if kind == "size" else message.symbol


def _plain(message: Any) -> Any:
    """A ``google.protobuf.Value`` as Python holds it."""
    kind = message.WhichOneof("kind")
    if kind == "list_value":
        return [_plain(entry) for entry in message.list_value.values]
    return None if kind in (None, "null_value") else getattr(message, kind)
