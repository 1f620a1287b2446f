"""Every domain error becomes its status with details; nothing else leaves the server."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2

from mho import errors as domain
from mho.api import departures
from mho.api.errors import CODES, status_of
from mho.api.guard import Guard
from mho_client.v1 import jobs_pb2


def details(status: object) -> dict[str, object]:
    found = {}
    for detail in status.details:  # type: ignore[attr-defined]
        kind = getattr(error_details_pb2, detail.type_url.rsplit(".", 1)[1])
        found[kind.DESCRIPTOR.name] = kind.FromString(detail.value)
    return found


@pytest.mark.parametrize(
    ("kind", "code", "detail"),
    [
        (domain.InvalidModel, code_pb2.INVALID_ARGUMENT, "BadRequest"),
        (domain.InvalidData, code_pb2.INVALID_ARGUMENT, "BadRequest"),
        (domain.InvalidOption, code_pb2.INVALID_ARGUMENT, "BadRequest"),
        (domain.UnknownLayer, code_pb2.INVALID_ARGUMENT, "BadRequest"),
        (domain.Unsupported, code_pb2.FAILED_PRECONDITION, "PreconditionFailure"),
        (domain.TooExpensive, code_pb2.FAILED_PRECONDITION, "PreconditionFailure"),
        (domain.FailedPrecondition, code_pb2.FAILED_PRECONDITION, "PreconditionFailure"),
        (domain.ResourceExhausted, code_pb2.RESOURCE_EXHAUSTED, "QuotaFailure"),
        (domain.NotFound, code_pb2.NOT_FOUND, "ResourceInfo"),
        (domain.AlreadyExists, code_pb2.ALREADY_EXISTS, "ResourceInfo"),
        (domain.Cancelled, code_pb2.CANCELLED, ""),
        (domain.WorkerCrashed, code_pb2.ABORTED, ""),
    ],
)
def test_code_reason_and_detail(kind: type[domain.MhoError], code: int, detail: str) -> None:
    status = status_of(kind("the thing is so", subject="thing"))
    assert (status.code, status.message) == (code, "the thing is so")
    found = details(status)
    info = found.pop("ErrorInfo")
    assert (info.reason, info.domain) == (kind.reason, "mho")  # type: ignore[attr-defined]
    assert info.metadata["subject"] == "thing"  # type: ignore[attr-defined]
    assert list(found) == ([detail] if detail else [])
    if detail == "BadRequest":
        (violation,) = found["BadRequest"].field_violations  # type: ignore[attr-defined]
        assert (violation.field, violation.description) == ("thing", "the thing is so")


def test_every_domain_error_has_a_code() -> None:
    for kind in domain.MhoError.__subclasses__():
        assert status_of(kind("x")).code != code_pb2.INTERNAL, kind


def test_a_server_that_stops_is_unavailable() -> None:
    error = domain.Unavailable("the server is stopping", subject="server", retry_seconds=1.5)
    status = status_of(error)
    assert status.code == code_pb2.UNAVAILABLE
    assert details(status)["RetryInfo"].retry_delay.ToMilliseconds() == 1500


def test_every_reason_has_a_status() -> None:
    kinds = domain.MhoError.__subclasses__()
    assert {kind.reason for kind in kinds} == set(CODES)


def test_a_missing_resource_is_named() -> None:
    request = jobs_pb2.GetJobRequest(name="tenants/default/jobs/x")
    info = details(status_of(domain.NotFound("none", subject="job"), "", request))["ResourceInfo"]
    assert (info.resource_type, info.resource_name) == ("job", request.name)


def test_an_unknown_exception_leaves_an_incident_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "mho.api"):
        status = status_of(ValueError("/etc/secret"), "/mho.v1.Jobs/GetJob")
    assert status.code == code_pb2.INTERNAL
    assert "secret" not in str(status)
    info = details(status)["ErrorInfo"]
    incident = info.metadata["incident"]  # type: ignore[attr-defined]
    assert incident in status.message
    assert incident in caplog.text
    assert "/etc/secret" in caplog.text


def test_a_long_message_fits_into_the_metadata_that_clients_accept() -> None:
    status = status_of(domain.UnknownLayer("ö" * 100_000, subject="層" * 10_000))
    assert status.message.endswith("ö…")
    assert len(status.message.encode()) * 3 + len(status.SerializeToString()) * 4 / 3 < 8192


def test_an_answer_that_nobody_takes_is_a_call_cancelled_and_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def gone(request: object, context: object) -> None:
        raise grpc.aio.InternalError("Failed to write")

    async def found(details: object) -> grpc.RpcMethodHandler:
        return grpc.unary_stream_rpc_method_handler(gone)

    async def called() -> None:
        details = SimpleNamespace(method="/mho.v1.Jobs/WatchJob")
        handler = await Guard().intercept_service(found, details)
        await handler.unary_stream(jobs_pb2.WatchJobRequest(), None)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(called())
    assert not caplog.records


def test_grpc_logs_no_traceback_where_a_caller_left_before_its_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    departures.leave_out_of_the_log()
    kind = type("ExecuteBatchError", (Exception,), {})
    logger = logging.getLogger("grpc._cython.cygrpc")
    for error in (kind("gone"), ValueError("a fault")):
        try:
            raise error
        except Exception:
            logger.exception("raised by a servicer")
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]
