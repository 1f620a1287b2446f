"""Transactions on the tables of ``schema``, in a file of our own or in a shared database."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mho.jobs import engines
from mho.jobs.belonging import belong
from mho.jobs.layout import Layout
from mho.jobs.migrate import upgrade
from mho.telemetry import metrics


class Database:
    """url: "" for the SQLite file of ``layout``, else a PostgreSQL.

    FailedPrecondition where the tables are of a newer mho or the directory is another database's,
    Unavailable where the database cannot be reached, InvalidOption for a URL that is none.
    """

    def __init__(self, layout: Layout, url: str = "") -> None:
        self.server = secrets.token_hex(8)
        """The id of this server among those on the database."""
        self.shared = bool(url)
        """Whether other servers may work on it at the same time."""
        if self.shared:
            self._engine: sa.Engine = engines.postgresql(url)
            self._reader: sa.Engine = self._engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            where = f"the database '{self._engine.url.database}'"
        else:
            self._engine = self._reader = engines.sqlite(layout.database)
            where = f"the data directory {layout.root}"
        self._writer = self._engine.execution_options(mho_writes=True, mho_server=self.server)
        # SQLite has one writer at a time; waiting for one another here is quicker than in SQL.
        self._turn = nullcontext() if self.shared else threading.Lock()
        try:
            with self.writing() as connection:
                upgrade(connection, where)
                belong(connection, layout)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with (
            _failures_named(),
            metrics.TRANSACTIONS.labels("read").time(),
            self._reader.begin() as connection,
        ):
            yield connection

    @contextmanager
    def writing(self, alone: str = "") -> Iterator[Connection]:
        """A transaction that is durable when the block ends, or undone if it raises.

        alone: no other transaction with the same word runs meanwhile, in any server. What looks
        first and changes then needs that, or a lock on the row: only SQLite gives it for nothing.
        """
        with (
            _failures_named(),
            metrics.TRANSACTIONS.labels("write").time(),
            self._turn,
            self._writer.begin() as connection,
        ):
            if alone and self.shared:
                key = sa.func.hashtextextended(alone, 0)
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
            yield connection

    @contextmanager
    def listening(self, channel: str) -> Iterator[Any]:
        """psycopg's own connection, which hears what is notified on ``channel``."""
        engine = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        with _failures_named(), engine.connect() as connection:
            heard = connection.connection.driver_connection
            connection.detach()  # it hears on, so it must not go back to the pool
            connection.exec_driver_sql(f"LISTEN {channel}")
            yield heard

    def now(self) -> sa.ColumnElement[float]:
        """The present in seconds since the epoch, by the one clock that all servers share."""
        if self.shared:
            return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
        return sa.literal(time.time())

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        meaning = engines.named(error)
        if meaning is None:
            raise
        raise meaning from error
