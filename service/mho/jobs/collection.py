"""Collects what nothing refers to any more: leftovers of crashes, uploads, blobs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mho.errors import MhoError
from mho.jobs.blobs import Blobs
from mho.jobs.catalogue import Catalogue
from mho.jobs.job import JobState
from mho.jobs.layout import Layout, remove_folder
from mho.jobs.regularly import Regularly

_EVERY_SECONDS = 900.0

_log = logging.getLogger("mho.jobs.collection")


def clear_job(layout: Layout, id: str, state: JobState, attempt: int) -> None:
    """Remove from a job's folder what its state has no use for.

    A job that succeeded keeps the result of its last attempt, one that failed or was cancelled
    nothing, one that is still to run its attachments and its checkpoints.
    """
    if state in (JobState.FAILED, JobState.CANCELLED):
        remove_folder(layout.job(id))
        return
    if state is JobState.SUCCEEDED:
        kept = {layout.result(id, attempt)}
    else:
        kept = {layout.attachments(id), *layout.checkpoints(id, attempt + 1)}
    for path in set(layout.job(id).glob("*")) - kept:
        _remove(path)


class Leftovers:
    """What servers that are no more left behind.

    known: the names that may lie in staging (beginnings, of living servers), models, datasets and
    jobs, as the database knows them.
    """

    def __init__(self, layout: Layout, known: Callable[[], Known]) -> None:
        self._layout = layout
        self._known = known
        self._suspects: set[Path] = set()

    def collect(self, *, alone: bool = False) -> None:
        """Remove what nothing refers to.

        A server gives a folder its place just before the database learns of it, so a folder goes
        only when it was found twice in a row; at once where no other server can be there (alone).
        """
        layout = self._layout
        parents = (layout.models, layout.datasets, layout.jobs)
        folders = [path for parent in parents for path in parent.glob("*")]
        staged = list(layout.staging.glob("*"))
        known = self._known()  # after looking, so that what is new meanwhile is not suspected
        found = {path for path in staged if path.name.partition("-")[0] not in known.servers}
        found |= {path for path in folders if path.name not in known.folders}
        for path in found if alone else found & self._suspects:
            _log.info("leftover %s removed", path.name)
            _remove(path)
        self._suspects = found


@dataclass(frozen=True)
class Known:
    """servers: those that live. folders: the ids of all models, data sets and jobs."""

    servers: set[str]
    folders: set[str]


class Collector(Regularly):
    """Removes leftovers, abandoned uploads and unreferenced blobs from time to time."""

    def __init__(self, leftovers: Leftovers, blobs: Blobs, catalogue: Catalogue) -> None:
        self._leftovers = leftovers
        self._blobs = blobs
        self._catalogue = catalogue
        super().__init__("collector", _EVERY_SECONDS, self._collect, at_once=True)

    def _collect(self) -> None:
        try:
            self._leftovers.collect()
            self._blobs.collect(self._catalogue.referenced_blobs())
        except (MhoError, OSError):
            _log.exception("the collection of what is unused failed; it is tried again later")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)
