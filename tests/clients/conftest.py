from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.running import Running, running
from mho_client import Client


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("clients") / "data") as started:
        yield started


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with Client(server.address) as connected:
        yield connected
