"""The revisions lead to the tables of ``schema``, whichever mho a database comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from mho.errors import FailedPrecondition
from mho.jobs import engines, schema
from mho.jobs.database import Database
from mho.jobs.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path)
    found.create()
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(layout: Layout, request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("postgresql").url(layout.root))


def test_the_first_tables_are_brought_up_to_date(layout: Layout, url: str) -> None:
    engine = engines.postgresql(url) if url else engines.sqlite(layout.database)
    config = Config()
    config.set_main_option("script_location", "mho.jobs:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        models = sa.Table("models", sa.MetaData(), autoload_with=connection)
        text = dict.fromkeys(("tenant", "id", "content", "display_name", "digest", "main"), "x")
        connection.execute(models.insert().values(**text, files={}, summary={}, created=1.0))
    engine.dispose()
    database = Database(layout, url)
    with database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []
        kept = connection.execute(sa.select(schema.models)).one()
        assert (kept.id, kept.files, kept.created, kept.size) == ("x", {}, 1.0, 0)
    database.close()


def test_a_newer_database_is_refused(layout: Layout, url: str) -> None:
    database = Database(layout, url)
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FailedPrecondition, match="revision 9999, and this mho knows them up to"):
        Database(layout, url)
    database.close()
