"""Puts uploaded files into the folders from which models and data are read.

Files are copied from the blobs, under the names that users gave them. A folder is built aside and
then renamed to its place, so that it is whole or not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mho.data import preprocess
from mho.data.source import Source
from mho.errors import FailedPrecondition
from mho.jobs.blobs import Blobs
from mho.jobs.catalogue import Catalogue, digest_of
from mho.jobs.job import DatasetRecord, FileRef, JobRecord, JobSpec
from mho.jobs.layout import Layout, copy_file, full_disk_named, remove_folder, sync_tree
from mho.jobs.messages import Message
from mho.jobs.task import Task


class Assembly:
    """server: the id of this one."""

    def __init__(self, layout: Layout, blobs: Blobs, catalogue: Catalogue, server: str) -> None:
        self._layout = layout
        self._server = server
        self._blobs = blobs
        self._catalogue = catalogue

    @contextmanager
    def staged(self, tenant: str, files: Mapping[str, str]) -> Iterator[Path]:
        """A folder with copies of ``files`` (name -> SHA-256), on disk; gone after the block if it
        has not been renamed.

        FailedPrecondition where the tenant has not uploaded one of them.
        """
        held = self._blobs.held(tenant, files.values())
        for name, digest in files.items():
            if digest not in held:
                raise FailedPrecondition(
                    f"the bytes of '{name}' (SHA-256 {digest}) have not been uploaded; "
                    "upload them first",
                    subject=name,
                )
        with full_disk_named("files are put together"):
            folder = self._layout.new_staging(self._server)
            try:
                for name, digest in files.items():
                    copy_file(self._blobs.path(digest), folder / name)
                sync_tree(folder)
                yield folder
            finally:
                remove_folder(folder)

    @contextmanager
    def staged_job(self, tenant: str, spec: JobSpec) -> Iterator[Path]:
        """The folder of a job that is to be: the files that its options name."""
        files = {
            f"attachments/{option}/{entry.name}": entry.sha256
            for option, entry in spec.attachments.items()
            if entry.sha256
        }
        with self.staged(tenant, files) as folder:
            yield folder

    def request_of(self, job: JobRecord) -> Message:
        """The message that hands a claimed job to a worker."""
        model = self._catalogue.model(job.tenant, job.spec.model)
        attachments: dict[str, Path] = {}
        for option, entry in job.spec.attachments.items():
            if entry.dataset:
                record = self._catalogue.dataset(job.tenant, entry.dataset)
                attachments[option] = self._layout.dataset(record.id) / record.inputs.name
            else:
                attachments[option] = self._layout.attachments(job.id) / option / entry.name
        dataset = self._catalogue.dataset(job.tenant, job.spec.dataset)
        task = Task(
            method=job.spec.method,
            options=job.spec.options,
            model=self._layout.model(model.id) / model.main,
            data=source_of(self._layout.dataset(dataset.id), dataset),
            attachments=attachments,
            cost_accepted=job.spec.cost_accepted,
        )
        return {
            "kind": "run",
            "task": task.to_json(),
            "job": job.id,
            "attempt": job.attempts,
            "digest": digest_of(job.spec.to_json()),
            "checkpoint": str(self._layout.checkpoint(job.id, job.attempts)),
            "earlier": [str(file) for file in self._layout.checkpoints(job.id, job.attempts)],
            "output": str(self._layout.attempt(job.id, job.attempts)),
        }


def source_of(folder: Path, dataset: DatasetRecord) -> Source:
    """Where the files of a data set lie in ``folder``."""
    return Source(
        inputs=folder / dataset.inputs.name,
        labels=None if dataset.labels is None else folder / dataset.labels.name,
        preprocess=None
        if dataset.preprocess is None
        # In full, so that no text of a user's can name a file of the server.
        else preprocess.parse(dataset.preprocess, files=False).text(),
    )


def dataset_content(
    model: str, inputs: FileRef, labels: FileRef | None, preprocessing: str | None
) -> dict[str, Any]:
    """What makes two data sets the same."""
    return {
        "model": model,
        "inputs": [inputs.name, inputs.sha256],
        "labels": None if labels is None else [labels.name, labels.sha256],
        "preprocess": preprocessing,
    }
