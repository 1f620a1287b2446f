"""Connections that flood, stall and lie; others are served meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message

from api.running import Calls, failure
from fuzz.place import X as INPUTS
from fuzz.place import method_options
from hostile.attacked import Attacked, connection, refused, tensor, token_of, wait_for
from hostile.http2 import connected
from mho_client.v1 import attributions_pb2, catalog_pb2, jobs_pb2, models_pb2

LIST = "/mho.v1.Methods/ListMethods"
TOKEN = token_of("mallory")
BEARING = [("authorization", f"Bearer {TOKEN}")]


@pytest.fixture(autouse=True)
def others_are_served(server: Attacked) -> Iterator[None]:
    """The bystander is served again, after whatever was done, and the server answers anew."""
    yield
    served = server.bystander.served
    wait_for(lambda: server.bystander.served > served + 1)
    with connection(server.address) as channel:
        calls = Calls(channel, "mallory", TOKEN)
        assert calls.methods.ListMethods(catalog_pb2.ListMethodsRequest(), timeout=60).methods


@pytest.mark.parametrize("size", [64 * 1024, 2**20])
def test_metadata_that_is_too_large(server: Attacked, size: int) -> None:
    with connection(server.address) as channel:
        calls = Calls(channel, "mallory", TOKEN)
        request = catalog_pb2.ListMethodsRequest()
        code, _, _ = failure(
            lambda: calls.methods.ListMethods(request, metadata=[("x", "y" * size)], timeout=60)
        )
        assert code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


def test_messages_that_are_too_large(server: Attacked) -> None:
    request = models_pb2.ListModelsRequest(parent="x" * (7 * 2**20))
    code, _, _ = failure(lambda: server.mallory.models.ListModels(request, timeout=60))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("content", [b"\xff" * 50, b"\x0a\x05\xff\xfe\xfd\xfc\xfb", b"\x0a\x7fx"])
def test_bytes_that_are_no_message(server: Attacked, content: bytes) -> None:
    call = server.channel.unary_unary(
        "/mho.v1.Models/ListModels",
        request_serializer=bytes,
        response_deserializer=models_pb2.ListModelsResponse.FromString,
    )

    def sent() -> Message:
        answer: Message = call(content, metadata=BEARING, timeout=60)
        return answer

    refused(sent, "INVALID_OPTION")


def test_calls_that_there_are_not(server: Attacked) -> None:
    for path in (
        "/mho.v1.Models/Drop",
        "/mho.v1.Nothing/Get",
        "/../../etc/passwd",
        "/" + "x" * 4000,
    ):
        call = server.channel.unary_unary(
            path, request_serializer=bytes, response_deserializer=bytes
        )
        metadata = [("authorization", f"Bearer {TOKEN}")]
        code, _, _ = failure(
            lambda send=call, known=metadata: send(b"", metadata=known, timeout=60)
        )
        assert code == grpc.StatusCode.UNIMPLEMENTED


def test_ten_thousand_streams(server: Attacked) -> None:
    """All opened and none ended: the server takes a thousand at most, or hangs up."""
    with connected(server.address, TOKEN) as connection:
        for first in range(0, 10_000, 500):
            frames = [connection.headers(2 * at + 1, LIST) for at in range(first, first + 500)]
            if not connection.send(*frames):
                break
        served = server.bystander.served
        wait_for(lambda: server.bystander.served > served + 1)


def test_a_flood_of_resets(server: Attacked) -> None:
    """Each call is begun, sent in full and taken back at once."""
    with connected(server.address, TOKEN) as connection:
        for first in range(0, 10_000, 500):
            streams = [2 * at + 1 for at in range(first, first + 500)]
            frames = [
                frame
                for stream in streams
                for frame in (
                    connection.headers(stream, LIST),
                    connection.message(stream, b""),
                    connection.reset(stream),
                )
            ]
            if not connection.send(*frames):
                break
        served = server.bystander.served
        wait_for(lambda: server.bystander.served > served + 1)


def test_readers_that_do_not_read(server: Attacked) -> None:
    """Five hundred calls, of whose answers nobody takes a byte."""
    with connected(server.address, TOKEN, window=0) as connection:
        for at in range(500):
            stream = 2 * at + 1
            connection.send(connection.headers(stream, LIST), connection.message(stream, b""))
        served = server.bystander.served
        wait_for(lambda: server.bystander.served > served + 1)


def test_watches_that_nobody_reads(server: Attacked) -> None:
    job = server.mallory.begin(server.spec()).name
    request = jobs_pb2.WatchJobRequest(name=job).SerializeToString()
    path = "/mho.v1.Jobs/WatchJob"
    with connected(server.address, TOKEN, window=0) as connection:
        for at in range(200):
            stream = 2 * at + 1
            connection.send(connection.headers(stream, path), connection.message(stream, request))
        get = jobs_pb2.GetJobRequest(name=job)
        wait_for(lambda: server.mallory.jobs.GetJob(get).state == jobs_pb2.JOB_STATE_SUCCEEDED)
    server.mallory.delete_job(job)


def test_bytes_that_are_no_http(server: Attacked) -> None:
    host, _, port = server.address.rpartition(":")
    for content in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(1000),
        b"\x16\x03\x01" + bytes(200),
    ):
        with socket.create_connection((host, int(port)), timeout=10) as plug:
            plug.sendall(content)
    plugs = [socket.create_connection((host, int(port)), timeout=10) for _ in range(300)]
    served = server.bystander.served
    wait_for(lambda: server.bystander.served > served + 1)
    for plug in plugs:
        plug.close()


def test_calls_that_are_cancelled_at_once(server: Attacked) -> None:
    given = {"inputs": {"x": tensor(INPUTS)}}
    request = attributions_pb2.AttributeRequest(
        model=server.model, method=method_options("conductance", ["r"]), **given
    )
    for _ in range(50):
        server.mallory.attributions.Attribute.future(request, timeout=60).cancel()
    assert server.mallory.attribute(server.model, "conductance", **given).layers
