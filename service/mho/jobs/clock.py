"""Looks at the jobs once a second: what is late, what has been spent, who has to wait and who to
give way."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection

from mho.config import Settings
from mho.jobs.attempt import Attempt
from mho.jobs.collection import clear_job
from mho.jobs.job_queue import JobQueue
from mho.jobs.layout import Layout
from mho.jobs.meter import Meter
from mho.jobs.regularly import Regularly
from mho.jobs.shares import Shares

_LOOK_SECONDS = 1.0
_IN_TURN = "another tenant's turn; the job goes on where it was when its own comes"

_log = logging.getLogger("mho.jobs.clock")


class Clock(Regularly):
    """attempts: those that run here now. lock: held while shares are read or changed."""

    def __init__(
        self,
        settings: Settings,
        jobs: JobQueue,
        layout: Layout,
        meter: Meter,
        shares: Shares,
        lock: threading.Condition,
        attempts: Callable[[], Collection[Attempt]],
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._layout = layout
        self._meter = meter
        self._shares = shares
        self._lock = lock
        self._attempts = attempts
        super().__init__("clock", _LOOK_SECONDS, self._look)

    def close(self) -> None:
        super().close()
        self._look_at(self._meter.flush)

    def bill(self, attempt: Attempt) -> None:
        """Count what the attempt has spent since it was last asked."""
        tenant, seconds = attempt.job.tenant, attempt.unbilled()
        self._meter.count(tenant, seconds)
        with self._lock:
            self._shares.spend(tenant, seconds)

    def _look(self) -> None:
        for look in (self._end_overdue, self._bill_all, self._share_out):
            self._look_at(look)

    def _look_at(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception as error:  # noqa: BLE001
            # A full disk or a busy database passes; what is late now is late in a second.
            _log.error("a look at the jobs failed: %s", error, exc_info=True)

    def _end_overdue(self) -> None:
        failed, running = self._jobs.end_overdue(time.time())
        for job in failed:
            clear_job(self._layout, job.id, job.state, job.attempts)
        for attempt in self._attempts():
            if attempt.job.id in running:
                attempt.expire()

    def _bill_all(self) -> None:
        for attempt in self._attempts():
            self.bill(attempt)
        self._meter.flush()

    def _share_out(self) -> None:
        """Tell jobs that a limit keeps waiting, and have attempts give way."""
        waiting = self._jobs.tenants_waiting()
        free = {tenant for tenant in waiting if not self._jobs.hold(tenant)}
        attempts = self._attempts()
        running = Counter(attempt.job.tenant for attempt in attempts)
        with self._lock:
            self._shares.want({*waiting, *running})
        overspent = {
            tenant: hold.message
            for tenant in running
            if (hold := self._jobs.overspent(tenant)) is not None
        }
        for attempt in attempts:
            if attempt.job.tenant in overspent and attempt.may_give_way(0.0):
                attempt.give_way(overspent[attempt.job.tenant])
        if len(attempts) >= self._settings.workers and self._settings.turn_seconds:
            self._interrupt(attempts, running, free)

    def _interrupt(
        self, attempts: Collection[Attempt], running: Counter[str], waiting: Collection[str]
    ) -> None:
        """Have one attempt give way, of whoever has most beyond the share of one that waits."""
        if any(attempt.stopping for attempt in attempts):
            return  # a worker is about to be free
        with self._lock:
            ahead = self._shares.in_excess(waiting, running)
        for tenant in ahead:
            ready = [
                attempt
                for attempt in attempts
                if attempt.job.tenant == tenant
                and attempt.may_give_way(self._settings.turn_seconds)
            ]
            if ready:
                min(ready, key=lambda attempt: attempt.seconds).give_way(_IN_TURN)
                return
