"""Jobs as users see them: made, read, listed, cancelled, deleted, each by its own tenant alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mho.errors import AlreadyExists, FailedPrecondition
from mho.jobs import accounting, schema
from mho.jobs.catalogue import digest_of, find, page
from mho.jobs.database import Database
from mho.jobs.job import (
    Artifact,
    Event,
    EventKind,
    JobRecord,
    JobSpec,
    JobState,
)
from mho.jobs.paging import PageTokens
from mho.jobs.quotas import Quotas, alone
from mho.jobs.rows import append, end, event_of, job_of

_CLOCKS_DIFFER_SECONDS = 3600.0

_jobs = schema.jobs
_events = schema.events


class JobStore:
    """``on_event(tenant, job)`` is called after every commit that added an event."""

    def __init__(
        self,
        database: Database,
        quotas: Quotas,
        tokens: PageTokens,
        on_event: Callable[[str, str], None],
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._tokens = tokens
        self._on_event = on_event

    def requested(self, tenant: str, request_id: str, spec: JobSpec) -> JobRecord | None:
        """The job that this request made before; AlreadyExists where it asked for another one."""
        if not request_id:
            return None
        with self._database.reading() as connection:
            return _requested(connection, tenant, request_id, spec)

    def add(self, record: JobRecord, requested: JobSpec, due: float, size: int) -> JobRecord:
        """Queue ``record``, or return the job that the same ``request_id`` made before.

        requested: the spec as the user gave it, by which a repeated request is known. due and size:
        see ``schema.jobs``. NotFound where the model or a data set is gone, QuotaExceeded or
        Unavailable where there are too many jobs or bytes.
        """
        with self._database.writing(alone=alone(record.tenant)) as connection:
            if record.request_id:
                found = _requested(connection, record.tenant, record.request_id, requested)
                if found is not None:
                    return found
            find(connection, schema.models, "model", record.tenant, record.spec.model)
            datasets = datasets_of(record.spec)
            for dataset in datasets:
                find(connection, schema.datasets, "dataset", record.tenant, dataset)
            self._quotas.check_job(connection, record.tenant)
            self._quotas.check_bytes(connection, record.tenant, size)
            connection.execute(
                _jobs.insert().values(
                    tenant=record.tenant,
                    id=record.id,
                    state=JobState.QUEUED.value,
                    spec=record.spec.to_json(),
                    spec_digest=digest_of(requested.to_json()),
                    model=record.spec.model,
                    request_id=record.request_id or None,
                    due=due,
                    deadline=record.spec.deadline,
                    created=record.created,
                    trace=record.trace,
                    size=size,
                )
            )
            connection.execute(
                schema.job_datasets.insert(),
                [{"job": record.id, "dataset": dataset} for dataset in sorted(datasets)],
            )
            append(connection, EventKind.STATE, _jobs.c.id == record.id)
            row = find(connection, _jobs, "job", record.tenant, record.id)
        self._on_event(record.tenant, record.id)
        return job_of(row)

    def get(self, tenant: str, id: str) -> JobRecord:
        with self._database.reading() as connection:
            return job_of(find(connection, _jobs, "job", tenant, id))

    def list_jobs(
        self,
        tenant: str,
        states: Collection[JobState],
        labels: Mapping[str, str],
        page_size: int,
        page_token: str,
    ) -> tuple[list[JobRecord], str]:
        query = sa.select(_jobs).where(_jobs.c.tenant == tenant)
        named = sorted({state.value for state in states})
        if named:
            query = query.where(_jobs.c.state.in_(named))
        for key, value in labels.items():
            query = query.where(_jobs.c.spec["labels", key].as_string() == value)
        with self._database.reading() as connection:
            rows, token = page(
                connection,
                query,
                _jobs,
                self._tokens,
                ("jobs", tenant, *named, *(f"{key}={labels[key]}" for key in sorted(labels))),
                page_size,
                page_token,
            )
        return [job_of(row) for row in rows], token

    def cancel(self, tenant: str, id: str) -> JobRecord:
        """End a queued job, mark a running one; a cancelled one stays so.

        FailedPrecondition where the job has ended otherwise.
        """
        with self._database.writing(alone=alone(tenant)) as connection:
            job = job_of(find(connection, _jobs, "job", tenant, id, hold=True))
            if job.state in (JobState.SUCCEEDED, JobState.FAILED):
                raise FailedPrecondition(
                    f"job '{id}' has already ended ({job.state}); there is nothing to cancel",
                    subject="job",
                )
            if job.state is JobState.CANCELLED or job.cancelling:
                return job
            if job.state is JobState.QUEUED:
                end(connection, _jobs.c.id == id, JobState.CANCELLED, message="cancelled")
            else:
                message = "asked to stop"
                append(
                    connection, EventKind.NOTE, _jobs.c.id == id, message=message, cancelling=True
                )
            row = find(connection, _jobs, "job", tenant, id)
        if row.state == JobState.CANCELLED:
            accounting.ended(job, JobState.CANCELLED)
        self._on_event(tenant, id)
        return job_of(row)

    def remove(self, tenant: str, id: str) -> None:
        """FailedPrecondition while the job has not ended."""
        with self._database.writing(alone=alone(tenant)) as connection:
            job = job_of(find(connection, _jobs, "job", tenant, id, hold=True))
            if not job.state.final:
                raise FailedPrecondition(
                    f"job '{id}' has not ended ({job.state}); cancel it first", subject="job"
                )
            connection.execute(_jobs.delete().where(_jobs.c.id == id))

    def events(self, tenant: str, id: str, after: int) -> tuple[list[Event], JobState]:
        """Events newer than ``after``, oldest first, and the job's present state."""
        with self._database.reading() as connection:
            job = find(connection, _jobs, "job", tenant, id)
            rows = connection.execute(
                sa.select(_events)
                .where(_events.c.job == id, _events.c.sequence > after)
                .order_by(_events.c.sequence)
            ).all()
        return [event_of(row) for row in rows], JobState(job.state)

    def recent(self, seconds: float) -> list[tuple[str, str]]:
        """(tenant, job) of all jobs that may have an event of the last ``seconds``."""
        since = time.time() - seconds - _CLOCKS_DIFFER_SECONDS
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(_jobs.c.tenant, _jobs.c.id).where(
                    _jobs.c.finished.is_(None) | (_jobs.c.finished >= since)
                )
            ).all()
        return [(row.tenant, row.id) for row in rows]

    def artifacts(self, tenant: str, id: str) -> list[Artifact]:
        """FailedPrecondition where the job has not succeeded."""
        with self._database.reading() as connection:
            row = find(connection, _jobs, "job", tenant, id)
        if row.state != JobState.SUCCEEDED:
            raise FailedPrecondition(
                f"job '{id}' has no result: it is {row.state}; only a job that SUCCEEDED has one",
                subject="job",
            )
        return [Artifact(**entry) for entry in row.artifacts]


def datasets_of(spec: JobSpec) -> set[str]:
    """Ids of the data sets that a job reads."""
    named = {entry.dataset for entry in spec.attachments.values() if entry.dataset}
    return {spec.dataset} | named


def _requested(
    connection: Connection, tenant: str, request_id: str, spec: JobSpec
) -> JobRecord | None:
    row = connection.execute(
        sa.select(_jobs).where(_jobs.c.tenant == tenant, _jobs.c.request_id == request_id)
    ).one_or_none()
    if row is None:
        return None
    if row.spec_digest != digest_of(spec.to_json()):
        raise AlreadyExists(
            f"the request id '{request_id}' made job '{row.id}' with another specification; "
            "use a new request id for a new job",
            subject="request_id",
        )
    return job_of(row)
