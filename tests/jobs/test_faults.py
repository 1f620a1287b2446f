"""Kills, crashes and damage: an accepted job is never lost and its arrays are never disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from jobs.server import (
    TENANT,
    control,
    expected,
    scores,
    settings,
    spec,
    steps_done,
    until,
    wait,
    workers_of,
)
from mho.jobs.control import Control
from mho.jobs.job import EventKind, JobState
from mho.jobs.job_queue import JobQueue

pytestmark = pytest.mark.usefixtures("each_database")

STEPS = 120


def kill_worker(server: Control) -> None:
    """SIGKILL for the processes that work for this server's jobs."""
    for process in workers_of(os.getpid()):
        process.kill()


def test_kills_at_many_steps(server: Control) -> None:
    job = server.create_job(TENANT, spec(server, steps=STEPS, pause=0.01)).id
    for at_least in (1, 15, 30, 31, 60, 90):
        until(lambda at=at_least: steps_done(server, job, at), f"step {at_least}")
        attempts = server.get_job(TENANT, job).attempts
        kill_worker(server)
        until(
            lambda before=attempts: server.get_job(TENANT, job).attempts > before, "a new attempt"
        )
    record = wait(server, job)
    assert record.state is JobState.SUCCEEDED
    assert record.attempts == 7
    np.testing.assert_array_equal(scores(server, job), expected(STEPS))
    states = [
        event.state for event in server.events(TENANT, job, 0, 0.0) if event.kind is EventKind.STATE
    ]
    assert states == [*[JobState.QUEUED, JobState.RUNNING] * 7, JobState.SUCCEEDED]


def test_a_job_that_always_kills_its_worker(server: Control) -> None:
    bad = server.create_job(TENANT, spec(server, steps=10, behaviour="crash@3")).id
    good = server.create_job(TENANT, spec(server, steps=10)).id
    record = wait(server, bad)
    assert record.state is JobState.FAILED
    assert record.attempts == 3
    assert record.error is not None
    assert record.error.reason == "WORKER_CRASHED"
    assert "3 times" in record.error.message
    assert "signal 9" in record.error.message
    assert wait(server, good).state is JobState.SUCCEEDED


def test_a_worker_that_talks_rubbish(server: Control) -> None:
    job = server.create_job(TENANT, spec(server, steps=5, behaviour="once-noise@3")).id
    record = wait(server, job)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
    np.testing.assert_array_equal(scores(server, job), expected(5))


def test_no_room_for_checkpoints(server: Control) -> None:
    wanted = spec(server, steps=60, pause=0.005, behaviour="unkept@3")
    job = server.create_job(TENANT, wanted).id
    assert wait(server, job).state is JobState.SUCCEEDED
    notes = [e.message for e in server.events(TENANT, job, 0, 0.0) if e.kind is EventKind.NOTE]
    assert len(notes) == 2
    assert "no checkpoint could be written" in notes[1]


def test_a_result_waits_for_room(server: Control) -> None:
    job = server.create_job(TENANT, spec(server, steps=5, behaviour="cramped@2")).id
    record = wait(server, job)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 1)
    np.testing.assert_array_equal(scores(server, job), expected(5))
    notes = [e.message for e in server.events(TENANT, job, 0, 0.0) if e.kind is EventKind.NOTE]
    assert notes[1:] == ["the disk is full; the result waits for room"]


def test_a_result_that_waits_for_room_can_be_cancelled(server: Control) -> None:
    job = server.create_job(TENANT, spec(server, steps=5, behaviour="cramped@1000")).id

    def waits() -> bool:
        return any("waits for room" in e.message for e in server.events(TENANT, job, 0, 0.0))

    until(waits, "the wait")
    server.cancel_job(TENANT, job)
    assert wait(server, job).state is JobState.CANCELLED


def test_a_result_waits_for_room_no_longer_than_it_may(server: Control) -> None:
    job = server.create_job(TENANT, spec(server, steps=5, behaviour="roomless@3")).id
    record = wait(server, job)
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.reason == "RESOURCE_EXHAUSTED"
    assert "disk is full while the result is written" in record.error.message


def test_a_crash_between_jobs(server: Control) -> None:
    until(lambda: workers_of(os.getpid()))
    kill_worker(server)
    job = server.create_job(TENANT, spec(server, steps=1)).id
    assert wait(server, job).state is JobState.SUCCEEDED


@pytest.mark.parametrize("damage", ["cut", "foreign", "rubbish"])
def test_a_damaged_checkpoint_costs_only_time(tmp_path: Path, damage: str) -> None:
    first = control(tmp_path / "data")
    first.start()
    job = first.create_job(TENANT, spec(first, steps=400, pause=0.01)).id
    until(lambda: steps_done(first, job, 10))
    first.drain(20.0)
    first.close()
    file = tmp_path / "data" / "jobs" / job / "checkpoint-1.npz"
    content = file.read_bytes()
    file.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "foreign": content.replace("toy-1".encode("utf-32-le"), "toy-9".encode("utf-32-le")),
            "rubbish": b"rubbish",
        }[damage]
    )
    second = control(tmp_path / "data")
    second.start()
    assert wait(second, job).state is JobState.SUCCEEDED
    np.testing.assert_array_equal(scores(second, job), expected(400))
    notes = [e.message for e in second.events(TENANT, job, 0, 0.0) if e.kind is EventKind.NOTE]
    assert any("starts anew" in note for note in notes), notes
    second.close()


def test_a_report_of_a_past_attempt_changes_nothing(tmp_path: Path) -> None:
    server = control(tmp_path / "data")
    server._inspectors.start()
    job = server.create_job(TENANT, spec(server, steps=1)).id
    queue: JobQueue = server._queue
    old = queue.claim(TENANT)
    assert old is not None
    assert queue.requeued(old, "a server takes it over") is JobState.QUEUED
    new = queue.claim(TENANT)
    assert new is not None
    assert (old.attempts, new.attempts) == (1, 2)
    before = server.get_job(TENANT, job)
    assert queue.succeeded(old, []) is None
    assert queue.noted(old, "late") is None
    assert queue.requeued(old, "late") is None
    assert server.get_job(TENANT, job) == before
    assert queue.cancelled(new) is JobState.CANCELLED
    server.close()


@contextmanager
def separate_server(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.serve", str(folder), settings(folder).database],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_killed_server(tmp_path: Path, each_database: str) -> None:
    folder = tmp_path / "data"
    first = control(folder)
    first._inspectors.start()
    jobs = [
        first.create_job(TENANT, spec(first, steps=steps, pause=0.01), request_id=f"r-{steps}").id
        for steps in (STEPS, 5)
    ]
    first.close()
    workers: list[psutil.Process] = []
    for attempt, at_least in enumerate((5, 40, 80), start=1):
        file = folder / "jobs" / jobs[0] / f"checkpoint-{attempt}.npz"
        with separate_server(folder) as process:
            until(lambda file=file, at=at_least: checkpointed(file, at), f"step {at_least}")
            workers += workers_of(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert workers
    until(lambda: not any(worker.is_running() for worker in workers), "the end of the workers")
    (folder / "jobs" / jobs[0] / "attempt-99").mkdir()
    (folder / "jobs" / "orphan").mkdir()
    (folder / "models" / "orphan").mkdir()
    (folder / "staging" / "half").mkdir()

    last = control(folder)
    last.start()
    again = last.create_job(TENANT, spec(last, steps=STEPS, pause=0.01), request_id=f"r-{STEPS}")
    assert again.id == jobs[0]
    for job, steps in zip(jobs, (STEPS, 5), strict=True):
        assert wait(last, job).state is JobState.SUCCEEDED
        np.testing.assert_array_equal(scores(last, job), expected(steps))
        result = f"result-{last.get_job(TENANT, job).attempts}"
        until(
            lambda job=job, result=result: (
                [p.name for p in (folder / "jobs" / job).iterdir()] == [result]
            )
        )
    assert len(last.list_jobs(TENANT)[0]) == 2
    assert last.get_job(TENANT, jobs[0]).attempts == 4
    if each_database == "postgresql":  # others may be making folders, so it takes a second look
        for _ in range(2):
            last._leftovers.collect()
    assert sorted(path.name for path in (folder / "jobs").iterdir()) == sorted(jobs)
    assert len(list((folder / "models").iterdir())) == 1
    assert list((folder / "staging").iterdir()) == []
    last.close()


def checkpointed(file: Path, at_least: int) -> bool:
    """Whether the attempt's checkpoint has come that far."""
    try:
        with np.load(file) as content:
            return int(content["array/0"]) >= at_least
    except (OSError, ValueError, KeyError):
        time.sleep(0.02)
        return False
