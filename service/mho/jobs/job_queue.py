"""The queue as the supervisor sees it: claims, reports of workers, deaths, and what a restart
finds.

A running job belongs to one *attempt*, which is numbered. Whoever reports on it names the attempt,
and a report of an attempt that is no longer the current one changes nothing (None comes back): so a
worker that was believed dead cannot disturb its successor, and nor can a server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from mho.errors import DeadlineExceeded
from mho.jobs import accounting, schema
from mho.jobs.catalogue import find
from mho.jobs.database import Database
from mho.jobs.holding import Hold, held, overspent
from mho.jobs.job import Artifact, EventKind, JobError, JobRecord, JobState
from mho.jobs.quotas import Quotas
from mho.jobs.rows import Change, append, current, end, job_of, put_back
from mho.method import Progress

_PROGRESS_KEPT = 64
"""How many progress events a job keeps; older ones are dropped, states and notes are not."""
_TOLD = 100
"""How many jobs are told at a time what keeps them waiting."""

_jobs = schema.jobs
_events = schema.events


class JobQueue:
    """``on_event(tenant, job)`` is called after every commit that added an event."""

    def __init__(
        self, database: Database, quotas: Quotas, on_event: Callable[[str, str], None]
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._on_event = on_event

    def tenants_waiting(self) -> dict[str, float]:
        """Tenant -> when its first queued job counts as submitted."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(_jobs.c.tenant, sa.func.min(_jobs.c.due).label("due"))
                .where(_jobs.c.state == JobState.QUEUED.value)
                .group_by(_jobs.c.tenant)
            ).all()
        return {row.tenant: row.due for row in rows}

    def claim(self, tenant: str) -> JobRecord | None:
        """The tenant's first queued job, now RUNNING in a new attempt; None where there is none, or
        where the tenant may have no more workers."""
        with self._database.writing(alone=f"run for {tenant}") as connection:
            if held(connection, tenant, self._quotas.of(tenant)) is not None:
                return None
            first = connection.scalar(
                sa.select(_jobs.c.id)
                .where(_jobs.c.state == JobState.QUEUED.value, _jobs.c.tenant == tenant)
                .order_by(_jobs.c.due, _jobs.c.position)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if first is None:
                return None
            append(
                connection,
                EventKind.STATE,
                _jobs.c.id == first,
                state=JobState.RUNNING.value,
                attempts=_jobs.c.attempts + 1,
                held=None,
                owner=self._database.server,
                started=sa.func.coalesce(_jobs.c.started, time.time()),
            )
            row = find(connection, _jobs, "job", tenant, first)
        self._on_event(tenant, first)
        return job_of(row)

    def hold(self, tenant: str) -> bool:
        """Whether a limit keeps the tenant's jobs waiting; each of them has a note that says so."""
        quota = self._quotas.of(tenant)
        if not (quota.running_jobs or quota.device_seconds_per_day):
            return False
        with self._database.reading() as connection:
            found = held(connection, tenant, quota)
            if found is None:
                return False
            waiting = sa.and_(
                _jobs.c.tenant == tenant,
                _jobs.c.state == JobState.QUEUED.value,
                _jobs.c.held.is_distinct_from(found.key),
            )
            untold = list(connection.scalars(sa.select(_jobs.c.id).where(waiting).limit(_TOLD)))
        if untold:
            with self._database.writing() as connection:
                for job in untold:
                    append(
                        connection,
                        EventKind.NOTE,
                        sa.and_(waiting, _jobs.c.id == job),
                        message=found.message,
                        held=found.key,
                    )
            for job in untold:
                self._on_event(tenant, job)
        return True

    def overspent(self, tenant: str) -> Hold | None:
        """Why the tenant may have no worker today any more; None where it may."""
        quota = self._quotas.of(tenant)
        if not quota.device_seconds_per_day:
            return None
        with self._database.reading() as connection:
            return overspent(connection, tenant, quota)

    def progressed(self, job: JobRecord, progress: Progress) -> JobState | None:
        with self._database.writing() as connection:
            change = append(connection, EventKind.PROGRESS, current(job), progress=asdict(progress))
            if change is not None:
                connection.execute(
                    _events.delete().where(
                        _events.c.job == job.id,
                        _events.c.kind == EventKind.PROGRESS.value,
                        _events.c.sequence <= change.sequence - _PROGRESS_KEPT,
                    )
                )
        return self._told(job, change)

    def noted(self, job: JobRecord, message: str) -> JobState | None:
        with self._database.writing() as connection:
            change = append(connection, EventKind.NOTE, current(job), message=message)
        return self._told(job, change)

    def cancelling(self, job: JobRecord) -> bool:
        """Whether the attempt was asked to stop."""
        with self._database.reading() as connection:
            return bool(connection.scalar(sa.select(_jobs.c.cancelling).where(current(job))))

    def checkpointed(self, job: JobRecord, steps: int) -> None:
        """A checkpoint after ``steps`` steps is on disk; getting further clears the deaths."""
        with self._database.writing() as connection:
            connection.execute(
                _jobs.update()
                .where(current(job), _jobs.c.steps < steps)
                .values(steps=steps, deaths=0)
            )

    def succeeded(self, job: JobRecord, artifacts: Sequence[Artifact]) -> JobState | None:
        kept = [asdict(artifact) for artifact in artifacts]
        size = sum(artifact.size for artifact in artifacts)
        with self._database.writing() as connection:
            change = end(connection, current(job), JobState.SUCCEEDED, artifacts=kept, size=size)
        return self._ended(job, change)

    def failed(self, job: JobRecord, error: JobError) -> JobState | None:
        with self._database.writing() as connection:
            change = end(
                connection,
                current(job),
                JobState.FAILED,
                message=error.message,
                error=asdict(error),
            )
        return self._ended(job, change)

    def cancelled(self, job: JobRecord) -> JobState | None:
        with self._database.writing() as connection:
            change = end(connection, current(job), JobState.CANCELLED, message="cancelled")
        return self._ended(job, change)

    def requeued(self, job: JobRecord, message: str) -> JobState | None:
        """Back into the queue through no fault of the job's; a job asked to stop is cancelled."""
        return self._returned(job, message, None)

    def died(self, job: JobRecord, message: str, *, limit: int, error: JobError) -> JobState | None:
        """The worker died: back into the queue, or failed after ``limit`` deaths in a row."""
        return self._returned(job, message, (limit, error))

    def end_overdue(self, now: float) -> tuple[list[JobRecord], list[str]]:
        """Fail the queued jobs whose deadline has passed, and tell which running ones are over it.

        (the jobs that failed, the ids of those that run)
        """
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(_jobs.c.id, _jobs.c.state).where(_jobs.c.deadline <= now)
            ).all()
        failed, running = [], []
        for row in rows:
            if row.state == JobState.RUNNING:
                running.append(row.id)
                continue
            error = overdue("waited for a worker")
            with self._database.writing() as connection:
                change = end(
                    connection,
                    sa.and_(_jobs.c.id == row.id, _jobs.c.state == JobState.QUEUED.value),
                    JobState.FAILED,
                    message=error.message,
                    error=asdict(error),
                )
                if change is None:  # it was claimed or cancelled in between
                    continue
                ended = connection.execute(sa.select(_jobs).where(_jobs.c.id == row.id)).one()
            failed.append(job_of(ended))
            accounting.ended(failed[-1], JobState.FAILED)
            self._on_event(ended.tenant, ended.id)
        return failed, running

    def held(self) -> dict[str, JobRecord]:
        """The jobs that run here, as far as the database knows."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(_jobs).where(
                    _jobs.c.state == JobState.RUNNING.value,
                    _jobs.c.owner == self._database.server,
                )
            ).all()
        return {row.id: job_of(row) for row in rows}

    def standing(self) -> tuple[dict[tuple[str, JobState], int], float | None]:
        """(tenant, QUEUED or RUNNING) -> how many jobs, and when the oldest of those that wait was
        created."""
        live = (JobState.QUEUED.value, JobState.RUNNING.value)
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(
                    _jobs.c.tenant,
                    _jobs.c.state,
                    sa.func.count().label("number"),
                    sa.func.min(_jobs.c.created).label("oldest"),
                )
                .where(_jobs.c.state.in_(live))
                .group_by(_jobs.c.tenant, _jobs.c.state)
            ).all()
        waiting = [row.oldest for row in rows if row.state == JobState.QUEUED.value]
        counts = {(row.tenant, JobState(row.state)): row.number for row in rows}
        return counts, min(waiting, default=None)

    def ids(self) -> dict[str, tuple[JobState, int]]:
        """State of every job and how many attempts it had, to tell what its folder may hold."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(_jobs.c.id, _jobs.c.state, _jobs.c.attempts)).all()
        return {row.id: (JobState(row.state), row.attempts) for row in rows}

    def _returned(
        self, job: JobRecord, message: str, death: tuple[int, JobError] | None
    ) -> JobState | None:
        with self._database.writing() as connection:
            change = put_back(connection, job, message, death)
        return self._ended(job, change)

    def _ended(self, job: JobRecord, change: Change | None) -> JobState | None:
        """As ``_told``. An attempt whose ending was recorded although the database said that it
        failed (a connection that breaks at the very end) learns of it here."""
        if change is None:
            with self._database.reading() as connection:
                found = connection.scalar(
                    sa.select(_jobs.c.state).where(
                        _jobs.c.id == job.id, _jobs.c.attempts == job.attempts
                    )
                )
            return JobState(found) if found and JobState(found).final else None
        return self._told(job, change)

    def _told(self, job: JobRecord, change: Change | None) -> JobState | None:
        if change is None:
            return None
        if change.state.final:
            accounting.ended(job, change.state)
        self._on_event(job.tenant, job.id)
        return change.state


def overdue(doing: str) -> JobError:
    """The error of a job whose deadline passed while it ``doing``."""
    return JobError(
        DeadlineExceeded.reason,
        f"the job's deadline passed while it {doing}; submit it again with a later one, or with "
        "less to do",
        subject="deadline",
    )
