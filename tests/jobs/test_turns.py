"""Workers shared among tenants, with worker processes that do nothing but take their time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jobs.server import control, expected, spec, until, wait
from mho.jobs.control import Control
from mho.jobs.job import JobState


def started(folder: Path, **changes: object) -> Control:
    server = control(folder / "data", **changes)
    server.start()
    return server


def test_a_flood_of_long_jobs_gives_way_and_loses_nothing(tmp_path: Path) -> None:
    server = started(tmp_path, workers=2, turn_seconds=0.2)
    flood = [
        server.create_job("flood", spec(server, "flood", steps=400, pause=0.01, seed=seed)).id
        for seed in range(2)
    ]
    until(lambda: server.running() == 2)
    # Each of the flood's jobs would take four seconds; this one is done meanwhile.
    quiet = server.create_job("quiet", spec(server, "quiet", steps=5)).id
    assert wait(server, quiet, tenant="quiet").state is JobState.SUCCEEDED
    told = [
        event.message
        for job in flood
        for event in server.events("flood", job, 0, 0.0)
        if event.state is JobState.QUEUED
    ]
    assert any("another tenant's turn" in message for message in told)
    for seed, job in enumerate(flood):
        record = wait(server, job, tenant="flood")
        assert record.state is JobState.SUCCEEDED
        with np.load(server.artifact_path("flood", job, "scores.npz")) as arrays:
            np.testing.assert_array_equal(arrays["layer"], expected(400, seed))
    server.close()


def test_without_turns_nobody_is_interrupted(tmp_path: Path) -> None:
    server = started(tmp_path, turn_seconds=0.0)
    long = server.create_job("flood", spec(server, "flood", steps=100, pause=0.01)).id
    until(lambda: server.running() == 1)
    quiet = server.create_job("quiet", spec(server, "quiet", steps=5)).id
    assert wait(server, quiet, tenant="quiet").state is JobState.SUCCEEDED
    record = server.get_job("flood", long)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 1)
    server.close()


def test_a_job_that_has_not_got_further_does_not_give_way(tmp_path: Path) -> None:
    server = started(tmp_path, turn_seconds=0.1, checkpoint_seconds=1000.0)
    long = server.create_job("flood", spec(server, "flood", steps=100, pause=0.01)).id
    until(lambda: server.running() == 1)
    quiet = server.create_job("quiet", spec(server, "quiet", steps=5)).id
    wait(server, quiet, tenant="quiet")
    assert server.get_job("flood", long).attempts == 1
    server.close()


def test_one_tenant_alone_is_never_interrupted(tmp_path: Path) -> None:
    server = started(tmp_path, turn_seconds=0.1)
    jobs = [
        server.create_job("solo", spec(server, "solo", steps=80, pause=0.01, seed=seed)).id
        for seed in range(2)
    ]
    assert [wait(server, job, tenant="solo").attempts for job in jobs] == [1, 1]
    server.close()
