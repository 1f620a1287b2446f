"""Spans of real calls and jobs, collected in memory."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from api.running import PARENT, Running, failure, running
from jobs.server import TENANT, control, spec, until, wait
from mho.config import Settings
from mho.errors import InvalidOption
from mho.telemetry import spans, trace
from mho_client.v1 import jobs_pb2, models_pb2

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    with spans.collected(SimpleSpanProcessor(kept)):
        yield kept


@pytest.fixture
def server(tmp_path: Path, exporter: InMemorySpanExporter) -> Iterator[Running]:
    with running(tmp_path / "data") as started:
        yield started


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def the(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = until(lambda: named(exporter, name), f"a span {name}")
    return span


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """(trace, parent, own id) in hexadecimal."""
    assert span.context is not None
    parent = "" if span.parent is None else format(span.parent.span_id, "016x")
    return format(span.context.trace_id, "032x"), parent, format(span.context.span_id, "016x")


def test_a_job_hangs_on_the_call_that_made_it(
    server: Running, exporter: InMemorySpanExporter
) -> None:
    asked = jobs_pb2.CreateJobRequest(parent=PARENT, spec=server.spec("steps=8", "pause=0.05"))
    name = server.jobs.CreateJob(asked, metadata=[("traceparent", CALLER)]).name
    server.ended(name)
    _, caller_trace, caller_span, _ = CALLER.split("-")

    call = the(exporter, "mho.v1.Jobs/CreateJob")
    assert call.kind is SpanKind.SERVER
    assert ids(call)[:2] == (caller_trace, caller_span)

    job, attempt = the(exporter, "job"), the(exporter, "attempt")
    queue = the(exporter, "queue")
    assert ids(job)[:2] == (caller_trace, ids(call)[2])
    assert ids(queue)[:2] == ids(attempt)[:2] == (caller_trace, ids(job)[2])
    assert job.attributes == {
        "mho.job": name.rsplit("/", 1)[1],
        "mho.tenant": "default",
        "mho.method": "activation",
        "mho.state": "SUCCEEDED",
        "mho.attempts": 1,
    }
    checkpoints, steps = named(exporter, "checkpoint"), named(exporter, "steps")
    assert checkpoints
    assert len(steps) == len(checkpoints) + 1
    assert {ids(span)[:2] for span in (*checkpoints, *steps)} == {(caller_trace, ids(attempt)[2])}
    for span in (*checkpoints, *steps, queue, attempt, job):
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time
    assert job.status.is_ok or job.status.is_unset


def test_a_call_without_a_caller_is_a_trace_of_its_own(
    server: Running, exporter: InMemorySpanExporter
) -> None:
    ask = models_pb2.ListModelsRequest(parent=PARENT)
    server.models.ListModels(ask, metadata=[("traceparent", "00-0-0-01")])
    assert ids(the(exporter, "mho.v1.Models/ListModels"))[1] == ""


def test_only_a_fault_of_the_server_is_an_error(
    server: Running, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure(lambda: server.jobs.GetJob(jobs_pb2.GetJobRequest(name=f"{PARENT}/jobs/none")))
    assert the(exporter, "mho.v1.Jobs/GetJob").status.is_unset

    def broken(*args: object, **kwargs: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(server.control, "list_jobs", broken)
    failure(lambda: server.jobs.ListJobs(jobs_pb2.ListJobsRequest(parent=PARENT)))
    assert the(exporter, "mho.v1.Jobs/ListJobs").status.description == "INTERNAL"


def test_a_lost_attempt_is_an_error_and_the_next_has_the_same_parent(
    tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    server = control(tmp_path / "data")
    server.start()
    try:
        call = spans.begin_call("a call", "")
        job = server.create_job(TENANT, spec(server, behaviour="once-crash@2")).id
        call.end()
        wait(server, job)
        attempts = until(lambda: len(found := named(exporter, "attempt")) == 2 and found)
    finally:
        server.close()
        spans._current.set("")
    assert [span.status.description for span in attempts] == ["signal 9", None]
    assert {ids(span)[1] for span in attempts} == {ids(the(exporter, "job"))[2]}
    assert len(named(exporter, "queue")) == 1


def test_the_log_names_the_trace_though_nobody_collects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with running(tmp_path / "data") as server:
        asked = jobs_pb2.CreateJobRequest(parent=PARENT, spec=server.spec())
        name = server.jobs.CreateJob(asked, metadata=[("traceparent", CALLER)]).name
        server.ended(name)
        record = server.control.get_job("default", name.rsplit("/", 1)[1])
    assert trace.trace_of(record.trace) == CALLER.split("-")[1]
    (line,) = [
        r
        for r in caplog.records
        if r.name == "mho.access" and vars(r)["call"].endswith("CreateJob")
    ]
    assert vars(line)["trace"] == CALLER.split("-")[1]


def test_without_an_endpoint_nothing_is_imported() -> None:
    code = (
        "import sys; from mho.config import Settings; import mho.app\n"
        "from mho.telemetry import spans\n"
        "with spans.exported(Settings()):\n"
        "    spans.begin_call('x', '').end()\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_endpoint_must_be_a_url_and_the_extra_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(InvalidOption, match="give the URL of a collector"),
        spans.exported(Settings(otel_endpoint="localhost:4317")),
    ):
        pass
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with (
        pytest.raises(InvalidOption, match=r"pip install 'mho\[otel\]'"),
        spans.exported(Settings(otel_endpoint="http://127.0.0.1:4317")),
    ):
        pass


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        CALLER.upper(),
        CALLER + "-more",
        CALLER + "\n",
    ],
)
def test_what_is_no_context_is_not_taken(text: str) -> None:
    assert trace.accepted(text) == ""
    assert trace.accepted(CALLER) == CALLER


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(self, request: Any, context: object) -> Any:
        self.names += [
            span.name
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return trace_service_pb2.ExportTraceServiceResponse()


def test_spans_reach_a_collector() -> None:
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with spans.exported(Settings(otel_endpoint=f"http://127.0.0.1:{port}")):
            spans.begin("a span", "").end()
        assert collector.names == ["a span"]
    finally:
        server.stop(0)


def test_a_collector_that_is_away_holds_nobody_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with spans.exported(Settings(otel_endpoint="http://127.0.0.1:1")):
        spans.begin("a span", "").end()
    assert "opentelemetry" in {record.name.split(".")[0] for record in caplog.records}
