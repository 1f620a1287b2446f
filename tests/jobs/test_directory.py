"""A data directory with its SQLite file: one server, one revision, and a disk that may be full."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs.server import TENANT, control, model, spec
from mho.errors import FailedPrecondition, ResourceExhausted
from mho.jobs.control import Control
from mho.jobs.paging import load_key


def test_two_servers_on_one_directory(store: Control, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"in use by another mho server \(process \d+\)"):
        control(tmp_path / "data")


def test_tables_of_another_revision(tmp_path: Path) -> None:
    control(tmp_path).close()
    with sqlite3.connect(tmp_path / "mho.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for _ in range(2):  # the first refusal lets go of the lock
        with pytest.raises(FailedPrecondition, match="revision 9999"):
            control(tmp_path)


def test_a_directory_of_another_database(tmp_path: Path) -> None:
    first = control(tmp_path / "one")
    first.start()
    kept = model(first)
    first.close()
    (tmp_path / "one" / "mho.sqlite").rename(tmp_path / "mho.sqlite")
    with pytest.raises(FailedPrecondition, match="that the database does not know"):
        control(tmp_path / "one")
    control(tmp_path / "two").close()
    shutil.copy(tmp_path / "two" / "mho.sqlite", tmp_path / "one" / "mho.sqlite")
    with pytest.raises(FailedPrecondition, match="belongs to another database"):
        control(tmp_path / "one")
    (tmp_path / "two" / "identity").unlink()
    with pytest.raises(FailedPrecondition, match="is not the one of the database"):
        control(tmp_path / "two")
    (tmp_path / "mho.sqlite").replace(tmp_path / "one" / "mho.sqlite")
    again = control(tmp_path / "one")
    again.start()
    assert again.get_model(TENANT, kept).id == kept
    assert [path.name for path in again._layout.models.iterdir()] == [kept]
    again.close()


def test_a_file_that_many_make_at_once_is_made_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_key(tmp_path / "key"), range(32)))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    (tmp_path / "key").write_bytes(b"torn")
    with pytest.raises(FailedPrecondition, match="key has 4 bytes"):
        load_key(tmp_path / "key")


def test_a_full_disk_under_the_database(server: Control) -> None:
    wanted = spec(server)
    folders = [server._layout.staging, server._layout.jobs]
    wide = dataclasses.replace(wanted, options={"behaviour": "x" * 1_000_000})
    engine = server._database._engine
    with engine.begin() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

    def limited(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    sa.event.listen(engine, "begin", limited)
    with pytest.raises(ResourceExhausted, match="disk is full"):
        server.create_job(TENANT, wide)
    assert not any(list(folder.iterdir()) for folder in folders)
    sa.event.remove(engine, "begin", limited)
    assert server.list_jobs(TENANT) == ([], "")
