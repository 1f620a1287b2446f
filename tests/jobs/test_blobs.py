"""Uploads, and the hostile ones among them (METHODS.md 4.7)."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.server import TENANT, control, sha, upload
from mho.errors import InvalidData, InvalidOption, ResourceExhausted
from mho.jobs import blobs
from mho.jobs.control import Control

MIB = 1024 * 1024


def files(server_folder: Path) -> list[str]:
    """Names of all files of blobs and uploads."""
    return sorted(
        path.name
        for folder in ("blobs", "uploads")
        for path in (server_folder / folder).rglob("*")
        if path.is_file()
    )


def test_a_blob_arrives_in_pieces(store: Control, tmp_path: Path) -> None:
    content = os.urandom(2 * MIB + 77)
    digest = sha(content)
    assert store.missing_blobs(TENANT, [digest, digest]) == [digest]
    assert store.upload_status(TENANT, digest) == 0
    assert store.upload_chunk(TENANT, digest, len(content), 0, content[:MIB]) == MIB
    assert store.upload_status(TENANT, digest) == MIB
    assert store.missing_blobs(TENANT, [digest]) == [digest]
    assert store.upload_chunk(TENANT, digest, len(content), MIB, content[MIB : 2 * MIB]) == 2 * MIB
    end = store.upload_chunk(TENANT, digest, len(content), 2 * MIB, content[2 * MIB :])
    assert end == len(content) == store.upload_status(TENANT, digest)
    assert store.missing_blobs(TENANT, [digest]) == []
    assert (tmp_path / "data" / "blobs" / digest[:2] / digest).read_bytes() == content
    assert files(tmp_path / "data") == [digest]


def test_an_empty_blob(store: Control) -> None:
    assert store.upload_chunk(TENANT, sha(b""), 0, 0, b"") == 0
    assert store.missing_blobs(TENANT, [sha(b"")]) == []


def test_a_chunk_sent_again_is_taken_once(store: Control) -> None:
    content = os.urandom(1000)
    digest = sha(content)
    for _ in range(2):
        assert store.upload_chunk(TENANT, digest, 1000, 0, content[:600]) == 600
    assert store.upload_chunk(TENANT, digest, 1000, 100, content[100:200]) == 600
    for _ in range(2):  # the second time the blob is complete
        assert store.upload_chunk(TENANT, digest, 1000, 600, content[600:]) == 1000


def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    content = os.urandom(1000)
    digest = sha(content)
    first = control(tmp_path)
    first.upload_chunk(TENANT, digest, 1000, 0, content[:600])
    first.close()
    second = control(tmp_path)
    assert second.upload_status(TENANT, digest) == 600
    assert second.upload_chunk(TENANT, digest, 1000, 600, content[600:]) == 1000
    second.close()


def test_a_torn_upload_is_found_by_its_digest(tmp_path: Path) -> None:
    content = os.urandom(1000)
    first = control(tmp_path)
    first.upload_chunk(TENANT, sha(content), 1000, 0, content[:600])
    first.close()
    (torn,) = (path for path in (tmp_path / "uploads").rglob("*") if path.is_file())
    torn.write_bytes(bytes(600))
    second = control(tmp_path)
    with pytest.raises(InvalidData, match="again from offset 0"):
        second.upload_chunk(TENANT, sha(content), 1000, 600, content[600:])
    assert upload(second, content) == sha(content)
    second.close()


@pytest.mark.parametrize(
    ("size", "offset", "length", "words"),
    [
        (1000, 700, 100, "leaves a gap; continue at offset 600"),
        (1000, 500, 200, "overlaps what is there; continue at offset 600"),
        (1000, 600, 500, "does not fit"),
        (1000, -1, 100, "does not fit"),
        (-5, 0, 0, "does not fit"),
        (1000, 600, 0, "send between 1 and"),
        (2 * MIB, 600, MIB + 1, "send between 1 and"),
    ],
)
def test_numbers_that_make_no_sense(
    store: Control, size: int, offset: int, length: int, words: str
) -> None:
    content = os.urandom(1000)
    digest = sha(content)
    store.upload_chunk(TENANT, digest, 1000, 0, content[:600])
    with pytest.raises(InvalidOption, match=words):
        store.upload_chunk(TENANT, digest, size, offset, bytes(length))
    assert store.upload_chunk(TENANT, digest, 1000, 600, content[600:]) == 1000


def test_other_bytes_at_the_same_place(store: Control) -> None:
    content = os.urandom(1000)
    store.upload_chunk(TENANT, sha(content), 1000, 0, content[:600])
    with pytest.raises(InvalidData, match="differs from the bytes"):
        store.upload_chunk(TENANT, sha(content), 1000, 0, bytes(600))
    assert upload(store, content) == sha(content)


def test_a_wrong_digest_leaves_nothing(store: Control, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=f"have the digest {sha(bytes(10))}"):
        store.upload_chunk(TENANT, sha(b"else"), 10, 0, bytes(10))
    assert files(tmp_path / "data") == []
    assert store.upload_status(TENANT, sha(b"else")) == 0


@pytest.mark.parametrize(
    "digest", ["", "abc", "A" * 64, "../" * 21 + "a", "0" * 63 + "\n", "0" * 65]
)
def test_a_digest_that_is_none(store: Control, digest: str) -> None:
    for call in (
        lambda: store.missing_blobs(TENANT, [digest]),
        lambda: store.upload_status(TENANT, digest),
        lambda: store.upload_chunk(TENANT, digest, 1, 0, b"x"),
    ):
        with pytest.raises(InvalidOption, match="no SHA-256"):
            call()


def test_another_size_for_a_complete_blob(store: Control) -> None:
    digest = upload(store, b"content")
    with pytest.raises(InvalidOption, match="complete with 7 bytes"):
        store.upload_chunk(TENANT, digest, 8, 0, b"content!")


def test_limits(tmp_path: Path) -> None:
    small = control(tmp_path, max_upload_bytes=1000)
    with pytest.raises(ResourceExhausted, match="max_upload_bytes"):
        small.upload_chunk(TENANT, "0" * 64, 1001, 0, b"x")
    small.upload_chunk(TENANT, "0" * 64, 1000, 0, bytes(600))
    with pytest.raises(ResourceExhausted, match="unfinished uploads hold 600 bytes"):
        small.upload_chunk(TENANT, "1" * 64, 1000, 0, bytes(600))
    assert small.upload_chunk("globex", "1" * 64, 1000, 0, bytes(600)) == 600
    small.close()


def test_the_same_file_sent_by_many_at_once(store: Control, tmp_path: Path) -> None:
    content = os.urandom(3 * MIB + 5)
    tenants = [TENANT] * 4 + ["globex"] * 4
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda tenant: upload(store, content, tenant), tenants))
    assert set(digests) == {sha(content)}
    assert files(tmp_path / "data") == [sha(content)]
    assert store.missing_blobs(TENANT, digests) == store.missing_blobs("globex", digests) == []


def test_what_another_tenant_holds_is_not_told(store: Control) -> None:
    content = os.urandom(1000)
    digest = upload(store, content, "globex")
    assert store.missing_blobs(TENANT, [digest]) == [digest]
    assert store.upload_status(TENANT, digest) == 0
    assert store.upload_chunk(TENANT, digest, 1000, 0, content[:500]) == 500
    assert store.upload_chunk("globex", digest, 1000, 0, content[:500]) == 1000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(
    store: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    content = os.urandom(1000)
    store.upload_chunk(TENANT, sha(content), 1000, 0, content[:600])

    def full(descriptor: int, chunk: bytes) -> None:
        os.write(descriptor, chunk[:10])
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(blobs, "write", full)
        with pytest.raises(ResourceExhausted, match="disk is full"):
            store.upload_chunk(TENANT, sha(content), 1000, 600, content[600:])
    assert files(tmp_path / "data") == []
    assert upload(store, content) == sha(content)


def test_abandoned_uploads_and_unused_blobs_are_collected(store: Control, tmp_path: Path) -> None:
    content = os.urandom(1000)
    store.upload_chunk(TENANT, sha(content), 1000, 0, content[:600])
    kept, unused = upload(store, b"kept"), upload(store, b"unused")
    upload(store, b"kept", "globex")
    assert len(files(tmp_path / "data")) == 3
    own = store._blobs
    own.collect({(TENANT, kept)}, abandoned=3600, unreferenced=3600)
    assert len(files(tmp_path / "data")) == 3
    time.sleep(0.02)
    own.collect({(TENANT, kept)}, abandoned=0.01, unreferenced=0.01)
    assert files(tmp_path / "data") == [kept]
    assert store.missing_blobs(TENANT, [kept, unused]) == [unused]
    assert store.missing_blobs("globex", [kept]) == [kept]
    assert store.upload_status(TENANT, sha(content)) == 0
