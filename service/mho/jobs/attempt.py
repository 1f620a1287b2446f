"""One attempt at a job: from handing it to a worker to recording how it ended."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from enum import IntEnum, StrEnum

from mho.config import Settings
from mho.errors import MhoError, ResourceExhausted, WorkerCrashed
from mho.jobs import accounting
from mho.jobs.artifacts import promote
from mho.jobs.collection import clear_job
from mho.jobs.job import JobError, JobRecord, JobState
from mho.jobs.job_queue import JobQueue, overdue
from mho.jobs.layout import Layout, full_disk_named, remove_folder
from mho.jobs.messages import Message, PipeClosed, error_of, progress_of, text_of
from mho.jobs.processes import WorkerProcess
from mho.telemetry import figures, metrics, processes

_STOP_SECONDS = 5.0
_LOOK_SECONDS = 0.1

_log = logging.getLogger("mho.jobs.attempt")


class Ending(StrEnum):
    """How an attempt ended. LOST: its worker is no more."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost its worker"


class Stop(IntEnum):
    """Why an attempt is to end; a later member overrules those before it.

    FENCED: it is not the current one any more, so whatever comes of it is dropped.
    """

    NOT = 0
    TURN = 1
    DRAIN = 2
    DEADLINE = 3
    CANCEL = 4
    FENCED = 5

    @property
    def word(self) -> str:
        """What the worker is told."""
        return "drain" if self in (Stop.TURN, Stop.DRAIN) else "cancel"


class Attempt:
    """``job`` is as it was claimed; its ``attempts`` is the number of this attempt."""

    def __init__(self, job: JobRecord, jobs: JobQueue, layout: Layout, settings: Settings) -> None:
        self.job = job
        self._jobs = jobs
        self._layout = layout
        self._settings = settings
        self._folder = layout.attempt(job.id, job.attempts)
        self._lock = threading.Lock()
        self._began = self._billed = time.monotonic()
        self._advanced = False
        self._said = "interrupted; the job goes on where it was"
        self._why = Stop.NOT
        self._patience = 0.0
        """When (monotonic) a worker that has not stopped is killed."""
        self._leave_at = math.inf
        self.kept = time.monotonic()
        """When (monotonic) its newest checkpoint was written, or it began."""

    # from other threads

    def cancel(self) -> None:
        """End the job between two steps, or with its worker where that takes too long."""
        self._stop(Stop.CANCEL, time.monotonic() + _STOP_SECONDS)

    def expire(self) -> None:
        """End the job, whose deadline has passed, as ``cancel`` does; it fails."""
        self._stop(Stop.DEADLINE, time.monotonic() + _STOP_SECONDS)

    def may_give_way(self, turn: float) -> bool:
        """Whether it has had ``turn`` seconds and, in them, got further than where it began.

        The latter so that every turn gets a job on, however long it takes to load.
        """
        return not self.stopping and self._advanced and self.seconds >= turn

    def give_way(self, message: str) -> None:
        """Keep a checkpoint after the present step, however long that takes, and go back into the
        queue. message: why, for the job's events."""
        self._said = message
        self._stop(Stop.TURN, math.inf)

    @property
    def stopping(self) -> bool:
        return self._why is not Stop.NOT

    @property
    def seconds(self) -> float:
        """How long it has had a worker."""
        return time.monotonic() - self._began

    def unbilled(self) -> float:
        """The seconds since it began, or since this was asked before."""
        with self._lock:
            now = time.monotonic()
            since, self._billed = now - self._billed, now
            return since

    def drain(self, deadline: float) -> None:
        """Keep a checkpoint and stop; with the worker at ``deadline`` (monotonic)."""
        self._leave_at = deadline
        self._stop(Stop.DRAIN, deadline)

    def fence(self) -> None:
        """End the worker at once: the job is another server's, or another attempt's."""
        self._stop(Stop.FENCED, time.monotonic())

    def _stop(self, why: Stop, patience: float) -> None:
        with self._lock:
            if why > self._why or why is Stop.DRAIN is self._why:
                self._why, self._patience = why, patience

    # from the worker's thread

    def run(self, process: WorkerProcess, request: Message) -> Ending:
        """Run it to its end and record that; the process is dead where the answer is LOST."""
        self._span = accounting.AttemptSpan(self.job)
        try:
            remove_folder(self._folder)
            process.send(request)
            return self._listen(process)
        except PipeClosed as error:
            ending = process.kill()
            if self._why:
                self._stopped()
            else:
                processes.died("job", ending)
                self._span.failed(ending)
                _log.warning("a worker died: %s, %s", ending, error)
                self.lost(ending)
            return Ending.LOST
        except Exception:
            process.kill()
            self.lost("an error of the server")
            raise
        finally:
            self._span.end()
            remove_folder(self._folder)

    def fail(self, error: MhoError) -> None:
        """Record that the job failed."""
        _log.info("job failed: %s", error.message)
        kept = JobError(error.reason, error.message, error.subject)
        self._settle(lambda: self._jobs.failed(self.job, kept))

    def give_back(self, message: str) -> None:
        """Record that the job waits again, through no fault of its own."""
        self._settle(lambda: self._jobs.requeued(self.job, message))

    def lost(self, ending: str) -> None:
        """Record that the attempt came to nothing; after too many of these the job fails."""
        limit = self._settings.job_attempts
        error = JobError(
            WorkerCrashed.reason,
            f"the job's worker died {limit} times without getting further, last by {ending}; it "
            "may need more memory than there is: score fewer layers or inputs at a time",
        )
        message = f"its worker died ({ending}); the job goes on where it was"
        self._settle(lambda: self._jobs.died(self.job, message, limit=limit, error=error))

    def _listen(self, process: WorkerProcess) -> Ending:
        told = ""
        if self._jobs.cancelling(self.job):  # asked for between the claim and now
            self.cancel()
        while True:
            with self._lock:
                why, patience = self._why, self._patience
            if why and why.word != told:
                told = why.word
                process.send({"kind": told, "job": self.job.id, "attempt": self.job.attempts})
            if process.waiting(_LOOK_SECONDS):
                ending = self._heard(process.receive())
                if ending is not None:
                    return ending
            if why and time.monotonic() >= patience:
                raise PipeClosed(f"no answer to '{told}'")

    def _heard(self, message: Message) -> Ending | None:
        kind = message["kind"]
        if kind in ("progress", "note", "checkpoint"):
            self._report(kind, message)
            return None
        if kind == "stopped" and self._why:
            self._stopped()
            return Ending.STOPPED
        if kind == "failed":
            trace = text_of(message, "trace", 100_000)
            if trace:
                _log.error("job failed unexpectedly\n%s", trace)
            self.fail(error_of(message))
            return Ending.FAILED
        if kind == "succeeded":
            return self._succeed()
        raise PipeClosed(f"a message of the kind {kind!r}")

    def _report(self, kind: str, message: Message) -> None:
        try:
            if kind == "progress":
                if self._jobs.progressed(self.job, progress_of(message)) is None:
                    self.fence()
            elif kind == "note":
                self._jobs.noted(self.job, self._layout.hide(text_of(message, "message")))
            elif isinstance(message.get("steps"), int):
                self.kept = time.monotonic()
                self._advanced = True
                seconds = figures.finite(message.get("seconds"))
                metrics.CHECKPOINTS.observe(seconds)
                self._span.kept(message["steps"], seconds)
                self._jobs.checkpointed(self.job, message["steps"])
                for file in self._layout.checkpoints(self.job.id, self.job.attempts):
                    file.unlink(missing_ok=True)
        except ResourceExhausted as error:
            _log.warning("progress was not recorded: %s", error)

    def _succeed(self) -> Ending:
        result = self._layout.result(self.job.id, self.job.attempts)
        try:
            with full_disk_named("the result is stored"):
                artifacts = promote(self._folder, result)
        except MhoError as error:
            self.fail(error)
            return Ending.FAILED
        self._settle(lambda: self._jobs.succeeded(self.job, artifacts))
        return Ending.SUCCEEDED

    def _stopped(self) -> None:
        if self._why is Stop.FENCED:
            _log.warning("an attempt that is not the current one was stopped")
        elif self._why is Stop.CANCEL:
            self._settle(lambda: self._jobs.cancelled(self.job))
        elif self._why is Stop.DEADLINE:
            self._settle(lambda: self._jobs.failed(self.job, overdue("ran")))
        else:
            self.give_back(self._said)

    def _settle(self, record: Callable[[], JobState | None]) -> None:
        """Record an ending, and remove what only a further attempt would have needed."""
        state = self._insist(record)
        if state is not None and state.final:
            clear_job(self._layout, self.job.id, state, self.job.attempts)

    def _insist(self, record: Callable[[], JobState | None]) -> JobState | None:
        """Record an ending, however long the disk is full or the database busy.

        Returns the job's new state, None where the attempt is not the current one any more. A
        server that is stopped meanwhile leaves the job RUNNING, and the next one runs it again.
        """
        pause = 0.2
        while True:
            try:
                state = record()
                if state is None:
                    _log.warning("a report of a past attempt was ignored")
                return state
            except Exception as error:  # noqa: BLE001  # whatever it is, it may pass
                _log.error("an ending cannot be recorded yet: %s", error)
                if time.monotonic() >= self._leave_at:
                    return None
                time.sleep(pause)
                pause = min(5.0, pause * 2)
