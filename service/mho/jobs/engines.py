"""The two databases that mho runs on, each set up so that a commit is on disk before it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from mho.errors import InvalidOption, MhoError, ResourceExhausted, Unavailable

BUSY_SECONDS = 10
"""How long a transaction waits for a lock before it is given up."""

_PAUSED_SECONDS = 20
"""How long a server may do nothing in the middle of a transaction before it is undone."""

_POOL: dict[str, Any] = {"pool_size": 8, "max_overflow": 24}


def sqlite(file: Path) -> Engine:
    """A file that one process writes. Transactions of an engine with the execution option
    ``mho_writes`` take the write lock at their beginning."""
    engine = sa.create_engine(
        f"sqlite:///{file}",
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        **_POOL,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def postgresql(url: str) -> Engine:
    """A PostgreSQL that several servers may share; ``url`` as SQLAlchemy writes it.

    InvalidOption where it is none, or the driver is not installed; its password is never told.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise _refused("it is no URL") from None
    if parsed.drivername not in ("postgresql", "postgresql+psycopg"):
        raise _refused(f"it is of the kind '{parsed.drivername[:40]}'")
    try:
        engine = sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args={}
            if "connect_timeout" in parsed.query
            else {"connect_timeout": BUSY_SECONDS},
            pool_pre_ping=True,
            **_POOL,
        )
    except ModuleNotFoundError:
        raise InvalidOption(
            "database names a PostgreSQL, and its driver is not installed; install 'mho[postgres]'",
            subject="database",
        ) from None
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def named(error: sa.exc.DBAPIError) -> MhoError | None:
    """What a failed statement means to a user, where it is the server's surroundings that fail."""
    text, state = str(error.orig), str(getattr(error.orig, "sqlstate", "") or "")
    if "database or disk is full" in text or "disk I/O" in text or state == "53100":
        return ResourceExhausted(
            "the server's disk is full, so its database cannot be written; delete jobs, data "
            "sets or models that are no longer needed, or ask its operator for more room",
            subject="disk",
        )
    if "database is locked" in text or "busy" in text or state in ("55P03", "40001", "40P01"):
        return ResourceExhausted(
            f"the server's database was busy for {BUSY_SECONDS} s; try again",
            subject="database",
            retry_seconds=1,
        )
    unreachable = isinstance(error, sa.exc.OperationalError) and not state
    if error.connection_invalidated or unreachable or state[:2] in ("08", "53", "57"):
        return Unavailable(
            "the server does not reach its database at the moment; try again later",
            subject="server",
        )
    return None


def _refused(found: str) -> InvalidOption:
    return InvalidOption(
        f"database must be empty, for SQLite in data_dir, or like "
        f"'postgresql://user@host/name'; {found}",
        subject="database",
    )


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, in _begin_sqlite
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("mho_writes", False)
    # IMMEDIATE takes the write lock at once; a transaction that reads first could not be upgraded.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up_postgresql(connection: Any, _record: Any) -> None:
    connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{_PAUSED_SECONDS}s'")
    connection.execute("SET synchronous_commit = on")
    connection.commit()
