"""Accounts for what happens to jobs as it happens: in the metrics, and as spans.

A job's span is a child of the call that made it. Its own children are the wait for the first worker
and the attempts, theirs the checkpoints and the steps between two of these.
"""

from __future__ import annotations

import time

from mho.jobs.job import JobRecord, JobState
from mho.telemetry import metrics, spans, trace


def created(job: JobRecord) -> None:
    """A job was accepted."""
    metrics.CREATED.labels(job.spec.method, metrics.of(job.tenant)).inc()


def claimed(job: JobRecord) -> None:
    """A job was handed to a worker."""
    if job.attempts > 1:
        return
    now = time.time()
    metrics.QUEUE_WAIT.observe(max(0.0, now - job.created))
    spans.record("queue", trace.inside(job.trace, job.id), job.created, now)


def ended(job: JobRecord, state: JobState) -> None:
    """A job reached its final state."""
    now = time.time()
    metrics.ENDED.labels(job.spec.method, state.value, metrics.of(job.tenant)).inc()
    if job.started is not None:
        metrics.JOB_TIME.labels(job.spec.method, state.value).observe(max(0.0, now - job.started))
    spans.record(
        "job",
        job.trace,
        job.created,
        now,
        id=trace.span_of(job.id),
        error="the job failed" if state is JobState.FAILED else "",
        job=job.id,
        tenant=job.tenant,
        method=job.spec.method,
        state=state.value,
        attempts=job.attempts,
    )


class AttemptSpan:
    """The span of an attempt that begins now."""

    def __init__(self, job: JobRecord) -> None:
        self._span = spans.begin(
            "attempt", trace.inside(job.trace, job.id), job=job.id, attempt=job.attempts
        )
        self._since = time.time()
        self._steps = 0
        self._error = ""

    def kept(self, steps: int, seconds: float) -> None:
        """A checkpoint after ``steps`` steps has just been written, which took ``seconds``."""
        now = time.time()
        began = max(self._since, now - seconds)
        more = max(0, steps - self._steps)
        spans.record("steps", self._span.context, self._since, began, steps=more)
        spans.record("checkpoint", self._span.context, began, now, steps=steps)
        self._since, self._steps = now, steps

    def failed(self, ending: str) -> None:
        """The attempt's worker died, as ``ending`` says."""
        self._error = ending

    def end(self) -> None:
        """The attempt has ended."""
        spans.record("steps", self._span.context, self._since, time.time())
        self._span.end(error=self._error)
