"""The revisions lead to the tables of ``schema``, whichever mho a database comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from mho.errors import FailedPrecondition
from mho.jobs import schema
from mho.jobs.database import Database
from mho.jobs.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path)
    found.create()
    return found


@pytest.fixture
def database(layout: Layout) -> Iterator[Database]:
    opened = Database(layout)
    yield opened
    opened.close()


def test_the_revisions_lead_to_the_tables(database: Database) -> None:
    with database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_a_newer_database_is_refused(layout: Layout, database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FailedPrecondition, match="revision 9999, and this mho knows them up to"):
        Database(layout)
