from __future__ import annotations

import threading
import time
from pathlib import Path

import grpc
import pytest

from api.running import Running, failure, running
from mho.jobs.job import Event, JobState
from mho_client.v1 import jobs_pb2


def watch(server: Running, name: str, after: int = 0) -> list[jobs_pb2.JobEvent]:
    request = jobs_pb2.WatchJobRequest(name=name, resume_sequence=after)
    return list(server.jobs.WatchJob(request, timeout=60))


def test_a_watch_tells_the_life_of_a_job(server: Running) -> None:
    events = watch(server, server.job("steps=5", "pause=0.05").name)
    sequences = [event.sequence for event in events]
    assert sequences == sorted(set(sequences))
    states = [event.state for event in events if event.kind == jobs_pb2.JobEvent.KIND_STATE]
    assert states == [
        jobs_pb2.JOB_STATE_QUEUED,
        jobs_pb2.JOB_STATE_RUNNING,
        jobs_pb2.JOB_STATE_SUCCEEDED,
    ]
    notes = [event.message for event in events if event.kind == jobs_pb2.JobEvent.KIND_NOTE]
    assert "engine finite_difference: a toy has no gradient" in notes
    progress = [event.progress for event in events if event.HasField("progress")]
    assert progress
    assert {entry.unit for entry in progress} == {"steps"}
    assert all(event.time.seconds > 1_700_000_000 for event in events)


def test_a_watch_resumes_after_what_was_seen(server: Running) -> None:
    name = server.job().name
    events = watch(server, name)
    assert watch(server, name) == events
    for event in events:
        assert watch(server, name, event.sequence) == [
            later for later in events if later.sequence > event.sequence
        ]
    assert watch(server, name, 10**9) == []


def test_the_last_event_of_a_failed_job_says_why(server: Running) -> None:
    events = watch(server, server.job("fail").name)
    assert events[-1].state == jobs_pb2.JOB_STATE_FAILED
    error = events[-1].error
    assert (error.reason, error.subject) == ("TOO_EXPENSIVE", "layers")
    assert "10 h" in error.message
    assert not events[0].HasField("error")


def test_a_job_that_ends_while_its_watch_looks_loses_no_event(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = server.control
    look = control.news

    def news(tenant: str, job: str, after: int) -> tuple[list[Event], JobState]:
        found, state = look(tenant, job, after)
        while not found and not control.get_job(tenant, job).state.final:
            time.sleep(0.01)  # what was read is old before it is used
        return found, state

    monkeypatch.setattr(control, "news", news)
    for _ in range(3):
        events = watch(server, server.job("steps=3", "pause=0.1").name)
        assert events[-1].state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_events_arrive_while_they_happen(server: Running) -> None:
    name = server.job("steps=100", "pause=0.05").name
    call = server.jobs.WatchJob(jobs_pb2.WatchJobRequest(name=name), timeout=60)
    for event in call:
        if event.HasField("progress") and event.progress.done >= 1:
            break
    job = server.jobs.GetJob(jobs_pb2.GetJobRequest(name=name))
    assert job.state == jobs_pb2.JOB_STATE_RUNNING  # it takes five seconds
    assert event.state == jobs_pb2.JOB_STATE_RUNNING
    call.cancel()
    server.jobs.CancelJob(jobs_pb2.CancelJobRequest(name=name))


def test_many_watch_at_once(server: Running) -> None:
    name = server.job("steps=10", "pause=0.05").name
    seen: list[list[jobs_pb2.JobEvent]] = []
    threads = [threading.Thread(target=lambda: seen.append(watch(server, name))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 20
    assert {events[-1].state for events in seen} == {jobs_pb2.JOB_STATE_SUCCEEDED}


def test_a_watch_that_makes_no_sense_is_refused(server: Running) -> None:
    assert failure(lambda: watch(server, "tenants/default/jobs/none"))[0] == (
        grpc.StatusCode.NOT_FOUND
    )
    code, _, details = failure(lambda: watch(server, server.job().name, -1))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details["BadRequest"].field_violations[0].field == "resume_sequence"


def test_draining_ends_watches_with_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        name = server.job("steps=200", "pause=0.05").name
        call = server.jobs.WatchJob(jobs_pb2.WatchJobRequest(name=name), timeout=60)
        events = [next(call), next(call)]
        started = time.monotonic()
        server.stop(grace=20)
        assert time.monotonic() - started < 5
        with pytest.raises(grpc.RpcError) as caught:
            events.extend(call)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert f"resume_sequence {events[-1].sequence}" in caught.value.details()
