"""What a serving worker keeps warm: models that were prepared, and methods bound to them."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mho.graph.model import Model
from mho.method import Method
from mho.runtime.bind import Bound
from mho.runtime.prepare import Prepared
from mho.runtime.session import Sessions

_SESSION_SHARE = 2
"""A session takes about so many times the bytes of its graph: weights are laid out anew."""


@dataclass(frozen=True)
class WarmModel:
    """A model that was found to run; its methods share its sessions."""

    model: Model
    prepared: Prepared
    sessions: Sessions


@dataclass(frozen=True)
class WarmRun:
    """A method bound to a model and to some data; ``bound.again`` binds it to others."""

    kept: WarmModel
    method: Method[Any, Any]
    bound: Bound


class WarmRuns:
    """The runs used last: at most ``most``, whose models' sessions take at most ``memory`` bytes as
    far as that can be told; the one in use is kept whatever it takes.
    """

    def __init__(self, most: int, memory: int) -> None:
        self._most = max(1, most)
        self._memory = memory
        self._runs: OrderedDict[str, tuple[str, WarmRun]] = OrderedDict()

    def get(self, key: str, model: str, make: Callable[[], WarmRun]) -> WarmRun:
        """The run called ``key`` on the model called ``model``, made where it is not there."""
        if key in self._runs:
            self._runs.move_to_end(key)
        else:
            self._runs[key] = (model, make())
        self._shrink()
        return self._runs[key][1]

    def model(self, name: str) -> WarmModel | None:
        """The model called ``name``, where a run has it."""
        return next((run.kept for model, run in self._runs.values() if model == name), None)

    def _shrink(self) -> None:
        dropped = False
        while len(self._runs) > 1 and (
            len(self._runs) > self._most or self._bytes() > self._memory
        ):
            self._runs.popitem(last=False)
            dropped = True
        if dropped:
            gc.collect()  # graphs are full of cycles, and hold their sessions

    def _bytes(self) -> int:
        sessions = {id(run.kept.sessions): run.kept.sessions for _, run in self._runs.values()}
        return _SESSION_SHARE * sum(each.size for each in sessions.values())
