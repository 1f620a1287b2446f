"""Work that is done before the first step of a method: how far it is, and whether it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from mho.errors import TooExpensive

_PROJECT_AFTER = 5.0
"""Seconds after which the cost of the whole is projected."""


class Preparation:
    """Some work in known pieces. ``reached`` is to be called before every piece.

    what: as in messages. limit: seconds that it may be estimated to take. remedy: how it gets
    cheaper. option: the option that asked for it.
    """

    def __init__(
        self, what: str, say: Callable[[str], None], limit: float, *, remedy: str, option: str
    ) -> None:
        self._what = what
        self._say = say
        self._limit = limit
        self._remedy = remedy
        self._option = option
        self._began = time.monotonic()

    def reached(self, done: int, total: int, unit: str) -> None:
        """``done`` of ``total`` pieces are behind; TooExpensive where the whole is projected to
        take longer than the limit."""
        self._say(f"{self._what}: {done} of {total} {unit}")
        spent = time.monotonic() - self._began
        if spent < _PROJECT_AFTER or not 0 < done < total:
            return
        seconds = spent / done * total
        if seconds > self._limit:
            raise TooExpensive(
                f"{self._what} over {total} {unit} is estimated to take {seconds:.0f} s, beyond "
                f"the limit of {self._limit:.0f} s; {self._remedy}, or accept the cost",
                subject=self._option,
            )
