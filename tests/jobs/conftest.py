from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import postgres
from jobs import server as servers
from jobs.postgres import Postgres
from jobs.server import control
from mho.jobs.control import Control


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgres]:
    """A PostgreSQL, or the reason why there is none."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL: install Debian's package 'postgresql' for these tests")
    with postgres.running(folder) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def each_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the tests of a module on both databases; for ``pytestmark``."""
    if request.param == "postgresql":
        servers.POSTGRESQL = request.getfixturevalue("postgresql")
    yield request.param
    servers.POSTGRESQL = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Control]:
    """A server with one worker, started."""
    running = control(tmp_path / "data")
    running.start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """A started server for tests that leave no trace on it; starting one takes a second."""
    running = control(tmp_path_factory.mktemp("shared") / "data")
    running.start()
    yield running
    running.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Control]:
    """A server whose workers have not been started: it keeps things and runs nothing."""
    idle = control(tmp_path / "data")
    yield idle
    idle.close()
