"""Every call is one line in the log, and what is logged on its behalf carries its name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from api.running import PARENT, Running, failure, running
from api.test_server import reflected
from jobs.server import until
from mho_client.v1 import catalog_pb2, jobs_pb2, models_pb2

Ended = Callable[[str], logging.LogRecord]


@pytest.fixture
def ended(caplog: pytest.LogCaptureFixture) -> Ended:
    """The record of the last call of a name, once it is there."""
    caplog.set_level(logging.DEBUG)

    def find(call: str) -> logging.LogRecord | None:
        found = [r for r in caplog.records if r.name == "mho.access" and vars(r)["call"] == call]
        return found[-1] if found else None

    return lambda call: until(lambda: find(call), f"a record of {call}")


def told(record: logging.LogRecord) -> dict[str, Any]:
    return {name: vars(record).get(name) for name in ("status", "tenant", "level")} | {
        "level": record.levelname
    }


def test_a_call_is_told(server: Running, ended: Ended) -> None:
    server.models.ListModels(models_pb2.ListModelsRequest(parent=PARENT))
    record = ended("mho.v1.Models/ListModels")
    assert told(record) == {"status": "OK", "tenant": "default", "level": "INFO"}
    assert vars(record)["ms"] >= 0
    assert vars(record)["peer"].startswith(("ipv4:127.0.0.1:", "ipv6:"))


def test_a_refused_call_is_told_with_its_status(server: Running, ended: Ended) -> None:
    failure(lambda: server.jobs.GetJob(jobs_pb2.GetJobRequest(name=f"{PARENT}/jobs/none")))
    assert told(ended("mho.v1.Jobs/GetJob"))["status"] == "NOT_FOUND"


def test_a_cancelled_watch_is_told(server: Running, ended: Ended) -> None:
    name = server.job("steps=1000", "pause=0.05").name
    watch = server.jobs.WatchJob(jobs_pb2.WatchJobRequest(name=name))
    next(iter(watch))
    watch.cancel()
    server.jobs.CancelJob(jobs_pb2.CancelJobRequest(name=name))
    assert told(ended("mho.v1.Jobs/WatchJob"))["status"] == "CANCELLED"


def test_health_checks_whisper(server: Running, ended: Ended) -> None:
    health_pb2_grpc.HealthStub(server.channel).Check(health_pb2.HealthCheckRequest())
    assert told(ended("grpc.health.v1.Health/Check"))["level"] == "DEBUG"


def test_reflection_passes(server: Running, ended: Ended) -> None:
    reflected(server.channel, list_services="")
    record = ended("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    assert told(record)["status"] in ("OK", "CANCELLED")


def test_a_call_that_is_not_served_is_told(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    call = server.channel.unary_unary("/mho.v1.Jobs/Nonsense")
    with pytest.raises(grpc.RpcError):
        call(b"")
    until(lambda: "a call that is not served: 'mho.v1.Jobs/Nonsense'" in caplog.text)


def test_an_incident_carries_call_and_tenant(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mho.telemetry.about import fields

    seen: list[object] = []

    def broken(*args: object, **kwargs: object) -> None:
        seen.append(dict(fields()))
        raise ValueError("no")

    monkeypatch.setattr(server.control, "list_jobs", broken)
    failure(lambda: server.jobs.ListJobs(jobs_pb2.ListJobsRequest(parent=PARENT)))
    assert [each | {"trace": ""} for each in seen] == [
        {"call": "mho.v1.Jobs/ListJobs", "tenant": "default", "trace": ""}
    ]


def test_a_model_in_question_is_logged_with_its_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mho.telemetry.about import fields

    seen: list[object] = []
    with running(tmp_path / "data") as server:
        inspectors = server.control._inspectors
        answer = inspectors._answer
        monkeypatch.setattr(
            inspectors,
            "_answer",
            lambda *given: (seen.append(dict(fields())), answer(*given))[1],
        )
        server.model()
        server.methods.ListMethods(catalog_pb2.ListMethodsRequest())
    assert [each | {"trace": ""} for each in seen] == [
        {"call": "mho.v1.Models/CreateModel", "tenant": "default", "trace": ""}
    ]
