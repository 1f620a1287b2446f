"""The database file: opened once, by one server, with every commit on disk before it counts."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from mho.errors import FailedPrecondition, ResourceExhausted
from mho.jobs import schema
from mho.jobs.layout import Layout

if sys.platform != "win32":
    import fcntl

_BUSY_SECONDS = 10


class DirectoryLock:
    """Holds a data directory for one server; the kernel lets go of it when the process dies."""

    def __init__(self, layout: Layout) -> None:
        self._file = layout.lock.open("a+", encoding="utf-8")
        try:
            if sys.platform != "win32":
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read(20).strip() or "unknown"
            self._file.close()
            raise FailedPrecondition(
                f"the data directory {layout.root} is in use by another mho server (process "
                f"{owner}); stop that server or set data_dir to another directory",
                subject="data_dir",
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


class Database:
    """Transactions on the tables of ``schema``. All writes pass one lock, so none of them waits in
    SQL.

    Raises FailedPrecondition where the file was written by another version of mho.
    """

    def __init__(self, layout: Layout) -> None:
        self._writing = threading.Lock()
        self._engine = sa.create_engine(
            f"sqlite:///{layout.database}",
            pool_size=8,
            max_overflow=24,
            connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        )
        event.listen(self._engine, "connect", _set_up)
        event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(mho_writes=True)
        with self.writing() as connection:
            if not sa.inspect(connection).has_table(schema.alembic_version.name):
                schema.metadata.create_all(connection)
                connection.execute(
                    schema.alembic_version.insert().values(version_num=schema.VERSION)
                )
            found = connection.scalar(sa.select(schema.alembic_version.c.version_num))
        if found != schema.VERSION:
            self.close()
            raise FailedPrecondition(
                f"the data directory {layout.root} has tables of revision {found}, this mho needs "
                f"{schema.VERSION}; use the mho that wrote it, or another data_dir",
                subject="data_dir",
            )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with _failures_named(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends, or undone if it raises."""
        with _failures_named(), self._writing, self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        text = str(error.orig)
        if "full" in text or "disk I/O" in text:
            raise ResourceExhausted(
                "the server's disk is full, so its database cannot be written; delete jobs, data "
                "sets or models that are no longer needed, or ask its operator for more room",
                subject="disk",
            ) from error
        if "locked" in text or "busy" in text:
            raise ResourceExhausted(
                f"the server's database was busy for {_BUSY_SECONDS} s; try again",
                subject="database",
            ) from error
        raise


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, in _begin
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("mho_writes", False)
    # IMMEDIATE takes the write lock at once; a transaction that reads first could not be upgraded.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
