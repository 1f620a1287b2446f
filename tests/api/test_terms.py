"""Priority, deadline and labels over the wire, and what of them is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from api.running import PARENT, Running, failure
from mho_client import Client, JobFailed
from mho_client.v1 import jobs_pb2


def create(server: Running, spec: jobs_pb2.JobSpec) -> jobs_pb2.Job:
    return server.jobs.CreateJob(jobs_pb2.CreateJobRequest(parent=PARENT, spec=spec))


def test_the_terms_of_a_job_come_back(server: Running) -> None:
    spec = server.spec()
    spec.priority = jobs_pb2.JOB_PRIORITY_HIGH
    spec.deadline.FromDatetime(datetime(2999, 1, 2, 3, 4, 5, 678900, UTC))
    spec.labels["example.com/run"] = "1"
    job = create(server, spec)
    assert job.spec.priority == jobs_pb2.JOB_PRIORITY_HIGH
    assert job.spec.deadline == spec.deadline
    assert dict(job.spec.labels) == {"example.com/run": "1"}
    plain = create(server, server.spec())
    assert plain.spec.priority == jobs_pb2.JOB_PRIORITY_NORMAL
    assert not plain.spec.HasField("deadline")
    request = jobs_pb2.ListJobsRequest(parent=PARENT, labels={"example.com/run": "1"})
    assert [found.name for found in server.jobs.ListJobs(request).jobs] == [job.name]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"priority": 99}, "spec.priority"),
        ({"deadline": Timestamp(seconds=1)}, "spec.deadline"),
        ({"deadline": Timestamp(seconds=2**62)}, "spec.deadline"),
        ({"deadline": Timestamp(seconds=1, nanos=-1)}, "spec.deadline"),
        ({"labels": {"": ""}}, "spec.labels"),
        ({"labels": {"key": "not one"}}, "spec.labels[key]"),
    ],
)
def test_terms_that_cannot_be_kept(server: Running, terms: dict[str, Any], field: str) -> None:
    spec = server.spec()
    spec.MergeFrom(jobs_pb2.JobSpec(**terms))
    code, _, details = failure(lambda: create(server, spec))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert [entry.field for entry in details["BadRequest"].field_violations] == [field]


def test_a_watch_tells_that_the_deadline_has_passed(server: Running) -> None:
    spec = server.spec("steps=10000", "pause=0.01")
    spec.deadline.FromMicroseconds(round((time.time() + 1.0) * 1e6))
    last = server.ended(create(server, spec).name)[-1]
    assert last.state == jobs_pb2.JOB_STATE_FAILED
    assert last.error.reason == "DEADLINE_EXCEEDED"


def test_the_python_client_gives_terms(server: Running) -> None:
    dataset = server.dataset()
    with Client(server.address) as client:
        job = client.submit(
            "activation",
            dataset.model,
            dataset.name,
            layers=["steps=10000", "pause=0.01"],
            priority="low",
            deadline=timedelta(seconds=1.5),
            labels={"by": "client"},
        )
        status = job.status()
        assert (status.priority, status.labels) == ("LOW", {"by": "client"})
        assert status.deadline is not None
        with pytest.raises(JobFailed) as caught:
            job.wait()
        assert caught.value.reason == "DEADLINE_EXCEEDED"
        assert [found.name for found in client.jobs(labels={"by": "client"})] == [job.name]
        with pytest.raises(Exception, match="no time zone"):
            client.submit("activation", dataset.model, dataset.name, deadline=datetime(2999, 1, 1))
