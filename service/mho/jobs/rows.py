"""Rows of jobs and events: how they are read, and the one way in which a job changes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mho.jobs import schema
from mho.jobs.job import Event, EventKind, JobError, JobRecord, JobSpec, JobState
from mho.jobs.notices import Notice, announce
from mho.method import Progress

_jobs = schema.jobs
_events = schema.events


@dataclass(frozen=True)
class Change:
    """The event that a job was given, and the state it is in since."""

    sequence: int
    state: JobState


def append(
    connection: Connection,
    kind: EventKind,
    where: sa.ColumnElement[bool],
    message: str = "",
    **changes: Any,
) -> Change | None:
    """Change the job that ``where`` selects and add the event; None for no such job."""
    row = connection.execute(
        _jobs.update()
        .where(where)
        .values(sequence=_jobs.c.sequence + 1, **changes)
        .returning(_jobs.c.id, _jobs.c.tenant, _jobs.c.sequence, _jobs.c.state)
    ).one_or_none()
    if row is None:
        return None
    connection.execute(
        _events.insert().values(
            job=row.id,
            sequence=row.sequence,
            time=time.time(),
            kind=kind.value,
            state=row.state,
            progress=changes.get("progress"),
            message=message,
        )
    )
    announce(connection, Notice(row.tenant, row.id, JobState(row.state)))
    return Change(int(row.sequence), JobState(row.state))


def end(
    connection: Connection,
    where: sa.ColumnElement[bool],
    state: JobState,
    message: str = "",
    size: int = 0,
    **changes: Any,
) -> Change | None:
    """The job's last change. size: bytes of its result, where it has one."""
    return append(
        connection,
        EventKind.STATE,
        where,
        message,
        state=state.value,
        cancelling=False,
        owner=None,
        finished=time.time(),
        deadline=None,
        held=None,
        size=size,
        **changes,
    )


def current(job: JobRecord) -> sa.ColumnElement[bool]:
    """The job's row as long as it runs in the attempt that ``job`` tells of."""
    return sa.and_(
        _jobs.c.id == job.id,
        _jobs.c.attempts == job.attempts,
        _jobs.c.state == JobState.RUNNING.value,
    )


def put_back(
    connection: Connection,
    job: JobRecord,
    message: str,
    death: tuple[int, JobError] | None = None,
) -> Change | None:
    """A running job into the queue; one that was asked to stop is cancelled.

    death: the worker died, and after so many deaths in a row the job fails with the error.
    """
    row = connection.execute(sa.select(_jobs).where(current(job)).with_for_update()).one_or_none()
    if row is None:
        return None
    deaths = row.deaths + (death is not None)
    if row.cancelling:
        return end(connection, current(job), JobState.CANCELLED, message="cancelled")
    if death is not None and deaths >= death[0]:
        error = death[1]
        return end(
            connection,
            current(job),
            JobState.FAILED,
            message=error.message,
            error=asdict(error),
        )
    return append(
        connection,
        EventKind.STATE,
        current(job),
        message=message,
        state=JobState.QUEUED.value,
        deaths=deaths,
        owner=None,
    )


def job_of(row: sa.Row[Any]) -> JobRecord:
    return JobRecord(
        tenant=row.tenant,
        id=row.id,
        state=JobState(row.state),
        spec=JobSpec.from_json(row.spec),
        request_id=row.request_id or "",
        cancelling=row.cancelling,
        progress=None if row.progress is None else Progress(**row.progress),
        error=None if row.error is None else JobError(**row.error),
        attempts=row.attempts,
        created=row.created,
        started=row.started,
        finished=row.finished,
        sequence=row.sequence,
        trace=row.trace,
    )


def event_of(row: sa.Row[Any]) -> Event:
    return Event(
        sequence=row.sequence,
        time=row.time,
        kind=EventKind(row.kind),
        state=JobState(row.state),
        progress=None if row.progress is None else Progress(**row.progress),
        message=row.message,
    )
