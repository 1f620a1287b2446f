"""What the tests of jobs share: a server on a fresh directory, a model, a data set, and waiting."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from jobs.postgres import Postgres
from mho.config import Settings
from mho.jobs.control import Control
from mho.jobs.job import FileRef, JobRecord, JobSpec, JobState

TENANT = "acme"
DEADLINE = 30.0


POSTGRESQL: Postgres | None = None
"""Where the servers of the running test keep their jobs; None for SQLite."""


def settings(folder: Path, **changes: Any) -> Settings:
    where = "" if POSTGRESQL is None else POSTGRESQL.url(folder.resolve())
    given = {"checkpoint_seconds": 0.05, "database": where, "lease_seconds": 2.0} | changes
    return Settings(data_dir=str(folder), **given)


def control(folder: Path, **changes: Any) -> Control:
    return Control(
        settings(folder, **changes), entry="jobs.fake_entry", methods="jobs.fake_methods"
    )


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def upload(server: Control, content: bytes, tenant: str = TENANT) -> str:
    digest = sha(content)
    offset = server.upload_status(tenant, digest)
    while offset < len(content) or not content:
        chunk = content[offset : offset + 1024 * 1024]
        offset = server.upload_chunk(tenant, digest, len(content), offset, chunk)
        if not content:
            break
    return digest


def model(server: Control, content: bytes = b"toy model", tenant: str = TENANT) -> str:
    files = {"toy.onnx": upload(server, content, tenant)}
    return server.create_model(tenant, display_name="a toy", files=files, main="toy.onnx").id


def dataset(
    server: Control, model_id: str, content: bytes = b"inputs", tenant: str = TENANT
) -> str:
    ref = FileRef("inputs.npy", upload(server, content, tenant))
    return server.create_dataset(tenant, display_name="numbers", model=model_id, inputs=ref).id


def spec(server: Control, tenant: str = TENANT, **options: Any) -> JobSpec:
    """A toy job on a model and a data set, which are uploaded where they are not there yet."""
    model_id = model(server, tenant=tenant)
    return JobSpec(model_id, dataset(server, model_id, tenant=tenant), "toy", options)


def until(condition: Callable[[], Any], what: str = "it") -> Any:
    """The first true answer of ``condition``; fails after the deadline."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {DEADLINE:g} s")


def wait(server: Control, job: str, *states: JobState, tenant: str = TENANT) -> JobRecord:
    """The job once it is in one of ``states`` (default: has ended)."""
    seen = 0
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        record = server.get_job(tenant, job)
        if record.state in states or (not states and record.state.final):
            return record
        assert not record.state.final, record
        for event in server.events(tenant, job, seen, timeout=1.0):
            seen = event.sequence
    raise AssertionError(f"the job is still {record}")


def steps_done(server: Control, job: str, at_least: int) -> bool:
    progress = server.get_job(TENANT, job).progress
    return progress is not None and progress.done >= at_least


def workers_of(pid: int) -> list[psutil.Process]:
    """The worker processes of the server that is process ``pid``."""
    found = []
    for child in psutil.Process(pid).children():
        try:
            if "mho.jobs.worker" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


def scores(server: Control, job: str) -> np.ndarray:
    with np.load(server.artifact_path(TENANT, job, "scores.npz")) as arrays:
        return arrays["layer"]


def expected(steps: int, seed: int = 0) -> np.ndarray:
    """What an undisturbed toy run gives."""
    sums = np.zeros(8)
    for count in range(steps):
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, count]))
        sums = sums + generator.normal(size=8)
    return sums
