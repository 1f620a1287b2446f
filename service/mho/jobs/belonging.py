"""A data directory and a database belong together: each of them knows the other's id.

Without that a server that is given the wrong one of the two would find none of the folders in the
database, and delete them as leftovers.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mho.errors import FailedPrecondition
from mho.jobs import schema
from mho.jobs.layout import Layout, made_once

_directory = schema.directory


def belong(connection: Connection, layout: Layout) -> None:
    """Bind the database and the directory to each other, where neither is bound yet.

    FailedPrecondition where either belongs to another. One server at a time.
    """
    known = connection.scalar(sa.select(_directory.c.id))
    if known is None:
        if _in_use(layout) and _empty(connection):
            raise _refused(
                layout, "holds models, data sets or jobs that the database does not know"
            )
        known = made_once(layout.identity, secrets.token_hex(16).encode()).decode()
        connection.execute(_directory.insert().values(id=known))
        return
    found = layout.identity.read_bytes() if layout.identity.exists() else b""
    if found != known.encode():
        raise _refused(
            layout, "belongs to another database" if found else "is not the one of the database"
        )


def _in_use(layout: Layout) -> bool:
    return any(
        next(folder.iterdir(), None) for folder in (layout.models, layout.datasets, layout.jobs)
    )


def _empty(connection: Connection) -> bool:
    return not any(
        connection.execute(sa.select(table.c.id).limit(1)).first()
        for table in (schema.models, schema.datasets, schema.jobs)
    )


def _refused(layout: Layout, what: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"the data directory {layout.root} {what}; give the settings data_dir and database that "
        "were used together before, or an empty directory and an empty database",
        subject="data_dir",
    )
