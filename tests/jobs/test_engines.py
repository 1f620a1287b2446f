"""What the database says, in the words of the domain."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from mho.jobs.engines import named


def test_a_locked_database_says_when_to_come_again(tmp_path: Path) -> None:
    file = tmp_path / "locked.sqlite"
    engine = sa.create_engine(f"sqlite:///{file}", connect_args={"timeout": 0})
    with closing(sqlite3.connect(file)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with engine.connect() as waiting, pytest.raises(sa.exc.OperationalError) as caught:
            waiting.execute(sa.text("CREATE TABLE t (x)"))
    engine.dispose()
    error = named(caught.value)
    assert error is not None
    assert (error.reason, error.retry_seconds) == ("RESOURCE_EXHAUSTED", 1)
