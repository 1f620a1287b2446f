from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.running import Running, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for all tests that do not stop it."""
    with running(tmp_path_factory.mktemp("api") / "data") as started:
        yield started
