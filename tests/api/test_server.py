"""The server as a process among others: where it listens, what it refuses, how it goes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from api.running import PARENT, Running, failure, running
from mho.api.address import listening_host
from mho.api.server import SERVICES
from mho.config import Settings
from mho.errors import InvalidOption
from mho_client.v1 import blobs_pb2, catalog_pb2, jobs_pb2, models_pb2


def reflected(channel: grpc.Channel, **request: str) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(**request)
    return next(iter(stub.ServerReflectionInfo(iter([asked]))))


def health(channel: grpc.Channel, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=service)).status


def test_every_service_is_healthy_and_reflected(server: Running) -> None:
    for service in ("", *SERVICES):
        assert health(server.channel, service) == health_pb2.HealthCheckResponse.SERVING
    listed = reflected(server.channel, list_services="").list_services_response.service
    assert {entry.name for entry in listed} >= set(SERVICES)
    answer = reflected(server.channel, file_containing_symbol="mho.v1.Jobs")
    assert answer.file_descriptor_response.file_descriptor_proto


def test_reflection_can_be_switched_off(tmp_path: Path) -> None:
    with running(tmp_path / "data", reflection=False) as server:
        code = failure(lambda: reflected(server.channel, list_services=""))[0]
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert health(server.channel) == health_pb2.HealthCheckResponse.SERVING


def test_draining_says_not_serving(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        watch = health_pb2_grpc.HealthStub(server.channel).Watch(
            health_pb2.HealthCheckRequest(), timeout=30
        )
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.stop(grace=0.5)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        code = failure(lambda: server.methods.ListMethods(catalog_pb2.ListMethodsRequest()))[0]
        assert code == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_is_allowed(host: str) -> None:
    assert listening_host(Settings(host=host)).strip("[]") == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.1", "8.8.8.8"])
def test_others_reach_the_server_by_tls_and_authentication_only(host: str) -> None:
    tls = {"tls_certificate": "c", "tls_key": "k"}
    for changes, says in (
        ({}, r"no TLS .* and no authentication"),
        ({"tenants_file": "t"}, "no TLS"),
        ({"jwt_keys_file": "j"}, "no TLS"),
        (tls, "no authentication"),
        (tls | {"tls_client_ca": "a"}, "no authentication"),
    ):
        with pytest.raises(InvalidOption, match=says) as caught:
            listening_host(Settings(host=host, **changes))
        assert caught.value.subject == "host"
        assert "127.0.0.1" in caught.value.message
    if host:
        assert listening_host(Settings(host=host, tenants_file="t", **tls)).strip("[]") == host


def test_half_of_a_tls_setting_is_refused() -> None:
    for changes, missing in (
        ({"tls_certificate": "c"}, "tls_key"),
        ({"tls_key": "k"}, "tls_certificate"),
        ({"tls_client_ca": "a"}, "tls_certificate"),
    ):
        with pytest.raises(InvalidOption, match=missing) as caught:
            listening_host(Settings(**changes))
        assert caught.value.subject == missing


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidOption, match="stands for no address"):
        listening_host(Settings(host="not a host"))


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(InvalidOption, match=f"port {port} of 127"),
            running(tmp_path / "data", port=port),
        ):
            pass


def test_two_servers_do_not_share_a_port(server: Running, tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidOption, match="cannot be had"),
        running(tmp_path / "data", port=server.port),
    ):
        pass


def test_large_requests_and_metadata_are_refused(server: Running) -> None:
    request = blobs_pb2.UploadBlobRequest(chunk=bytes(7 * 2**20))
    code = failure(lambda: server.blobs.UploadBlob(iter([request])))[0]
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    code = failure(
        lambda: server.methods.ListMethods(
            catalog_pb2.ListMethodsRequest(), metadata=[("padding", "x" * 65536)]
        )
    )[0]
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert health(server.channel) == health_pb2.HealthCheckResponse.SERVING


def test_bytes_that_are_no_message_are_refused(server: Running) -> None:
    def sent(call: str, *messages: bytes) -> object:
        kind = "stream_unary" if call == "Blobs/UploadBlob" else "unary_unary"
        multi = getattr(server.channel, kind)(
            f"/mho.v1.{call}", request_serializer=bytes, response_deserializer=bytes
        )
        return multi(iter(messages) if kind == "stream_unary" else messages[0])

    for call in ("Jobs/CreateJob", "Models/ListModels", "Blobs/UploadBlob"):
        for garbage in (b"\xff", b"\x0a\x02\xff\xff", b"\x0a\x7f"):
            code, status, _ = failure(lambda c=call, g=garbage: sent(c, g))
            assert code == grpc.StatusCode.INVALID_ARGUMENT, status
            assert "no message of the type" in status.message


def test_an_unforeseen_exception_shows_an_incident_only(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ValueError("/secret/path")

    monkeypatch.setattr(server.control, "list_models", broken)
    code, status, details = failure(
        lambda: server.models.ListModels(models_pb2.ListModelsRequest(parent=PARENT))
    )
    assert code == grpc.StatusCode.INTERNAL
    assert "secret" not in str(status)
    assert details["ErrorInfo"].metadata["incident"] in status.message


def test_names_are_checked_in_every_call(server: Running) -> None:
    for stub, call, request in (
        (server.models, "GetModel", models_pb2.GetModelRequest(name="x")),
        (server.models, "ListModels", models_pb2.ListModelsRequest(parent="x")),
        (server.models, "ListLayers", models_pb2.ListLayersRequest(parent="x")),
        (server.models, "DeleteModel", models_pb2.DeleteModelRequest(name="x")),
        (server.jobs, "GetJob", jobs_pb2.GetJobRequest(name="x")),
        (server.jobs, "CancelJob", jobs_pb2.CancelJobRequest(name="x")),
        (server.jobs, "WatchJob", jobs_pb2.WatchJobRequest(name="x")),
        (server.jobs, "GetResult", jobs_pb2.GetResultRequest(name="x")),
        (server.jobs, "FetchScores", jobs_pb2.FetchScoresRequest(name="x")),
        (server.jobs, "ListArtifacts", jobs_pb2.ListArtifactsRequest(parent="x")),
        (server.jobs, "FetchArtifact", jobs_pb2.FetchArtifactRequest(name="x")),
    ):
        code, _, details = failure(lambda s=stub, c=call, r=request: getattr(s, c)(r))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        (violation,) = details["BadRequest"].field_violations
        assert violation.field in ("name", "parent")
        assert "must have the form tenants/{tenant}" in violation.description


SCRIPT = """
import sys
from mho.api.server import run
from mho.config import Settings
from mho.jobs.control import Control
settings = Settings(data_dir=sys.argv[1], port=0, drain_seconds=10)
control = Control(settings, entry="api.toy_entry")
run(settings, control, on_ready=lambda port: print(port, flush=True))
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_server(tmp_path: Path, number: signal.Signals) -> None:
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdout is not None
    with process, grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
        assert health(channel) == health_pb2.HealthCheckResponse.SERVING
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stdout.read().endswith("stopped\n")
