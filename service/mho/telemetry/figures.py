"""What a worker counts, and tells its server from time to time: plain numbers by name.

Counts are what came since the last time, levels what is so now. The server takes the names below,
finite and not negative, and nothing else from a worker.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

EVALUATIONS = "evaluations/"
KINDS = frozenset(
    {"forward", "head", "tail", "gradient", "resolved", "activation", "coalitions", "slopes"}
)
SESSION_HITS = "session_hits"
SESSION_MISSES = "session_misses"
SESSIONS = "sessions"
STANDARD_ERROR = "standard_error/"

_COUNTS = {*(EVALUATIONS + kind for kind in KINDS), SESSION_HITS, SESSION_MISSES}
_LEVELS = {SESSIONS, STANDARD_ERROR + "median", STANDARD_ERROR + "max"}
_LARGEST = 1e15
"""Beyond this no count is believed; a sum of them stays far below what a float holds."""

_lock = threading.Lock()
_counts: dict[str, float] = {}
_levels: dict[str, float] = {}


def count(name: str, amount: float = 1) -> None:
    """Add to a count of this process."""
    with _lock:
        _counts[name] = _counts.get(name, 0) + amount


def evaluated(kind: str, amount: float) -> None:
    """Count ``amount`` evaluations of a model at one input."""
    count(EVALUATIONS + kind, amount)


def level(name: str, value: float) -> None:
    """Set a level of this process."""
    with _lock:
        _levels[name] = value


def taken() -> dict[str, float]:
    """What is new since the last time."""
    with _lock:
        found = {**_counts, **_levels}
        _counts.clear()
        _levels.clear()
    return found


def checked(told: Any) -> Mapping[str, float]:
    """The part of what a worker told that can be believed in form."""
    if not isinstance(told, dict):
        return {}
    return {
        name: number
        for name, value in told.items()
        if name in _COUNTS or name in _LEVELS
        if 0 <= (number := finite(value)) <= _LARGEST
    }


def finite(value: Any) -> float:
    """``value`` as a float; 0 for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) else 0.0
