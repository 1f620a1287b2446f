"""Uploaded bytes, kept once under their SHA-256, and the uploads on their way there.

A tenant has a blob only after sending all of its bytes, even where another tenant's copy lies on
the
disk already: so nobody can find out by a digest what others hold.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from mho.errors import InvalidData, InvalidOption, ResourceExhausted
from mho.jobs import schema
from mho.jobs.database import Database
from mho.jobs.file_lock import locked
from mho.jobs.layout import Layout, full_disk_named, sync_folder
from mho.jobs.quotas import Quotas, alone
from mho.telemetry import metrics

LARGEST_CHUNK = 1024 * 1024
_ABANDONED_SECONDS = 3600.0
_UNREFERENCED_SECONDS = 86400.0
_RELEASED_SECONDS = 1800.0
_MOST_DIGESTS = 10_000

_log = logging.getLogger("mho.jobs.blobs")
_table = schema.blobs
_rooms = schema.uploads


def check_digest(digest: str) -> str:
    """``digest`` where it is a SHA-256 in lower-case hex; otherwise InvalidOption."""
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise InvalidOption(
            f"{digest[:70]!r} is no SHA-256 digest; 64 hexadecimal digits in lower case are needed",
            subject="sha256",
        )
    return digest


@dataclass
class _Upload:
    """An upload under way: ``hasher`` has seen the first ``received`` bytes of ``file``."""

    file: Path
    tenant: str
    digest: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    received: int = -1  # not yet known: the file may be left from a server before this one
    touched: float = 0.0
    users: int = 0
    seen: tuple[int, int, int] | None = None
    """What told the file from one that another server has written to, when it was left."""
    room: int = -1
    """Bytes that the tenant's quota keeps for it; -1 where none are."""

    def __post_init__(self) -> None:
        self.hasher = hashlib.sha256()


class Blobs:
    """The blob store of one data directory.

    largest: bytes of one blob, and of all of a tenant's unfinished uploads together. The whole of
    an upload counts from its first chunk on, so that none fails half way for want of room.
    """

    def __init__(self, layout: Layout, database: Database, quotas: Quotas, *, largest: int) -> None:
        self._quotas = quotas
        self._layout = layout
        self._database = database
        self._largest = largest
        self._uploads: dict[Path, _Upload] = {}
        self._table_lock = threading.Lock()

    # sending

    def missing(self, tenant: str, digests: Sequence[str]) -> list[str]:
        """Those of ``digests`` that the tenant has yet to send; the others are kept a day more."""
        if len(digests) > _MOST_DIGESTS:
            raise InvalidOption(
                f"{len(digests)} digests were asked for; ask for at most {_MOST_DIGESTS} at a time",
                subject="sha256",
            )
        wanted = list(dict.fromkeys(check_digest(digest) for digest in digests))
        present = self.held(tenant, wanted)
        return [digest for digest in wanted if digest not in present]

    def offset(self, tenant: str, digest: str) -> int:
        """The offset of the next byte wanted; the blob's size where it is complete."""
        with self._open(tenant, check_digest(digest)) as upload:
            size = self._size(tenant, digest)
            return upload.received if size is None else size

    def receive(self, tenant: str, digest: str, size: int, offset: int, chunk: bytes) -> int:
        """Append ``chunk`` at ``offset``; returns the offset of the next byte wanted.

        A chunk that was received before is taken once. At ``size`` bytes the digest is checked and
        the blob is complete. InvalidOption for a gap, an overlap or numbers that make no sense,
        InvalidData for bytes that differ or do not have the digest, ResourceExhausted for too much.
        """
        self._check_numbers(check_digest(digest), size, offset, len(chunk))
        with self._open(tenant, digest) as upload:
            # An upload that has begun is not complete: its file goes when it is.
            complete = None if upload.received else self._size(tenant, digest)
            if complete is not None:
                if complete != size:
                    raise InvalidOption(
                        f"blob {digest} is complete with {complete} bytes; this upload says {size}",
                        subject="size_bytes",
                    )
                return complete
            if offset + len(chunk) <= upload.received and len(chunk):
                self._check_repeated(upload, digest, offset, chunk)
                return upload.received
            if offset != upload.received:
                what = "leaves a gap" if offset > upload.received else "overlaps what is there"
                raise InvalidOption(
                    f"the chunk of blob {digest} at offset {offset} {what}; "
                    f"continue at offset {upload.received}",
                    subject="offset",
                )
            self._check_unfinished(tenant, len(chunk))
            self._keep_room(upload, size)
            self._append(upload, chunk)
            metrics.UPLOADED.labels(metrics.of(tenant)).inc(len(chunk))
            if upload.received < size:
                return upload.received
            found = upload.hasher.hexdigest()
            if found != digest:
                self._forget(upload)
                raise InvalidData(
                    f"the {size} bytes sent for blob {digest} have the digest {found}; "
                    "send the file again from offset 0",
                    subject="sha256",
                )
            self._place(tenant, digest, size, upload)
            return size

    # using

    def held(self, tenant: str, digests: Iterable[str]) -> dict[str, int]:
        """Size of those of ``digests`` that the tenant has sent; they are kept a day more."""
        wanted = list(dict.fromkeys(digests))
        found: dict[str, int] = {}
        with self._database.writing(alone=alone(tenant)) as connection:
            for start in range(0, len(wanted), 500):
                mine = sa.and_(
                    _table.c.tenant == tenant, _table.c.sha256.in_(wanted[start : start + 500])
                )
                rows = connection.execute(sa.select(_table.c.sha256, _table.c.size).where(mine))
                found |= {row.sha256: row.size for row in rows}
                connection.execute(_table.update().where(mine).values(used=time.time()))
        return found

    def path(self, digest: str) -> Path:
        """Where a blob lies that is ``held``."""
        return self._layout.blobs / digest[:2] / digest

    # clearing up

    def collect(
        self,
        referenced: Collection[tuple[str, str]],
        *,
        abandoned: float = _ABANDONED_SECONDS,
        unreferenced: float = _UNREFERENCED_SECONDS,
    ) -> None:
        """Delete uploads untouched for ``abandoned`` seconds and blobs that nothing has referred to
        for ``unreferenced`` seconds. referenced: (tenant, digest) of all that models and data sets
        use.
        """
        now = time.time()
        with self._table_lock:
            live = {
                file
                for file, upload in self._uploads.items()
                if upload.users or time.monotonic() - upload.touched < abandoned
            }
            for file in [file for file in self._uploads if file not in live]:
                del self._uploads[file]
        for file in set(self._layout.uploads.glob("*/*")) - live:
            with self._alone(file.name):
                if _untouched(file, now - abandoned):
                    _log.info("abandoned upload %s removed", file.name)
                    file.unlink()
        self._give_room_back(live)
        self._drop_unused(referenced, now - unreferenced)
        files = list(self._layout.blobs.glob("*/*"))
        kept = self._kept()
        for file in files:
            if file.name in kept or not _untouched(file, now - unreferenced):
                continue
            with self._alone(file.name):
                if file.name not in self._kept(file.name):
                    _log.info("unreferenced blob %s removed", file.name)
                    file.unlink(missing_ok=True)

    def release(self, tenant: str, digests: Iterable[str]) -> None:
        """Nothing of the tenant's that used ``digests`` is left to do so; they go soon."""
        soon = time.time() - _UNREFERENCED_SECONDS + _RELEASED_SECONDS
        mine = sa.and_(_table.c.tenant == tenant, _table.c.sha256.in_(set(digests)))
        with self._database.writing() as connection:
            connection.execute(_table.update().where(mine, _table.c.used > soon).values(used=soon))

    # inside

    def _give_room_back(self, live: Collection[Path]) -> None:
        """Delete the rows of uploads that are no more."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(_rooms.c.tenant, _rooms.c.sha256)).all()
        for tenant, digest in rows:
            file = self._folder(tenant) / digest
            if file in live:
                continue
            with self._alone(digest):
                if not file.exists():
                    gone = sa.and_(_rooms.c.tenant == tenant, _rooms.c.sha256 == digest)
                    with self._database.writing() as connection:
                        connection.execute(_rooms.delete().where(gone))

    def _drop_unused(self, referenced: Collection[tuple[str, str]], since: float) -> None:
        """Delete the rows of blobs that are not ``referenced`` and were not used ``since``."""
        unused = _table.c.used <= since
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(_table.c.tenant, _table.c.sha256).where(unused))
            found = [(row.tenant, row.sha256) for row in rows]
        for tenant, digest in found:
            if (tenant, digest) not in referenced:
                mine = sa.and_(_table.c.tenant == tenant, _table.c.sha256 == digest, unused)
                with self._database.writing() as connection:
                    connection.execute(_table.delete().where(mine))

    def _kept(self, digest: str = "") -> set[str]:
        """The digests of all blobs that anybody has, or ``digest`` where anybody has it."""
        query = sa.select(_table.c.sha256).distinct()
        with self._database.reading() as connection:
            return set(
                connection.scalars(query.where(_table.c.sha256 == digest) if digest else query)
            )

    def _alone(self, digest: str) -> AbstractContextManager[None]:
        """No other thread of any server changes the blob, an upload of it, or their rows."""
        return locked(self._layout.blob_lock(digest))

    def _check_numbers(self, digest: str, size: int, offset: int, length: int) -> None:
        if size < 0 or offset < 0 or offset + length > size:
            raise InvalidOption(
                f"a chunk of {length} bytes at offset {offset} does not fit into blob {digest} "
                f"of {size} bytes",
                subject="offset",
            )
        if size > self._largest:
            raise ResourceExhausted(
                f"blob {digest} has {size} bytes; at most {self._largest} are taken "
                "(setting max_upload_bytes)",
                subject="size_bytes",
            )
        if length > LARGEST_CHUNK or (length == 0 and size > 0):
            raise InvalidOption(
                f"a chunk has {length} bytes; send between 1 and {LARGEST_CHUNK}", subject="chunk"
            )

    def _check_repeated(self, upload: _Upload, digest: str, offset: int, chunk: bytes) -> None:
        with upload.file.open("rb") as reader:
            reader.seek(offset)
            if reader.read(len(chunk)) != chunk:
                raise InvalidData(
                    f"the chunk of blob {digest} at offset {offset} differs from the bytes "
                    f"received there before; continue at offset {upload.received}, and where the "
                    "file has changed, upload it under its own digest",
                    subject="chunk",
                )

    def _keep_room(self, upload: _Upload, size: int) -> None:
        """Count ``size`` bytes against the tenant's quota; QuotaExceeded where it is used up."""
        if upload.room >= size or not self._quotas.of(upload.tenant).bytes:
            return
        with self._database.writing(alone=alone(upload.tenant)) as connection:
            connection.execute(_rooms.delete().where(_of(_rooms, upload)))
            self._quotas.check_bytes(connection, upload.tenant, size)
            connection.execute(
                _rooms.insert().values(tenant=upload.tenant, sha256=upload.digest, size=size)
            )
        upload.room = size

    def _check_unfinished(self, tenant: str, length: int) -> None:
        pending = sum(file.stat().st_size for file in self._folder(tenant).glob("*"))
        if pending + length > self._largest:
            raise ResourceExhausted(
                f"unfinished uploads hold {pending} bytes, and at most {self._largest} may "
                "(setting max_upload_bytes); finish them first",
                subject="size_bytes",
            )

    def _append(self, upload: _Upload, chunk: bytes) -> None:
        upload.file.parent.mkdir(exist_ok=True, mode=0o700)
        try:
            with full_disk_named("an upload is received"), upload.file.open("ab") as writer:
                write(writer.fileno(), chunk)
        except BaseException:
            self._forget(upload)
            raise
        upload.hasher.update(chunk)
        upload.received += len(chunk)
        upload.seen = _mark(upload.file)

    def _place(self, tenant: str, digest: str, size: int, upload: _Upload) -> None:
        target = self.path(digest)
        try:
            with full_disk_named("an upload is stored"):
                with upload.file.open("ab") as writer:
                    os.fsync(writer.fileno())
                target.parent.mkdir(exist_ok=True, mode=0o700)
                upload.file.replace(target)
                sync_folder(target.parent)
                sync_folder(target.parent.parent)
                with self._database.writing(alone=alone(tenant)) as connection:
                    for table in (_table, _rooms):
                        connection.execute(table.delete().where(_of(table, upload)))
                    connection.execute(
                        _table.insert().values(
                            tenant=tenant, sha256=digest, size=size, used=time.time()
                        )
                    )
                upload.room = -1
        finally:
            self._forget(upload)

    def _forget(self, upload: _Upload) -> None:
        upload.file.unlink(missing_ok=True)
        upload.hasher = hashlib.sha256()
        upload.received = 0
        upload.seen = None
        if upload.room >= 0:
            with self._database.writing() as connection:
                connection.execute(_rooms.delete().where(_of(_rooms, upload)))
            upload.room = -1

    @contextmanager
    def _open(self, tenant: str, digest: str) -> Iterator[_Upload]:
        """The upload, held by this thread alone, of all servers."""
        file = self._folder(tenant) / digest
        with self._table_lock:
            upload = self._uploads.setdefault(file, _Upload(file, tenant, digest))
            upload.users += 1
        try:
            with upload.lock, self._alone(digest):
                _catch_up(upload)
                yield upload
        finally:
            with self._table_lock:
                upload.users -= 1
                upload.touched = time.monotonic()
                if upload.received <= 0 and not upload.users:
                    self._uploads.pop(file, None)

    def _size(self, tenant: str, digest: str) -> int | None:
        with self._database.reading() as connection:
            return connection.scalar(
                sa.select(_table.c.size).where(_table.c.tenant == tenant, _table.c.sha256 == digest)
            )

    def _folder(self, tenant: str) -> Path:
        return self._layout.uploads / hashlib.sha256(tenant.encode()).hexdigest()[:32]


def _of(table: sa.Table, upload: _Upload) -> sa.ColumnElement[bool]:
    """The upload's row."""
    return sa.and_(table.c.tenant == upload.tenant, table.c.sha256 == upload.digest)


def write(descriptor: int, chunk: bytes) -> None:
    """Write all of ``chunk``; apart, so that tests can fill the disk here."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _catch_up(upload: _Upload) -> None:
    """Bring ``received`` and the hash in line with the file, to which another server may write."""
    found = _mark(upload.file)
    if found == upload.seen and upload.received >= 0:
        return
    upload.hasher = hashlib.sha256()
    upload.received = 0
    upload.seen = found
    upload.room = -1
    if found is not None:
        with upload.file.open("rb") as reader:
            while piece := reader.read(LARGEST_CHUNK):
                upload.hasher.update(piece)
                upload.received += len(piece)


def _mark(file: Path) -> tuple[int, int, int] | None:
    """Which file lies there and how it was left; None where there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _untouched(file: Path, since: float) -> bool:
    """Whether the file is there and was not written to ``since``."""
    try:
        return file.stat().st_mtime <= since
    except FileNotFoundError:
        return False
