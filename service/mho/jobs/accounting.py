"""Accounts for what happens to jobs as it happens: counted, and told to the traces."""

from __future__ import annotations

import time

from mho.jobs.job import JobRecord, JobState
from mho.telemetry import metrics


def created(job: JobRecord) -> None:
    """A job was accepted."""
    metrics.CREATED.labels(job.spec.method, metrics.of(job.tenant)).inc()


def claimed(job: JobRecord) -> None:
    """A job was handed to a worker."""
    if job.attempts == 1:
        metrics.QUEUE_WAIT.observe(max(0.0, time.time() - job.created))


def ended(job: JobRecord, state: JobState) -> None:
    """A job reached its final state."""
    metrics.ENDED.labels(job.spec.method, state.value, metrics.of(job.tenant)).inc()
    if job.started is not None:
        metrics.JOB_TIME.labels(job.spec.method, state.value).observe(
            max(0.0, time.time() - job.started)
        )
