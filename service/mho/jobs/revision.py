"""Looks which revision the tables of a database have, and leaves it as it is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from mho.errors import FailedPrecondition
from mho.jobs import engines
from mho.jobs.layout import Layout
from mho.jobs.migrate import revisions


class Standing(Enum):
    ABSENT = auto()
    OLDER = auto()
    CURRENT = auto()
    NEWER = auto()


@dataclass(frozen=True)
class Revision:
    """found: None where there are no tables; newest: of the tables that this mho makes."""

    where: str
    found: str | None
    newest: str
    standing: Standing


def revision(layout: Layout, url: str = "") -> Revision:
    """Of the SQLite file of ``layout``, or of the PostgreSQL at ``url``.

    FailedPrecondition where it cannot be opened; InvalidOption for a URL that is none.
    """
    if not url:
        where = str(layout.database)
        if not layout.database.exists():
            return _standing(where, None)
        engine = _read_only(layout.database)
    else:
        engine = engines.postgresql(url).execution_options(postgresql_readonly=True)
        where = f"the database '{engine.url.database}'"
    try:
        with closing(engine.connect()) as connection:
            return _standing(where, _current(connection))
    except sa.exc.DBAPIError as error:
        told = str(error.orig).strip().partition("\n")[0]
        raise FailedPrecondition(f"{where} cannot be read: {told}", subject="database") from None
    finally:
        engine.dispose()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _standing(where: str, found: str | None) -> Revision:
    script = revisions()
    newest = str(script.get_current_head())
    if found is None:
        standing = Standing.ABSENT
    elif found == newest:
        standing = Standing.CURRENT
    else:
        known = {entry.revision for entry in script.walk_revisions()}
        standing = Standing.OLDER if found in known else Standing.NEWER
    return Revision(where, found, newest, standing)


def _read_only(file: Path) -> Engine:
    """Without a write-ahead log nobody has the file open, and SQLite must be told so, or it makes
    one."""
    unused = not file.with_name(f"{file.name}-wal").exists()
    address = f"{file.as_uri()}?mode=ro{'&immutable=1' if unused else ''}&uri=true"
    return sa.create_engine(address.replace("file:", "sqlite:///file:", 1), poolclass=NullPool)
