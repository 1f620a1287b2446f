"""Keeps the workers alive and gives each the next job: by the tenants' shares, and within a tenant
in the order in which its jobs are due."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from mho.config import Settings
from mho.errors import MhoError
from mho.jobs import accounting
from mho.jobs.attempt import Attempt, Ending
from mho.jobs.clock import Clock
from mho.jobs.job import JobRecord, JobState
from mho.jobs.job_queue import JobQueue
from mho.jobs.layout import Layout
from mho.jobs.messages import Message, PipeClosed
from mho.jobs.meter import Meter
from mho.jobs.notices import Notice
from mho.jobs.processes import WorkerProcess
from mho.jobs.shares import Shares
from mho.telemetry import metrics
from mho.telemetry.about import about
from mho.telemetry.processes import died
from mho.telemetry.trace import trace_of

_LOOK_SECONDS = 1.0
_LONGEST_PAUSE = 30.0
_FAREWELL_SECONDS = 1.0

_log = logging.getLogger("mho.jobs.supervisor")


class Supervisor:
    """``settings.workers`` threads, each with its own worker process.

    meter: counts what they spend. shares: among the tenants. request_of: the message that hands a
    claimed job to a worker; may raise MhoError, which fails it.
    """

    def __init__(
        self,
        settings: Settings,
        entry: str,
        jobs: JobQueue,
        layout: Layout,
        meter: Meter,
        shares: Shares,
        request_of: Callable[[JobRecord], Message],
    ) -> None:
        self._settings = settings
        self._entry = entry
        self._jobs = jobs
        self._layout = layout
        self._request_of = request_of
        self._changed = threading.Condition()
        self._current: dict[str, Attempt] = {}
        self._shares = shares
        self._draining = False
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, name=f"worker-{number}", daemon=True)
            for number in range(settings.workers)
        ]
        self._clock = Clock(settings, jobs, layout, meter, shares, self._changed, self._attempts)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        self._clock.start()

    def wake(self) -> None:
        """There may be a job to claim."""
        with self._changed:
            self._changed.notify_all()

    def heard(self, notice: Notice) -> None:
        """Another server has changed the job."""
        if notice.state is JobState.QUEUED:
            self.wake()
        with self._changed:
            here = notice.job in self._current
        if here:
            self.verify()

    def cancel(self, job: str) -> None:
        """Stop the job where it runs here; it is marked in the database already."""
        with self._changed:
            attempt = self._current.get(job)
        if attempt is not None:
            attempt.cancel()

    def verify(self) -> None:
        """Bring what runs here in line with the database, which other servers change too.

        Attempts that are not current any more are stopped at once, cancelled ones between two
        steps; a job that counts as running here and does not is put back into the queue.
        """
        with self._changed:
            held = self._jobs.held()
            here = dict(self._current)
        for name, attempt in here.items():
            job = held.pop(name, None)
            if job is None or job.attempts != attempt.job.attempts:
                attempt.fence()
            elif job.cancelling:
                attempt.cancel()
        for job in held.values():
            self._jobs.requeued(job, "its worker was never started; the job waits for one")

    def running(self) -> int:
        with self._changed:
            return len(self._current)

    def checkpoint_age(self) -> float:
        """Seconds since the newest checkpoint, or the start, of the running job for which these are
        most; 0 where none runs."""
        with self._changed:
            kept = [attempt.kept for attempt in self._current.values()]
        return time.monotonic() - min(kept) if kept else 0.0

    def _attempts(self) -> list[Attempt]:
        with self._changed:
            return list(self._current.values())

    def drain(self, seconds: float) -> None:
        """Claim nothing more; running jobs keep a checkpoint and go back into the queue.

        Those that have not done so after ``seconds`` are stopped, and resume from an older one.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            self._draining = True
            for attempt in self._current.values():
                attempt.drain(deadline)
            self._changed.notify_all()
            # Beyond the deadline the attempts end by themselves; the margin is for their last
            # words.
            self._changed.wait_for(lambda: not self._current, timeout=seconds + 5)

    def close(self) -> None:
        """Stop the workers within a second; running jobs go back into the queue."""
        self._stopping.set()
        with self._changed:
            self._draining = True
            for attempt in self._current.values():
                attempt.drain(time.monotonic() + _FAREWELL_SECONDS)
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._clock.close()

    # the threads

    def _serve(self) -> None:
        process: WorkerProcess | None = None
        failures = 0
        while not self._stopping.is_set():
            try:
                if process is None or not process.alive:
                    if process is not None:
                        died("job", process.kill())
                    process = self._started()
                    failures = 0
                job = self._claim()
                if job is None:
                    continue
                if process.tenant not in (None, job.tenant):
                    process.kill()  # it has seen another tenant's bytes
                    process = None
                with about(**_known(job)):
                    process = self._work(job, process)
            except Exception as error:  # noqa: BLE001
                # Nothing may end this thread: a full disk or a busy database passes.
                failures += 1
                pause = min(_LONGEST_PAUSE, 0.5 * 2**failures)
                expected = isinstance(error, (MhoError, PipeClosed))
                _log.error("a worker is paused for %g s: %s", pause, error, exc_info=not expected)
                self._stopping.wait(pause)
        if process is not None:
            process.kill()

    def _started(self) -> WorkerProcess:
        process = WorkerProcess(self._settings, self._entry)
        try:
            process.ready()
        except BaseException:
            ending = process.kill()
            died("job", ending)
            _log.error("a worker did not start: %s", ending)
            raise
        _log.info("worker started", extra={"pid": process.pid})
        return process

    def _claim(self) -> JobRecord | None:
        """The next job, now this thread's; None after a while without one."""
        with self._changed:
            if not self._draining:
                waiting = self._jobs.tenants_waiting()
                running = Counter(attempt.job.tenant for attempt in self._current.values())
                self._shares.want({*waiting, *running})
                for tenant in self._shares.order(waiting, running):
                    job = self._jobs.claim(tenant)
                    if job is not None:
                        accounting.claimed(job)
                        self._current[job.id] = Attempt(
                            job, self._jobs, self._layout, self._settings
                        )
                        return job
            self._changed.wait(_LOOK_SECONDS)
            return None

    def _work(self, job: JobRecord, process: WorkerProcess | None) -> WorkerProcess | None:
        """Run the attempt; the process where it can be used again."""
        attempt = self._current[job.id]
        try:
            try:
                request = self._request_of(job)
            except MhoError as error:
                attempt.fail(error)
                return process
            except Exception:
                attempt.lost("an error of the server")
                raise
            try:
                process = process or self._started()
            except Exception:
                attempt.give_back("no worker could be started; the job waits for one")
                raise
            process.tenant = job.tenant
            _log.info("job started")
            began = time.monotonic()
            ending = attempt.run(process, request)
            metrics.BUSY.labels(metrics.of(job.tenant)).inc(time.monotonic() - began)
            metrics.ATTEMPTS.labels(ending.name.lower()).inc()
            _log.info("job %s", ending)
            return None if ending is Ending.LOST else process
        finally:
            self._clock.bill(attempt)
            with self._changed:
                del self._current[job.id]
                self._changed.notify_all()


def _known(job: JobRecord) -> dict[str, object]:
    """What the log says of all that is done for the job."""
    traced = {"trace": trace_of(job.trace)} if job.trace else {}
    return {"job": job.id, "tenant": job.tenant, "attempt": job.attempts, **traced}
