"""Records of ``mho.jobs`` -> messages of ``mho.v1``, and job specs both ways."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mho.api import names
from mho.api.options import options_from, options_message
from mho.errors import InvalidOption
from mho.jobs.job import (
    Artifact,
    Attachment,
    DatasetRecord,
    Event,
    FileRef,
    JobError,
    JobRecord,
    JobSpec,
    JobState,
    ModelRecord,
    Priority,
)
from mho.method import Progress
from mho_client.v1 import (
    datasets_pb2,
    files_pb2,
    jobs_pb2,
    models_pb2,
    tensors_pb2,
)


def timestamp(seconds: float) -> Timestamp:
    """Seconds since the epoch as a message, to the microsecond."""
    message = Timestamp()
    message.FromMicroseconds(round(seconds * 1e6))
    return message


def file_ref(message: files_pb2.File, field: str) -> FileRef:
    """A file that a request names; InvalidOption, naming the field, where a part is missing."""
    if not message.name or not message.sha256:
        what = "name" if not message.name else "sha256"
        raise InvalidOption(
            f"{field} has no {what}; give the file's name and the SHA-256 of its bytes",
            subject=field,
        )
    return FileRef(message.name, message.sha256)


def file_message(ref: FileRef) -> files_pb2.File:
    """A file as answers name it."""
    return files_pb2.File(name=ref.name, sha256=ref.sha256)


# models


def model_files(message: models_pb2.Model) -> tuple[dict[str, str], str]:
    """(name -> SHA-256, main file) of a model to be made; InvalidOption where a name is twice."""
    files: dict[str, str] = {}
    for entry in message.files:
        ref = file_ref(entry, "model.files")
        if ref.name in files:
            raise InvalidOption(
                f"model.files names '{ref.name}' twice; each file has one name",
                subject="model.files",
            )
        files[ref.name] = ref.sha256
    main = message.main or (next(iter(files)) if len(files) == 1 else "")
    if not main:
        raise InvalidOption(
            "model.main is empty"
            + (f" and there are {len(files)} files; say which is the ONNX file" if files else
               " and there are no files; upload one and name it in model.files"),
            subject="model.main",
        )  # fmt: skip
    return files, main


def model_message(record: ModelRecord) -> models_pb2.Model:
    summary = record.summary
    return models_pb2.Model(
        name=names.model_name(record.tenant, record.id),
        display_name=record.display_name,
        files=[file_message(FileRef(*item)) for item in record.files.items()],
        main=record.main,
        digest=record.digest,
        inputs=[_tensor_spec(entry) for entry in summary.get("inputs", ())],
        outputs=[_tensor_spec(entry) for entry in summary.get("outputs", ())],
        layer_count=len(summary.get("layers", ())),
        notes=summary.get("notes", ()),
        create_time=timestamp(record.created),
    )


def layer_message(entry: Mapping[str, Any]) -> models_pb2.Layer:
    """One of a model summary's ``layers``."""
    return models_pb2.Layer(
        name=entry["name"],
        op_type=entry["op_type"],
        unit_count=entry["units"],
        shape=[_dimension(extent) for extent in entry["shape"]],
        unit_axis=entry["axis"],
        engines=entry["engines"],
    )


def _tensor_spec(entry: Mapping[str, Any]) -> tensors_pb2.TensorSpec:
    return tensors_pb2.TensorSpec(
        name=entry["name"],
        data_type=data_type(entry["dtype"]),
        shape=[_dimension(extent) for extent in entry["shape"]],
    )


def _dimension(extent: int | str | None) -> tensors_pb2.Dimension:
    if isinstance(extent, str):
        return tensors_pb2.Dimension(symbol=extent)
    return tensors_pb2.Dimension(size=extent) if extent is not None else tensors_pb2.Dimension()


def data_type(dtype: str) -> str:
    """The name of the ``DataType`` for a NumPy dtype's name; UNSPECIFIED where it has none."""
    name = "DATA_TYPE_STRING" if dtype in ("object", "str") else f"DATA_TYPE_{dtype.upper()}"
    return name if name in tensors_pb2.DataType.keys() else "DATA_TYPE_UNSPECIFIED"  # noqa: SIM118


# datasets


def dataset_message(record: DatasetRecord) -> datasets_pb2.Dataset:
    summary = record.summary
    return datasets_pb2.Dataset(
        name=names.dataset_name(record.tenant, record.id),
        display_name=record.display_name,
        model=names.model_name(record.tenant, record.model),
        inputs=file_message(record.inputs),
        labels=None if record.labels is None else file_message(record.labels),
        preprocess=record.preprocess or "",
        digest=record.digest,
        input_count=summary.get("inputs", 0),
        has_labels=bool(summary.get("labels", False)),
        has_targets=bool(summary.get("truth", False)),
        subgroups=summary.get("groups", ()),
        concepts=summary.get("concepts", ()),
        create_time=timestamp(record.created),
    )


# jobs


def job_spec(message: jobs_pb2.JobSpec, tenant: str) -> JobSpec:
    """What a request asks for; InvalidOption or NotFound name the field at fault."""
    attachments = {
        name: _attachment(name, entry, tenant) for name, entry in message.attachments.items()
    }
    method, options = options_from(message.method)
    return JobSpec(
        model=names.sibling_of(message.model, "models", tenant, field="spec.model"),
        dataset=names.sibling_of(message.dataset, "datasets", tenant, field="spec.dataset"),
        method=method,
        options=options,
        attachments=attachments,
        cost_accepted=message.cost_accepted,
        priority=_priority(message.priority),
        deadline=_deadline(message) if message.HasField("deadline") else None,
        labels=dict(message.labels),
    )


def _priority(value: int) -> Priority:
    if value not in jobs_pb2.JobPriority.values():
        raise InvalidOption(
            f"spec.priority is {value}, which is no priority; use LOW, NORMAL or HIGH",
            subject="spec.priority",
        )
    if value == jobs_pb2.JOB_PRIORITY_UNSPECIFIED:
        return Priority.NORMAL
    return Priority(jobs_pb2.JobPriority.Name(value).removeprefix("JOB_PRIORITY_"))


def _deadline(message: jobs_pb2.JobSpec) -> float:
    try:
        return message.deadline.ToMicroseconds() / 1e6
    except ValueError as error:
        raise InvalidOption(
            f"spec.deadline is no point in time: {error}", subject="spec.deadline"
        ) from error


def _attachment(option: str, message: jobs_pb2.Attachment, tenant: str) -> Attachment:
    field = f"spec.attachments[{option}]"
    source = message.WhichOneof("source")
    if source == "dataset":
        return Attachment(
            dataset=names.sibling_of(message.dataset, "datasets", tenant, field=field)
        )
    if source == "file":
        ref = file_ref(message.file, field)
        return Attachment(name=ref.name, sha256=ref.sha256)
    raise InvalidOption(f"{field} is empty; give a file or a dataset", subject=field)


def job_message(record: JobRecord) -> jobs_pb2.Job:
    spec = record.spec
    return jobs_pb2.Job(
        name=names.job_name(record.tenant, record.id),
        spec=jobs_pb2.JobSpec(
            model=names.model_name(record.tenant, spec.model),
            dataset=names.dataset_name(record.tenant, spec.dataset),
            method=options_message(spec.method, spec.options, spec.attachments),
            attachments={
                name: _attachment_message(entry, record.tenant)
                for name, entry in spec.attachments.items()
            },
            cost_accepted=spec.cost_accepted,
            priority=f"JOB_PRIORITY_{spec.priority.value}",
            deadline=None if spec.deadline is None else timestamp(spec.deadline),
            labels=spec.labels,
        ),
        state=state_name(record.state),
        progress=None if record.progress is None else progress_message(record.progress),
        error=None if record.error is None else error_message(record.error),
        attempts=record.attempts,
        sequence=record.sequence,
        request_id=record.request_id,
        create_time=timestamp(record.created),
        start_time=None if record.started is None else timestamp(record.started),
        finish_time=None if record.finished is None else timestamp(record.finished),
        cancelling=record.cancelling,
    )


def _attachment_message(entry: Attachment, tenant: str) -> jobs_pb2.Attachment:
    if entry.dataset:
        return jobs_pb2.Attachment(dataset=names.dataset_name(tenant, entry.dataset))
    return jobs_pb2.Attachment(file=files_pb2.File(name=entry.name, sha256=entry.sha256))


def progress_message(progress: Progress) -> jobs_pb2.Progress:
    return jobs_pb2.Progress(
        done=progress.done, total=progress.total, unit=progress.unit, message=progress.message
    )


def error_message(error: JobError) -> jobs_pb2.JobError:
    return jobs_pb2.JobError(reason=error.reason, message=error.message, subject=error.subject)


def event_message(event: Event, error: JobError | None) -> jobs_pb2.JobEvent:
    """``error``: why the job failed, for the event that says it did."""
    return jobs_pb2.JobEvent(
        sequence=event.sequence,
        time=timestamp(event.time),
        kind=f"KIND_{event.kind.value}",
        state=state_name(event.state),
        progress=None if event.progress is None else progress_message(event.progress),
        message=event.message,
        error=None if error is None else error_message(error),
    )


def state_name(state: JobState) -> str:
    """The name of the ``JobState``, which messages take as well as its number."""
    return f"JOB_STATE_{state.value}"


def states_from(values: Sequence[int]) -> list[JobState]:
    """The states of a filter; InvalidOption for a number that is none."""
    found = []
    for value in values:
        name = jobs_pb2.JobState.Name(value) if value in jobs_pb2.JobState.values() else ""
        if name in ("", "JOB_STATE_UNSPECIFIED"):
            raise InvalidOption(
                f"states holds {value}, which is no state of a job", subject="states"
            )
        found.append(JobState(name.removeprefix("JOB_STATE_")))
    return found


def artifact_message(artifact: Artifact, tenant: str, job: str) -> jobs_pb2.Artifact:
    return jobs_pb2.Artifact(
        name=names.artifact_name(tenant, job, artifact.name),
        path=artifact.name,
        size_bytes=artifact.size,
        sha256=artifact.sha256,
        media_type=artifact.media_type,
    )


def finite(value: Any) -> float:
    """A figure of a summary, where null stands for what is no finite number."""
    return math.nan if value is None else float(value)
