from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from hostile.attacked import Attacked, attacked, wait_for

MOST_GROWTH = 100e6
"""Bytes by which the server's process may have grown in the end: caches and the allocator's own."""


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """One server for the whole list; in the end its memory has returned, and nobody is left."""
    with attacked(tmp_path_factory.mktemp("hostile")) as found:
        before = found.process.memory_info().rss
        yield found
        gc.collect()
        wait_for(lambda: found.process.memory_info().rss - before < MOST_GROWTH)
        wait_for(lambda: found.bystander.served > 10)


@pytest.fixture(autouse=True)
def nothing_remains(server: Attacked) -> Iterator[None]:
    """After each test the disk is as before, the bystander was served, and nothing unforeseen is in
    the log."""
    before, logged = server.tree(), server.logged()
    yield
    wait_for(lambda: not server.left_since(before), 20)
    assert not server.bystander.failed
    assert server.process.is_running()
    assert not server.traces(logged), "".join(server.traces(logged)[:2])
    # One for jobs, two that look at uploads, four that serve calls.
    assert len(server.workers()) <= 7
