"""Calls under way at the same time are limited, of a tenant and of all; health never is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from api.running import PARENT, Calls, Running, failure, running
from jobs.server import until
from mho_client import Client
from mho_client.v1 import blobs_pb2, models_pb2


@contextmanager
def holding(server: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """ListModels is answered only when the semaphore lets it; counts those that came in."""
    entered, leave = threading.Semaphore(0), threading.Event()
    list_models = server.control.list_models

    def wait(*args: Any, **kwargs: Any) -> Any:
        entered.release()
        assert leave.wait(30)
        return list_models(*args, **kwargs)

    monkeypatch.setattr(server.control, "list_models", wait)
    try:
        yield entered
    finally:
        leave.set()


def ask(calls: Calls) -> models_pb2.ListModelsResponse:
    return calls.models.ListModels(models_pb2.ListModelsRequest(parent=calls.parent), timeout=60)


@contextmanager
def upload_open(calls: Calls) -> Iterator[Any]:
    """An upload that has begun and says nothing more until it is cancelled."""
    begun, ended = threading.Event(), threading.Event()

    def requests() -> Iterator[blobs_pb2.UploadBlobRequest]:
        yield blobs_pb2.UploadBlobRequest(
            begin=blobs_pb2.UploadBlobRequest.Begin(
                parent=calls.parent, sha256="0" * 64, size_bytes=8
            )
        )
        begun.set()
        ended.wait(30)

    call = calls.blobs.UploadBlob.future(requests(), timeout=60)
    assert begun.wait(30)
    try:
        yield call
    finally:
        ended.set()
        call.cancel()


def test_a_tenant_has_so_many_calls_and_health_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running(tmp_path / "data", workers=0, quota_concurrent_calls=2) as server,
        ThreadPoolExecutor(2) as pool,
    ):
        with holding(server, monkeypatch) as entered:
            waiting = [pool.submit(ask, server) for _ in range(2)]
            assert all(entered.acquire(timeout=30) for _ in waiting)
            code, status, details = failure(lambda: ask(server))
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "2 calls of tenant 'default'" in status.message
            (violation,) = details["QuotaFailure"].violations
            assert violation.subject == "tenants/default/concurrent_calls"
            assert details["ErrorInfo"].reason == "QUOTA_EXCEEDED"
            assert details["RetryInfo"].retry_delay.ToMilliseconds() == 1000
            health = health_pb2_grpc.HealthStub(server.channel)
            answer = health.Check(health_pb2.HealthCheckRequest(service=""))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            with upload_open(server) as stream:  # streams are counted apart
                assert not stream.done()
        for each in waiting:
            each.result(30)
        until(lambda: ask(server) is not None, "a place that is free again")


def test_the_server_has_so_many_calls_and_the_client_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running(tmp_path / "data", workers=0, max_calls=1) as server,
        ThreadPoolExecutor(2) as pool,
        Client(server.address) as client,
    ):
        with holding(server, monkeypatch) as entered:
            waiting = pool.submit(ask, server)
            assert entered.acquire(timeout=30)
            code, _, details = failure(lambda: ask(server))
            assert code == grpc.StatusCode.UNAVAILABLE
            assert details["ErrorInfo"].metadata["subject"] == "calls"
            assert details["RetryInfo"].retry_delay.ToMilliseconds() == 1000
            later = pool.submit(lambda: list(client.models()))
        waiting.result(30)
        assert later.result(30) == []


def test_a_tenant_has_so_many_streams(tmp_path: Path) -> None:
    with running(tmp_path / "data", workers=0, quota_concurrent_streams=1) as server:
        with upload_open(server):
            refused = until(lambda: _refusal_of_upload(server), "a second upload that is refused")
            assert refused == "tenants/default/concurrent_streams"
            assert list(ask(server).models) == []
        until(lambda: _refusal_of_upload(server) is None, "a stream that is free again")


def test_an_upload_that_stalls_is_ended_and_its_place_is_free(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"stalled_seconds": 2.0, "quota_concurrent_streams": 1}
    with (
        running(tmp_path / "data", workers=0, **changes) as server,
        upload_open(server) as stream,
    ):
        code, status, _ = failure(lambda: stream.result(30))
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "stalled_seconds" in status.message
        assert _refusal_of_upload(server) is None


def _refusal_of_upload(server: Running) -> str | None:
    """Whose limit an upload meets; None where it meets none."""
    begin = blobs_pb2.UploadBlobRequest.Begin(parent=PARENT, sha256="1" * 64, size_bytes=8)
    requests = [blobs_pb2.UploadBlobRequest(begin=begin)]
    call = server.blobs.UploadBlob.future(iter(requests), timeout=60)
    if call.exception() is None:
        return None
    _, _, details = failure(call.result)
    return str(details["QuotaFailure"].violations[0].subject)
