from __future__ import annotations

import hashlib
from collections.abc import Iterator

import grpc

from api.running import PARENT, Running, failure
from mho_client.v1 import blobs_pb2

MIB = 2**20


def begin(content: bytes, offset: int = 0, parent: str = PARENT) -> blobs_pb2.UploadBlobRequest:
    return blobs_pb2.UploadBlobRequest(
        begin=blobs_pb2.UploadBlobRequest.Begin(
            parent=parent,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            offset=offset,
        )
    )


def chunk(content: bytes) -> blobs_pb2.UploadBlobRequest:
    return blobs_pb2.UploadBlobRequest(chunk=content)


def upload(server: Running, *requests: blobs_pb2.UploadBlobRequest) -> blobs_pb2.Upload:
    return server.blobs.UploadBlob(iter(requests))


def test_an_upload_goes_on_where_it_stopped(server: Running) -> None:
    content = b"resumed" * MIB
    digest = hashlib.sha256(content).hexdigest()
    asked = blobs_pb2.QueryMissingBlobsRequest(parent=PARENT, sha256=[digest, digest])
    assert list(server.blobs.QueryMissingBlobs(asked).missing_sha256) == [digest]
    status = blobs_pb2.GetUploadRequest(parent=PARENT, sha256=digest)
    assert server.blobs.GetUpload(status).received_bytes == 0

    first = upload(server, begin(content), chunk(content[:MIB]))
    assert (first.received_bytes, first.complete) == (MIB, False)
    assert server.blobs.GetUpload(status).received_bytes == MIB
    rest = [chunk(content[at : at + MIB]) for at in range(MIB, len(content), MIB)]
    last = upload(server, begin(content, MIB), *rest)
    assert (last.received_bytes, last.complete) == (len(content), True)
    assert not server.blobs.QueryMissingBlobs(asked).missing_sha256


def test_an_empty_blob_needs_no_chunk(server: Running) -> None:
    assert upload(server, begin(b"")).complete


def test_an_upload_that_makes_no_sense_is_refused(server: Running) -> None:
    content = b"x" * (MIB + 1)
    for requests, field in (
        ([], "begin"),
        ([chunk(b"x")], "begin"),
        ([begin(b"x"), begin(b"x")], "chunk"),
        ([begin(content), chunk(content)], "chunk"),
        ([begin(content, 5), chunk(b"x")], "begin.offset"),
        ([begin(b"x", parent="tenants")], "begin.parent"),
    ):
        code, status, details = failure(lambda sent=requests: upload(server, *sent))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, status
        assert details["BadRequest"].field_violations[0].field == field
        assert details["ErrorInfo"].reason == "INVALID_OPTION"


def test_wrong_bytes_are_discarded(server: Running) -> None:
    code, _, details = failure(lambda: upload(server, begin(b"right"), chunk(b"wrong")))
    assert (code, details["ErrorInfo"].reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_DATA",
    )
    assert upload(server, begin(b"right"), chunk(b"right")).complete


def test_a_client_that_goes_away_leaves_what_it_sent(server: Running) -> None:
    content = b"gone" * MIB

    def requests() -> Iterator[blobs_pb2.UploadBlobRequest]:
        yield begin(content)
        yield chunk(content[:MIB])
        yield chunk(b"")  # refused: the stream breaks here
        yield chunk(content[MIB : 2 * MIB])

    failure(lambda: server.blobs.UploadBlob(requests()))
    digest = hashlib.sha256(content).hexdigest()
    status = blobs_pb2.GetUploadRequest(parent=PARENT, sha256=digest)
    assert server.blobs.GetUpload(status).received_bytes == MIB
