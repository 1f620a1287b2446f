"""The loop that the worker owns, for tests that run a method against an evaluator of their own."""

from __future__ import annotations

from typing import Any

from mho.results import Result
from mho.state import pack, unpack


def solve(method: Any, evaluator: Any, *, restart_after: int = -1) -> Result:
    """The result of ``method``; after that many steps it goes on from its packed state."""
    state, steps = method.init(evaluator), 0
    while True:
        if steps == restart_after:
            state = unpack(method.state_class(), pack(state))
        if method.done(state):
            result: Result = method.result(state, evaluator)
            return result
        state = method.step(state, evaluator)
        steps += 1
