"""How things stand with queue, checkpoints and disk, measured whenever metrics are scraped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from mho.jobs.job import JobState
from mho.jobs.job_queue import JobQueue
from mho.jobs.supervisor import Supervisor
from mho.telemetry import metrics


def told(queue: JobQueue, supervisor: Supervisor, root: Path) -> Callable[[], None]:
    """Measure queue, checkpoints and disk (of ``root``) at every scrape, until what is returned is
    called."""

    def read() -> None:
        metrics.CHECKPOINT_AGE.set(supervisor.checkpoint_age())
        disk = shutil.disk_usage(root)
        metrics.DISK_FREE.set(disk.free)
        metrics.DISK_SIZE.set(disk.total)
        counts, oldest = queue.standing()
        metrics.QUEUE_AGE.set(0.0 if oldest is None else max(0.0, time.time() - oldest))
        for gauge, state in (
            (metrics.QUEUED, JobState.QUEUED),
            (metrics.RUNNING, JobState.RUNNING),
        ):
            gauge.clear()
            gauge.labels("").set(0)
            by_label: dict[str, int] = {}
            for (tenant, found), number in counts.items():
                if found is state:
                    label = metrics.of(tenant)
                    by_label[label] = by_label.get(label, 0) + number
            for label, number in by_label.items():
                gauge.labels(label).set(number)

    return metrics.at_scrape(read)
