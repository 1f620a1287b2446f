"""Collects what nothing refers to any more: leftovers of crashes, uploads, blobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from mho.errors import MhoError
from mho.jobs.blobs import Blobs
from mho.jobs.catalogue import Catalogue
from mho.jobs.job import JobState
from mho.jobs.layout import Layout, remove_folder

_EVERY_SECONDS = 900.0

_log = logging.getLogger("mho.jobs.collection")


def clear_job(folder: Path, state: JobState) -> None:
    """Remove from a job's folder what its state has no use for.

    A job that succeeded keeps its result, one that failed or was cancelled nothing, one that is
    still to run its attachments and its checkpoint.
    """
    if state in (JobState.FAILED, JobState.CANCELLED):
        remove_folder(folder)
        return
    kept = {"result"} if state is JobState.SUCCEEDED else {"attachments", "checkpoint.npz"}
    for path in list(folder.glob("*")):
        if path.name not in kept:
            _remove(path)


def collect_leftovers(
    layout: Layout, models: set[str], datasets: set[str], jobs: Mapping[str, JobState]
) -> None:
    """What a server that is no more left behind. Only before anything runs: all staging goes.

    models, datasets, jobs: those that the database knows.
    """
    for path in list(layout.staging.glob("*")):
        _remove(path)
    for parent, known in (
        (layout.models, models),
        (layout.datasets, datasets),
        (layout.jobs, jobs),
    ):
        for path in list(parent.glob("*")):
            if path.name not in known:
                _log.info("leftover %s removed", path.name)
                _remove(path)
    for job, state in jobs.items():
        clear_job(layout.job(job), state)


class Collector:
    """Removes abandoned uploads and unreferenced blobs from time to time."""

    def __init__(self, blobs: Blobs, catalogue: Catalogue) -> None:
        self._collect: Callable[[], None] = lambda: blobs.collect(catalogue.referenced_blobs())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="collector", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                self._collect()
            except (MhoError, OSError):
                _log.exception("the collection of unused blobs failed; it is tried again later")
            if self._closing.wait(_EVERY_SECONDS):
                return


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)
