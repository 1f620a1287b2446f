from __future__ import annotations

from collections.abc import Iterator

import pytest

from fuzz.place import Place, place


@pytest.fixture(scope="package")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server for all fuzzing."""
    with place(tmp_path_factory.mktemp("fuzz") / "data") as found:
        yield found
        found.healthy()
