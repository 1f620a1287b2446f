"""Work before the first step: what is said of it, and when it is stopped."""

from __future__ import annotations

import pytest

from mho.errors import TooExpensive
from mho.runtime import cost
from mho.runtime.cost import Preparation


def work(said: list[str], limit: float) -> Preparation:
    return Preparation("counting", said.append, limit, remedy="count less", option="much")


def test_it_says_how_far_it_is() -> None:
    said: list[str] = []
    one = work(said, 0.0)
    for done in range(4):
        one.reached(done, 3, "sheep")
    assert said == [f"counting: {done} of 3 sheep" for done in range(4)]


def test_it_is_stopped_where_the_whole_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(cost.time, "monotonic", lambda: now[0])
    one = work([], 100.0)
    one.reached(0, 50, "sheep")
    now[0] = 4.9  # too early to say
    one.reached(1, 50, "sheep")
    now[0] = 10.0
    one.reached(5, 50, "sheep")
    now[0] = 10.1
    with pytest.raises(TooExpensive) as caught:
        one.reached(5, 50, "sheep")
    assert str(caught.value) == (
        "counting over 50 sheep is estimated to take 101 s, beyond the limit of 100 s; count less, "
        "or accept the cost"
    )
    assert caught.value.subject == "much"
    now[0] = 1000.0
    one.reached(50, 50, "sheep")  # it is done
