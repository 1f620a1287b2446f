"""What the tests of this folder bind: data sets and problems in memory, sessions on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mho.config import Settings
from mho.data.dataset import Dataset
from mho.data.preprocess import Preprocess
from mho.graph import units
from mho.graph.model import Model
from mho.graph.target import scored
from mho.method import Method
from mho.runtime.bind import Bound, bind
from mho.runtime.prepare import Prepared, prepare
from mho.runtime.problem import Problem
from mho.runtime.session import Sessions

SETTINGS = Settings(provider="cpu", threads=1)


def data(
    inputs: Mapping[str, np.ndarray] | np.ndarray,
    labels: Any = None,
    preprocess: Preprocess | None = None,
) -> Dataset:
    arrays = dict(inputs) if isinstance(inputs, Mapping) else {"x": inputs}
    count = len(next(iter(arrays.values())))
    return Dataset(
        inputs=arrays,
        labels=None if labels is None else np.asarray(labels, dtype=np.int64),
        groups={},
        concepts={},
        names=tuple(f"input{i}" for i in range(count)),
        preprocess=preprocess,
    )


def problem(
    model: Model, given: Dataset, *layers: str, single: bool = False, settings: Settings = SETTINGS
) -> Problem:
    made = scored(model)
    chosen = tuple(units.layer(made, name) for name in layers)
    return Problem(made, single, given, chosen, Sessions(settings), settings)


def bound(
    method: Method[Any, Any],
    model: Model,
    given: Dataset,
    *,
    reference: Dataset | None = None,
    files: Mapping[str, Path] | None = None,
    single: bool = False,
    settings: Settings = SETTINGS,
) -> Bound:
    """``method`` bound as a run binds it; ``single`` forces batches of one."""
    sessions = Sessions(settings)
    ready = prepare(model, sessions, given.inputs)
    if single:
        ready = Prepared(ready.model, single=True)
    return bind(method, ready, given, reference, files or {}, sessions, settings)


def finished(method: Method[Any, Any], evaluator: Any) -> Any:
    """The result of running ``method`` to its end."""
    state = method.init(evaluator)
    while not method.done(state):
        state = method.step(state, evaluator)
    return method.result(state, evaluator)
