"""What is given for an option that takes a file -> an attachment of the job."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mho_client.errors import invalid
from mho_client.files import LocalFile, array_file, arrays_file, existing, json_file
from mho_client.jobs import Job
from mho_client.resources import Dataset
from mho_client.results import Result
from mho_client.uploads import Uploader
from mho_client.v1 import jobs_pb2

if TYPE_CHECKING:
    from mho_client.client import Client

_SCORES = "scores.npz"


class Attachments:
    """Makes the attachments of one job, which runs on ``model`` and ``dataset``."""

    def __init__(
        self, client: Client, uploader: Uploader, model: str, dataset: Dataset | str
    ) -> None:
        self._client = client
        self._uploader = uploader
        self._model = model
        self._dataset = dataset

    def attachment(self, option: str, kind: str, value: Any) -> jobs_pb2.Attachment:
        """kind: what the option takes, as in ``Option.file``. MhoClientError for anything else."""
        if kind == "data":
            return jobs_pb2.Attachment(dataset=self._reference(value))
        with tempfile.TemporaryDirectory(prefix="mho-") as folder:
            file = _file(option, kind, value, Path(folder))
            return jobs_pb2.Attachment(file=self._uploader.upload([file])[0])

    def _reference(self, value: Any) -> str:
        if isinstance(value, Dataset):
            return value.name
        if isinstance(value, str) and value.startswith("tenants/"):
            return value
        here = self._dataset
        spec = (here if isinstance(here, Dataset) else self._client.dataset(here)).preprocess
        return self._client.upload_dataset(self._model, value, preprocess=spec or None).name


def _file(option: str, kind: str, value: Any, folder: Path) -> LocalFile:
    if kind == "scores":
        if isinstance(value, Job):
            value = value.result()
        if isinstance(value, Result):
            value = value.scores
    if isinstance(value, (str, PathLike)):
        path = existing(value, option)
        if kind == "scores" and path.is_dir():
            path = existing(path / _SCORES, option)
        return LocalFile(path.name, path)
    if isinstance(value, np.ndarray) and kind == "array":
        return array_file(value, folder, option)
    if isinstance(value, Mapping):
        if kind == "groups":
            return json_file(value, folder, option)
        return arrays_file(value, folder, option)
    takes = {
        "array": "a path, an array, or a dict of arrays",
        "groups": "a path, or a dict from group names to layers to units",
        "scores": "a path, a Result, a Job, or a dict from layers to scores",
    }.get(kind, "a path")
    raise invalid(f"option '{option}' takes {takes}, not {type(value).__name__}", option)
