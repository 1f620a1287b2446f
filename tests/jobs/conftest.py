from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.server import control
from mho.jobs.control import Control


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
