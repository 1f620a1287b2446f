"""What is kept between calls: rows of one digest a stage, copied, within the budget."""

from __future__ import annotations

import numpy as np

from mho.runtime.kept_rows import KeptRows


def row(value: float) -> list[np.ndarray]:
    return [np.full(2, value, np.float32)]


def kept(budget: int) -> KeptRows:
    found = KeptRows([8, 8], budget)
    for stage in (0, 1):
        found.turn_to(stage, b"a")
    return found


def test_rows_are_copies() -> None:
    found, given = kept(100), row(1)
    found.keep(0, 5, given)
    given[0][:] = 7
    got = found.get(0, 5)
    assert got is not None
    np.testing.assert_array_equal(got[0], [1, 1])
    assert found.get(0, 4) is None
    assert found.get(1, 5) is None


def test_another_digest_drops_the_rows_of_its_stage_alone() -> None:
    found = kept(100)
    found.keep(0, 5, row(1))
    found.keep(1, 5, row(2))
    found.turn_to(0, b"a")
    assert found.get(0, 5) is not None
    found.turn_to(0, b"b")
    assert found.digest(0) == b"b"
    assert found.get(0, 5) is None
    assert found.get(1, 5) is not None


def test_the_budget_is_for_all_stages_and_freed_by_turning() -> None:
    found = kept(16)
    found.keep(0, 1, row(1))
    found.keep(0, 1, row(1))  # is there already
    found.keep(1, 1, row(2))
    found.keep(1, 2, row(3))
    assert found.get(1, 1) is not None
    assert found.get(1, 2) is None
    assert found.room_for(1, 1)
    assert not found.room_for(1, 2)
    found.turn_to(0, b"b")
    assert found.room_for(1, 2)
    found.keep(1, 2, row(3))
    assert found.get(1, 2) is not None
