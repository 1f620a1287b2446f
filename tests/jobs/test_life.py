"""The life of jobs that nothing happens to, and of those that are stopped or fail."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from jobs.server import (
    TENANT,
    control,
    dataset,
    expected,
    model,
    scores,
    sha,
    spec,
    steps_done,
    until,
    upload,
    wait,
)
from mho.errors import FailedPrecondition, NotFound
from mho.jobs.control import Control
from mho.jobs.job import Attachment, EventKind, JobSpec, JobState
from mho.method import Progress

pytestmark = pytest.mark.usefixtures("each_database")


def folder_of(tmp_path: Path, job: str) -> list[str]:
    """What lies in a job's folder."""
    folder = tmp_path / "data" / "jobs" / job
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_job_runs(server: Control, tmp_path: Path) -> None:
    job = server.create_job(TENANT, spec(server, steps=40, pause=0.01, seed=3)).id
    events, seen = [], 0
    while not (events and events[-1].state.final):
        found = server.events(TENANT, job, seen, timeout=10.0)
        assert found, "no event within 10 s"
        events += found
        seen = found[-1].sequence
    sequences = [event.sequence for event in events]
    assert sequences == list(range(1, len(events) + 1))
    notes = [event.message for event in events if event.kind is EventKind.NOTE]
    assert notes == ["the toy was wound up"]
    states = [event.state for event in events if event.kind is EventKind.STATE]
    assert states == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
    done = [event.progress.done for event in events if event.progress is not None]
    assert done == sorted(done)
    assert done[-1] == 40
    assert len(done) < 10  # 0.4 s of steps at five reports a second
    record = server.get_job(TENANT, job)
    assert record.sequence == seen
    assert record.attempts == 1
    assert record.started is not None
    assert record.finished is not None
    assert record.created <= record.started <= record.finished
    np.testing.assert_array_equal(scores(server, job), expected(40, seed=3))
    until(lambda: folder_of(tmp_path, job) == ["result-1"])
    until(lambda: server.running() == 0)


def test_artifacts(shared: Control) -> None:
    server = shared
    job = server.create_job(TENANT, spec(server, steps=1)).id
    wait(server, job)
    artifacts = {artifact.name: artifact for artifact in server.artifacts(TENANT, job)}
    assert list(artifacts) == ["pictures/units.png", "result.json", "scores.npz"]
    for name, artifact in artifacts.items():
        content = server.artifact_path(TENANT, job, name).read_bytes()
        assert (artifact.size, artifact.sha256) == (len(content), sha(content))
    assert artifacts["pictures/units.png"].media_type == "image/png"
    assert artifacts["result.json"].media_type == "application/json"
    for name in ("../../mho.sqlite", "/etc/passwd", "result.json/", "./result.json", "", "none"):
        with pytest.raises(NotFound, match="no artifact"):
            server.artifact_path(TENANT, job, name)
    server.delete_job(TENANT, job)
    with pytest.raises(NotFound):
        server.artifacts(TENANT, job)


def test_what_options_name(shared: Control) -> None:
    server = shared
    wanted = spec(server, steps=1)
    other = dataset(server, wanted.model, b"reference data")
    attachments = {
        "groups": Attachment("groups.json", upload(server, b"{}")),
        "reference": Attachment(dataset=other),
    }
    job = server.create_job(
        TENANT, JobSpec(wanted.model, wanted.dataset, "toy", {"steps": 1}, attachments)
    ).id
    record = wait(server, job)
    assert record.spec.options["groups"] == "groups.json"
    summary = json.loads(server.artifact_path(TENANT, job, "result.json").read_bytes())
    assert summary == {"steps": 1, "attached": ["groups", "reference"], "data": 6}


def test_progress_is_bounded_and_replayed(server: Control) -> None:
    job = server.create_job(TENANT, spec(server, steps=1)).id
    wait(server, job)
    claimed = server.create_job(TENANT, spec(server, steps=10**9, pause=0.001)).id
    running = wait(server, claimed, JobState.RUNNING)
    for _ in range(200):
        server._queue.progressed(running, Progress(1, 2, "steps"))
    kept = server.events(TENANT, claimed, 0, 0.0)
    assert 64 <= len([event for event in kept if event.kind is EventKind.PROGRESS]) <= 66
    assert [event.state for event in kept if event.kind is EventKind.STATE] == [
        JobState.QUEUED,
        JobState.RUNNING,
    ]
    assert server.events(TENANT, claimed, kept[-3].sequence, 0.0)[:2] == kept[-2:]
    server.cancel_job(TENANT, claimed)
    wait(server, claimed)


def test_events_wake_those_who_wait(server: Control) -> None:
    job = server.create_job(TENANT, spec(server, steps=10**9, pause=0.01)).id
    wait(server, job, JobState.RUNNING)
    answers: list[float] = []

    def listen() -> None:
        seen = 0
        while True:
            found = server.events(TENANT, job, seen, timeout=20.0)
            seen = found[-1].sequence if found else seen
            if not found or found[-1].state.final:
                answers.append(time.monotonic())
                return

    listeners = [threading.Thread(target=listen) for _ in range(8)]
    for listener in listeners:
        listener.start()
    server.cancel_job(TENANT, job)
    for listener in listeners:
        listener.join(20.0)
    assert len(answers) == 8
    assert max(answers) - min(answers) < 2.0


def test_tenants_take_turns(server: Control) -> None:
    blocker = server.create_job(TENANT, spec(server, steps=10**9, pause=0.01)).id
    wait(server, blocker, JobState.RUNNING)
    order = []
    for tenant in (TENANT, TENANT, TENANT, "globex", "globex", "initech"):
        order.append((tenant, server.create_job(tenant, spec(server, tenant, steps=1)).id))
    server.cancel_job(TENANT, blocker)
    started = {
        wait(server, job, tenant=tenant).started: (tenant, number)
        for number, (tenant, job) in enumerate(order)
    }
    turns = [started[moment] for moment in sorted(started, key=float)]  # type: ignore[arg-type]
    for tenant in (TENANT, "globex", "initech"):
        own = [number for owner, number in turns if owner == tenant]
        assert own == sorted(own)
    # Before the tenant that came first has its second turn, all others have had one.
    assert turns.index((TENANT, 1)) > max(turns.index(("globex", 3)), turns.index(("initech", 5)))


def test_no_process_serves_two_tenants(server: Control) -> None:
    seen: dict[str, set[int]] = {}
    for number, tenant in enumerate((TENANT, "globex", TENANT, TENANT)):
        files = {"toy.onnx": upload(server, b"toy %d" % number, tenant)}
        record = server.create_model(tenant, display_name="", files=files, main="toy.onnx")
        job = server.create_job(tenant, spec(server, tenant, steps=1)).id
        done = wait(server, job, tenant=tenant)
        assert done.progress is not None
        inspector, worker = record.summary["pid"], int(done.progress.message.split()[1])
        assert inspector != worker
        seen.setdefault(tenant, set()).update((inspector, worker))
    assert not seen[TENANT] & seen["globex"]


# stopping


def test_cancel_while_queued(server: Control, tmp_path: Path) -> None:
    blocker = server.create_job(TENANT, spec(server, steps=10**9, pause=0.01)).id
    job = server.create_job(TENANT, spec(server, steps=1)).id
    wait(server, blocker, JobState.RUNNING)
    assert server.cancel_job(TENANT, job).state is JobState.CANCELLED
    assert folder_of(tmp_path, job) == []
    assert server.cancel_job(TENANT, blocker).cancelling
    assert wait(server, blocker).state is JobState.CANCELLED
    assert not server.get_job(TENANT, blocker).cancelling
    until(lambda: folder_of(tmp_path, blocker) == [])


def test_cancel_when_finished(shared: Control) -> None:
    server = shared
    job = server.create_job(TENANT, spec(server, steps=1)).id
    wait(server, job)
    with pytest.raises(FailedPrecondition, match="already ended"):
        server.cancel_job(TENANT, job)
    assert server.get_job(TENANT, job).state is JobState.SUCCEEDED


def test_cancel_kills_what_does_not_listen(
    server: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mho.jobs.attempt._STOP_SECONDS", 0.3)
    job = server.create_job(TENANT, spec(server, steps=10, behaviour="hang@2")).id
    until(lambda: steps_done(server, job, 1))
    server.cancel_job(TENANT, job)
    assert wait(server, job).state is JobState.CANCELLED
    following = server.create_job(TENANT, spec(server, steps=1)).id
    assert wait(server, following).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("behaviour", "reason", "words"),
    [
        ("mho@3", "TOO_EXPENSIVE", "the estimate is 10 h; choose fewer layers with layers"),
        ("raise@3", "INTERNAL", "its operator finds the details in the server's log"),
        ("memory@3", "RESOURCE_EXHAUSTED", "ran out of memory"),
        ("full@3", "RESOURCE_EXHAUSTED", "disk is full"),
        ("link@3", "INTERNAL", "neither file nor folder"),
    ],
)
def test_a_job_that_fails(
    shared: Control,
    caplog: pytest.LogCaptureFixture,
    behaviour: str,
    reason: str,
    words: str,
) -> None:
    server = shared
    job = server.create_job(TENANT, spec(server, steps=5, behaviour=behaviour)).id
    record = wait(server, job)
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.reason == reason
    assert words in record.error.message
    assert "secret" not in record.error.message
    assert ("RuntimeError: secret" in caplog.text) == (behaviour == "raise@3")
    assert record.attempts == 1
    until(lambda: not server._layout.job(job).exists())
    with pytest.raises(FailedPrecondition, match="no result: it is FAILED"):
        server.artifacts(TENANT, job)
    following = server.create_job(TENANT, spec(server, steps=1)).id
    assert wait(server, following).state is JobState.SUCCEEDED


# draining


def test_a_drained_job_goes_on_where_it_was(tmp_path: Path) -> None:
    first = control(tmp_path / "data", checkpoint_seconds=3600.0)
    first.start()
    job = first.create_job(TENANT, spec(first, steps=60, pause=0.01)).id
    waiting = first.create_job(TENANT, spec(first, steps=1)).id
    until(lambda: steps_done(first, job, 10))
    first.drain(20.0)
    assert first.running() == 0
    record = first.get_job(TENANT, job)
    assert record.state is JobState.QUEUED
    assert first.get_job(TENANT, waiting).attempts == 0
    assert folder_of(tmp_path, job) == ["checkpoint-1.npz"]
    first.close()

    second = control(tmp_path / "data", checkpoint_seconds=3600.0)
    second.start()
    record = wait(second, job)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
    notes = [e.message for e in second.events(TENANT, job, 0, 0.0) if e.kind is EventKind.NOTE]
    assert notes[0] == "the toy was wound up"
    assert int(notes[1].removeprefix("resumed after ").removesuffix(" steps")) >= 10
    assert len(notes) == 2
    np.testing.assert_array_equal(scores(second, job), expected(60))
    assert wait(second, waiting).state is JobState.SUCCEEDED
    second.close()


def test_draining_waits_no_longer_than_told(tmp_path: Path) -> None:
    server = control(tmp_path / "data")
    server.start()
    job = server.create_job(TENANT, spec(server, steps=10, behaviour="hang@2")).id
    until(lambda: steps_done(server, job, 1))
    begun = time.monotonic()
    server.drain(0.5)
    assert time.monotonic() - begun < 5.0
    assert server.get_job(TENANT, job).state is JobState.QUEUED
    server.close()


def test_closing_puts_jobs_back(tmp_path: Path) -> None:
    server = control(tmp_path / "data")
    server.start()
    model(server)
    job = server.create_job(TENANT, spec(server, steps=10**9, pause=0.01)).id
    until(lambda: steps_done(server, job, 1))
    begun = time.monotonic()
    server.close()
    server.close()  # again is no error
    assert time.monotonic() - begun < 5.0
    again = control(tmp_path / "data")
    assert again.get_job(TENANT, job).state is JobState.QUEUED
    again.close()
