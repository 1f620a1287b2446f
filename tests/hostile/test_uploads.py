"""Uploads with wrong digests, gaps, overlaps, false sizes; at once, abandoned."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from hostile.attacked import Attacked, refused, wait_for
from mho_client.v1 import blobs_pb2, models_pb2

MIB = 2**20


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def begin(server: Attacked, content: bytes, **lies: Any) -> blobs_pb2.UploadBlobRequest:
    told = {
        "parent": server.mallory.parent,
        "sha256": digest_of(content),
        "size_bytes": len(content),
        **lies,
    }
    return blobs_pb2.UploadBlobRequest(begin=blobs_pb2.UploadBlobRequest.Begin(**told))


def chunk(content: bytes) -> blobs_pb2.UploadBlobRequest:
    return blobs_pb2.UploadBlobRequest(chunk=content)


def upload(server: Attacked, *requests: blobs_pb2.UploadBlobRequest) -> blobs_pb2.Upload:
    return server.mallory.blobs.UploadBlob(iter(requests), timeout=60)


BEGINNINGS: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "wrong digest": ({"sha256": digest_of(b"another")}, b"wrong digest", "INVALID_DATA"),
    "no digest": ({"sha256": ""}, b"x", "INVALID_OPTION"),
    "digest that is a path": ({"sha256": "../../../etc/passwd"}, b"x", "INVALID_OPTION"),
    "digest in upper case": ({"sha256": digest_of(b"x").upper()}, b"x", "INVALID_OPTION"),
    "gap": ({"offset": 5, "size_bytes": 20}, b"x", "INVALID_OPTION"),
    "negative offset": ({"offset": -1}, b"x", "INVALID_OPTION"),
    "overflowing offset": ({"offset": 2**63 - 1}, b"x", "INVALID_OPTION"),
    "negative size": ({"size_bytes": -1}, b"x", "INVALID_OPTION"),
    "more than was said": ({"size_bytes": 3}, b"four", "INVALID_OPTION"),
    "too large": ({"size_bytes": 2**62}, b"x", "RESOURCE_EXHAUSTED"),
    "a chunk that is too large": ({}, bytes(MIB + 1), "INVALID_OPTION"),
    "an empty chunk": ({"size_bytes": 5}, b"", "INVALID_OPTION"),
    "nothing, of another digest": ({"size_bytes": 0}, b"x", "INVALID_DATA"),
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_uploads_that_make_no_sense(server: Attacked, kind: str) -> None:
    lies, content, reason = BEGINNINGS[kind]
    refused(lambda: upload(server, begin(server, content, **lies), chunk(content)), reason)


def test_streams_in_the_wrong_order(server: Attacked) -> None:
    for requests in ([], [chunk(b"x")], [begin(server, b"x")] * 2):
        refused(lambda sent=requests: upload(server, *sent), "INVALID_OPTION")


def test_overlaps(server: Attacked) -> None:
    content = bytes(range(256)) * 8
    upload(server, begin(server, content), chunk(content[:1000]))
    overlapping = begin(server, content, offset=500), chunk(content[500:1500])
    refused(lambda: upload(server, *overlapping), "INVALID_OPTION")
    changed = begin(server, content), chunk(bytes(1000))
    refused(lambda: upload(server, *changed), "INVALID_DATA")
    repeated = begin(server, content), chunk(content[:1000]), chunk(content[1000:])
    assert upload(server, *repeated).complete
    server.mallory.taken.add(digest_of(content))


def test_the_same_bytes_at_once(server: Attacked) -> None:
    content = b"the same at once" * 2**17
    chunks = [chunk(content[at : at + 2**16]) for at in range(0, len(content), 2**16)]

    def one(_: int) -> str:
        try:
            return str(upload(server, begin(server, content), *chunks).complete)
        except grpc.RpcError as error:  # it met another's chunk
            return str(error.code())

    with ThreadPoolExecutor(8) as threads:
        outcomes = set(threads.map(one, range(8)))
    assert "True" in outcomes
    assert outcomes <= {"True", str(grpc.StatusCode.INVALID_ARGUMENT)}
    server.mallory.taken.add(digest_of(content))
    status = blobs_pb2.GetUploadRequest(parent=server.mallory.parent, sha256=digest_of(content))
    assert server.mallory.blobs.GetUpload(status).complete


def test_an_abandoned_upload_leaves_its_beginning_to_be_continued(server: Attacked) -> None:
    content = b"abandoned" * MIB
    before = server.tree()

    def requests() -> Iterator[blobs_pb2.UploadBlobRequest]:
        yield begin(server, content)
        yield chunk(content[:MIB])
        wait_for(lambda: received() == MIB)
        call.cancel()

    def received() -> int:
        status = blobs_pb2.GetUploadRequest(parent=server.mallory.parent, sha256=digest_of(content))
        return int(server.mallory.blobs.GetUpload(status).received_bytes)

    call = server.mallory.blobs.UploadBlob.future(requests())
    wait_for(call.done)
    assert {path.split("/")[0] for path in server.left_since(before)} == {"uploads"}
    rest = [chunk(content[at : at + MIB]) for at in range(MIB, len(content), MIB)]
    assert upload(server, begin(server, content, offset=MIB), *rest).complete
    server.mallory.taken.add(digest_of(content))


def test_a_full_disk(server: Attacked) -> None:
    """No file of the server's may grow beyond 16 MiB, which ends a write as a full disk does."""
    content = b"full" * (5 * MIB)
    chunks = [chunk(content[at : at + MIB]) for at in range(0, len(content), MIB)]
    _, hard = server.process.rlimit(resource.RLIMIT_FSIZE)
    server.process.rlimit(resource.RLIMIT_FSIZE, (16 * MIB, hard))
    try:
        said = refused(
            lambda: upload(server, begin(server, content), *chunks), "RESOURCE_EXHAUSTED"
        )
        assert "disk is full" in said
    finally:
        server.process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert upload(server, begin(server, content), *chunks).complete
    server.mallory.taken.add(digest_of(content))


def test_files_that_were_never_uploaded(server: Attacked) -> None:
    for digest in (digest_of(b"never"), "", "../../mho.sqlite", "0" * 63 + "\0"):
        wanted = models_pb2.Model(files=[{"name": "m.onnx", "sha256": digest}])
        request = models_pb2.CreateModelRequest(parent=server.mallory.parent, model=wanted)
        refused(
            lambda sent=request: server.mallory.models.CreateModel(sent),
            *("FAILED_PRECONDITION", "INVALID_OPTION"),
        )
