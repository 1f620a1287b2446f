"""Records of what is kept: models, data sets, jobs, their events and their artifacts.

Everything here is plain and frozen; times are seconds since the epoch (UTC). The record that a call
with ``validate_only`` answers has the id ``""``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mho.method import Progress
from mho.types import JSON


class JobState(StrEnum):
    """Where a job is in its life. A running job that was asked to stop has ``cancelling`` set."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Nothing more will happen to the job."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Priority(StrEnum):
    """How urgent a job is among those of its tenant; see ``turns``."""

    LOW = "LOW"
    NORMAL = "NORMAL"
    HIGH = "HIGH"

    @property
    def lead(self) -> int:
        """How many times ``settings.priority_seconds`` earlier it counts as submitted."""
        return {Priority.LOW: -1, Priority.NORMAL: 0, Priority.HIGH: 1}[self]


class EventKind(StrEnum):
    STATE = "STATE"
    PROGRESS = "PROGRESS"
    NOTE = "NOTE"


@dataclass(frozen=True)
class FileRef:
    """An uploaded blob and the name that the user gave the file."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Attachment:
    """What an option names: an uploaded file (``sha256`` and ``name``), or a data set by its id."""

    name: str = ""
    sha256: str = ""
    dataset: str = ""

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "sha256": self.sha256, "dataset": self.dataset}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Attachment:
        return Attachment(value["name"], value["sha256"], value["dataset"])


@dataclass(frozen=True)
class JobSpec:
    """What a user asks for: a method with its options on a model and a data set, both by id.

    options: by field name of the method, as JSON. attachments: option name -> the file or data set
    that it names. cost_accepted: run even where the estimated cost is beyond the limit. deadline:
    seconds since the epoch by which it must have ended, None for never.
    """

    model: str
    dataset: str
    method: str
    options: Mapping[str, JSON] = field(default_factory=dict)
    attachments: Mapping[str, Attachment] = field(default_factory=dict)
    cost_accepted: bool = False
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "dataset": self.dataset,
            "method": self.method,
            "options": dict(self.options),
            "attachments": {name: entry.to_json() for name, entry in self.attachments.items()},
            "cost_accepted": self.cost_accepted,
            "priority": self.priority.value,
            "deadline": self.deadline,
            "labels": dict(self.labels),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> JobSpec:
        return JobSpec(
            model=value["model"],
            dataset=value["dataset"],
            method=value["method"],
            options=value["options"],
            attachments={
                name: Attachment.from_json(entry) for name, entry in value["attachments"].items()
            },
            cost_accepted=bool(value["cost_accepted"]),
            priority=Priority(value["priority"]),
            deadline=value["deadline"],
            labels=value["labels"],
        )


@dataclass(frozen=True)
class JobError:
    """Why a job failed: a reason of ``mho.errors``, a sentence, and the thing at fault."""

    reason: str
    message: str
    subject: str = ""


@dataclass(frozen=True)
class Artifact:
    """A file of a finished job. ``name`` is relative, with forward slashes; ``size`` in bytes."""

    name: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True)
class ModelRecord:
    """An uploaded model. ``files``: relative name -> SHA-256; ``main`` holds the graph."""

    tenant: str
    id: str
    display_name: str
    digest: str
    files: Mapping[str, str]
    main: str
    summary: Mapping[str, Any]
    created: float


@dataclass(frozen=True)
class DatasetRecord:
    """An uploaded data set. ``model`` is the id of the model it was checked against."""

    tenant: str
    id: str
    display_name: str
    digest: str
    inputs: FileRef
    labels: FileRef | None
    preprocess: str | None
    model: str
    summary: Mapping[str, Any]
    created: float

    @property
    def files(self) -> Mapping[str, str]:
        """File name -> SHA-256."""
        return {ref.name: ref.sha256 for ref in (self.inputs, self.labels) if ref is not None}


@dataclass(frozen=True)
class JobRecord:
    """A job as it stands.

    attempts: how often it was handed to a worker. sequence: that of its newest event. trace: the
    context of the call that made it, as in ``mho.telemetry.trace``.
    """

    tenant: str
    id: str
    state: JobState
    spec: JobSpec
    request_id: str = ""
    cancelling: bool = False
    progress: Progress | None = None
    error: JobError | None = None
    attempts: int = 0
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    sequence: int = 0
    trace: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; ``sequence`` starts at 1 and rises by one for each event.

    ``state`` is the job's state at that moment, for every kind. Old progress events are dropped, so
    sequences may have gaps.
    """

    sequence: int
    time: float
    kind: EventKind
    state: JobState
    progress: Progress | None = None
    message: str = ""
