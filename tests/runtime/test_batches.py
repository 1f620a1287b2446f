"""Rows into batches: every row once and in order, whatever memory does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import ResourceExhausted
from mho.runtime.batches import Batches, rows_for
from mho.runtime.provider import CPU, CUDA
from mho.runtime.session import OutOfMemory
from runtime.bound import SETTINGS, data, problem


class _Narrow:
    """A session that cannot run more than ``most`` rows."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen: list[int] = []

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if len(feeds["x"]) > self.most:
            raise OutOfMemory("too many")
        self.seen += feeds["x"].tolist()
        return {"y": feeds["x"] * 10}


@pytest.mark.parametrize("most", [1, 3, 5, 64])
@pytest.mark.parametrize("total", [0, 1, 7, 50])
def test_batches_are_halved_until_they_fit(most: int, total: int) -> None:
    session = _Narrow(most)
    batches = Batches(session, 16)  # type: ignore[arg-type]
    found = list(batches.run(total, lambda a, b: {"x": np.arange(a, b)}))
    assert session.seen == list(range(total))
    assert [v for *_, out in found for v in out["y"]] == [10 * i for i in range(total)]
    assert all(stop - start == len(out["y"]) for start, stop, out in found)
    assert batches.rows <= 16
    if total > most:
        assert batches.rows <= most


def test_the_size_stays_small_afterwards() -> None:
    session = _Narrow(4)
    batches = Batches(session, 16)  # type: ignore[arg-type]
    sizes = [b - a for a, b, _ in batches.run(20, lambda a, b: {"x": np.arange(a, b)})]
    assert sizes == [4] * 5
    assert batches.rows == 4


def test_one_row_that_does_not_fit() -> None:
    batches = Batches(_Narrow(0), 8)  # type: ignore[arg-type]
    with pytest.raises(ResourceExhausted, match="one input alone does not fit into memory"):
        list(batches.run(5, lambda a, b: {"x": np.arange(a, b)}))


def test_rows_from_the_budget() -> None:
    model = net("y = Relu(x)", "(float[N,1000] x) => (float[N,1000] y)")  # 8 kB a row
    assert rows_for(model, SETTINGS, CPU) == 4 * 1024 * 1024 // 8000
    assert rows_for(model, replace(SETTINGS, memory_bytes=80_000), CPU) == 10
    assert rows_for(model, replace(SETTINGS, memory_bytes=10), CPU) == 1
    assert rows_for(model, SETTINGS, CUDA) == 1024
    large = net("y = Relu(x)", "(float[N,1000000] x) => (float[N,1000000] y)")
    assert rows_for(large, SETTINGS, CPU) == 8


def test_copies_of_a_row_and_models_that_take_one() -> None:
    model = net("y = Relu(x)", "(float[N,1000] x) => (float[N,1000] y)")
    given = data(normal(1, 3, 1000))
    made = problem(model, given)
    assert made.batches(model, copies=2).rows == made.batches(model).rows // 2
    assert problem(model, given, single=True).batches(model).rows == 1


def test_the_answer_does_not_depend_on_the_batch_size() -> None:
    model = net(
        "a = Conv(x, w)  r = Relu(a)  g = GlobalAveragePool(r)  y = Flatten(g)",
        "(float[N,3,8,8] x) => (float[N,4] y)",
        w=normal(1, 4, 3, 3, 3),
    )
    given = data(normal(2, 23, 3, 8, 8))
    wide = problem(model, given).scores()
    for memory in (1, 5 * 4 * (3 * 64 + 4 * 36 * 2)):
        narrow = problem(model, given, settings=replace(SETTINGS, memory_bytes=memory))
        assert narrow.batches(narrow.model).rows < 23
        np.testing.assert_allclose(narrow.scores(), wide, atol=1e-6)
