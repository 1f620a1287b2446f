"""Two servers on one PostgreSQL and one directory: no job twice at once, none lost, none spoilt."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jobs import server as servers
from jobs.postgres import Postgres
from jobs.server import (
    TENANT,
    control,
    expected,
    scores,
    sha,
    spec,
    steps_done,
    until,
    upload,
    wait,
)
from jobs.test_faults import separate_server
from mho.errors import FailedPrecondition
from mho.jobs.control import Control
from mho.jobs.job import EventKind, JobState
from mho.jobs.leases import Leases


@pytest.fixture(autouse=True)
def shared_database(postgresql: Postgres) -> Iterator[None]:
    servers.POSTGRESQL = postgresql
    yield
    servers.POSTGRESQL = None


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Control, Control]]:
    """Two started servers with one worker each."""
    both = control(tmp_path / "data"), control(tmp_path / "data")
    for server in both:
        server.start()
    yield both
    for server in both:
        server.close()


def states(server: Control, job: str) -> list[JobState]:
    events = server.events(TENANT, job, 0, 0.0)
    return [event.state for event in events if event.kind is EventKind.STATE]


def test_each_job_runs_once(pair: tuple[Control, Control]) -> None:
    first, second = pair
    wanted = spec(first, steps=3, pause=0.01)
    jobs = [pair[number % 2].create_job(TENANT, wanted).id for number in range(12)]
    for job in jobs:
        record = wait(second, job)
        assert (record.state, record.attempts) == (JobState.SUCCEEDED, 1)
        assert states(first, job) == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
        np.testing.assert_array_equal(scores(first, job), expected(3))


def test_a_request_is_carried_out_once_by_either(pair: tuple[Control, Control]) -> None:
    first, second = pair
    wanted = spec(first, steps=1)
    job = first.create_job(TENANT, wanted, request_id="r-1").id
    assert second.create_job(TENANT, wanted, request_id="r-1").id == job
    wait(second, job)


def test_one_file_is_sent_to_both_at_once(tmp_path: Path) -> None:
    both = [control(tmp_path / "data", workers=0) for _ in range(2)]
    content = os.urandom(3 * 1024 * 1024 + 5)
    digest = sha(content)
    piece = 512 * 1024
    for number, start in enumerate(range(0, len(content), piece)):
        end = min(start + piece, len(content))
        for server in (both[number % 2], both[1 - number % 2]):
            assert server.upload_status(TENANT, digest) in (start, end)
            server.upload_chunk(TENANT, digest, len(content), start, content[start:end])
    with ThreadPoolExecutor(8) as pool:
        sent = pool.map(lambda n: upload(both[n % 2], b"x" * 10**6, f"t{n // 4}"), range(8))
        assert len(set(sent)) == 1
    for server in both:
        assert server.missing_blobs(TENANT, [digest]) == []
        assert server._blobs.path(digest).read_bytes() == content
        server._blobs.collect(set(), abandoned=0.0)
        assert server.missing_blobs(TENANT, [digest]) == []
    assert not list((tmp_path / "data" / "uploads").glob("*/*"))
    both[0]._blobs.collect(set(), unreferenced=0.0)
    assert both[1].missing_blobs(TENANT, [digest]) == [digest]
    assert upload(both[1], content) == digest
    for server in both:
        server.close()


def test_watching_and_cancelling_through_the_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    works, watches = control(tmp_path / "data"), control(tmp_path / "data", workers=0)
    heard: list[tuple[str, str]] = []
    watches.subscribe(lambda tenant, job: heard.append((tenant, job)))
    for server in (works, watches):
        server.start()
    try:
        job = watches.create_job(TENANT, spec(watches, steps=10**9, pause=0.01)).id
        wait(watches, job, JobState.RUNNING)
        begun = len(heard)
        until(lambda: len(heard) > begun + 2, "notices of progress")
        assert set(heard) == {(TENANT, job)}
        watches.cancel_job(TENANT, job)
        assert wait(watches, job).state is JobState.CANCELLED
        assert "not heard" not in caplog.text
    finally:
        for server in (works, watches):
            server.close()


def test_a_killed_server_is_succeeded_by_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    survivor = control(folder, workers=0)
    survivor.start()
    job = survivor.create_job(TENANT, spec(survivor, steps=150, pause=0.01)).id
    with separate_server(folder) as process:
        until(lambda: steps_done(survivor, job, 20))
        process.kill()
        process.wait()
    assert survivor.get_job(TENANT, job).state is JobState.RUNNING
    helper = control(folder)
    helper.start()
    record = wait(survivor, job)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
    np.testing.assert_array_equal(scores(survivor, job), expected(150))
    notes = [e.message for e in survivor.events(TENANT, job, 0, 0.0) if e.kind is EventKind.NOTE]
    assert any(note.startswith("resumed after ") for note in notes), notes
    helper.close()
    survivor.close()


def test_a_server_that_was_only_paused_is_fenced(tmp_path: Path) -> None:
    """It wakes up in the middle of a job that another has taken over, or has long finished."""
    folder = tmp_path / "data"
    other = control(folder, workers=0)
    other.start()
    jobs = [
        other.create_job(TENANT, spec(other, steps=steps, pause=0.01)).id for steps in (10**9, 200)
    ]
    with separate_server(folder) as process:
        until(lambda: steps_done(other, jobs[0], 20))
        other.cancel_job(TENANT, jobs[0])
        until(lambda: steps_done(other, jobs[1], 20))
        os.kill(process.pid, signal.SIGSTOP)  # its worker runs on, and writes checkpoints
        helper = control(folder)
        helper.start()
        record = wait(other, jobs[1])
        assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
        before = other.get_job(TENANT, jobs[1])
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: len(other._leases.living()) == 3, "the return of the server")
        time.sleep(0.5)  # for what it may still be doing
        assert other.get_job(TENANT, jobs[1]) == before
        np.testing.assert_array_equal(scores(other, jobs[1]), expected(200))
        following = other.create_job(TENANT, spec(other, steps=1)).id
        assert wait(other, following).state is JobState.SUCCEEDED
        helper.close()
    other.close()


def test_a_lease_runs_out_by_the_clock_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living, dead = control(tmp_path / "data", workers=0), control(tmp_path / "data", workers=0)
    Leases(dead._database, 3600.0, lambda *_: None).renew()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 10 * 86400)  # a jump of this machine's clock
    assert living._leases.take_over() == 0
    assert dead._database.server in living._leases.living()
    Leases(dead._database, 0.0, lambda *_: None).renew()
    living._leases.take_over()
    assert dead._database.server not in living._leases.living()
    living.close()
    dead.close()


def test_a_directory_is_not_shared_with_sqlite(tmp_path: Path) -> None:
    shared = control(tmp_path / "data")
    with pytest.raises(FailedPrecondition, match="in use by another mho server"):
        control(tmp_path / "data", database="")
    shared.close()


def test_the_database_goes_away_and_comes_back(tmp_path: Path, postgresql: Postgres) -> None:
    """Connections that break cost nothing but time."""
    server = control(tmp_path / "data")
    server.start()
    job = server.create_job(TENANT, spec(server, steps=150, pause=0.01)).id
    for at_least in (20, 60):
        until(lambda at=at_least: steps_done(server, job, at))
        postgresql.break_connections(tmp_path / "data")
    record = wait(server, job)
    assert record.state is JobState.SUCCEEDED
    np.testing.assert_array_equal(scores(server, job), expected(150))
    server.close()
