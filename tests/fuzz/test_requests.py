"""Every call of the API with requests drawn from their descriptors: a documented answer to each.

A bounded number, the same every time; ``campaign.py`` goes on for as long as it is told.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.messages import drawn, mutated, wire
from fuzz.place import Place
from mho.api.roles import NEEDED

CALLS = sorted(call.removeprefix("/") for call in NEEDED)
SLOW = {"mho.v1.Jobs/CreateJob": 10, "mho.v1.Attributions/Attribute": 8}
BOUNDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("path", CALLS)
def test_every_request_has_a_documented_answer(fuzzed: Place, path: str) -> None:
    @settings(BOUNDED, max_examples=SLOW.get(path, 15))
    @given(requests_of(fuzzed, path))
    def sent(messages: list[bytes]) -> None:
        fuzzed.send(path, messages)

    sent()
    fuzzed.healthy()


def requests_of(place: Place, path: str) -> st.SearchStrategy[list[bytes]]:
    """What is sent by one call: a seed with changes, or something drawn; of a stream several."""
    call, pool = place.calls[path], place.pool(path)
    new: st.SearchStrategy[Any] = drawn(call.request, pool)
    if not call.streams_in:
        kinds = [mutated(seed[0], pool) for seed in call.seeds]
        return wire(st.one_of(*kinds, *kinds, new)).map(lambda message: [message])
    changed = [st.tuples(*(wire(mutated(m, pool, 1)) for m in seed)) for seed in call.seeds]
    return st.one_of(*(each.map(list) for each in changed), st.lists(wire(new), max_size=5))
