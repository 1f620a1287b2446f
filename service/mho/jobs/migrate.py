"""Brings the tables of an older mho up to date, when a server starts on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from mho.errors import FailedPrecondition

_LOCK = 0x6D686F  # "mho"


def upgrade(connection: Connection, where: str) -> None:
    """Carry out the revisions that are missing, in the transaction of ``connection``.

    Of several servers that start at once on PostgreSQL, one does it and the others wait.
    FailedPrecondition where the tables are of a newer mho. where: the database, for the message.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = _config()
    config.attributes["connection"] = connection
    script = revisions()
    known = {entry.revision for entry in script.walk_revisions()}
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in known:
        raise FailedPrecondition(
            f"{where} has tables of revision {found}, and this mho knows them up to "
            f"{script.get_current_head()}; use the mho that wrote them, or a newer one",
            subject="database",
        )
    if found != script.get_current_head():
        command.upgrade(config, "head")


def revisions() -> ScriptDirectory:
    """All revisions that this mho knows."""
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "mho.jobs:migrations")
    return config
