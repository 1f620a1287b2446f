"""One attribution in this process: opened from a task, stepped to its end, written as files.

The same object serves ``mho run`` and a worker of the server; neither adds anything to the numbers.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import mho
from mho.artifacts.context import Context
from mho.artifacts.write import write
from mho.config import Settings
from mho.data import dataset
from mho.data.dataset import Dataset
from mho.data.source import Source
from mho.errors import InvalidOption, TooExpensive
from mho.evaluation import Layer
from mho.graph import load as loading
from mho.graph import units
from mho.graph.load import Limits
from mho.graph.model import Model
from mho.jobs.task import Task
from mho.method import Method, Progress, build, options_of
from mho.players import GROUPS
from mho.registry import find
from mho.results import Result
from mho.runtime.bind import Bound, bind
from mho.runtime.prepare import prepare
from mho.runtime.provider import installed
from mho.runtime.session import Sessions
from mho.state import pack, unpack
from mho.types import JSON, Array

_SECONDS = "\x1fseconds"
_PROJECT_AFTER = 5.0
"""Seconds of steps after which the cost of the whole run is projected."""


class Run:
    """A method bound to its model and data, and the state it has reached."""

    def __init__(
        self, task: Task, method: Method[Any, Any], bound: Bound, data: Dataset, model: Model,
        provider: str, settings: Settings,
    ) -> None:  # fmt: skip
        self._task = task
        self._method = method
        self._bound = bound
        self._data = data
        self._model = model
        self._provider = provider
        self._limit = np.inf if task.cost_accepted else settings.cost_limit_seconds
        self._seconds = 0.0
        self._stepped = 0.0
        started = time.monotonic()
        self._state: Any = method.init(bound.evaluator)
        self._seconds += time.monotonic() - started
        self._from = method.progress(self._state).fraction

    @property
    def state_version(self) -> str:
        """Changes when a checkpoint of another version of the state could not be read."""
        return f"{mho.__version__}/{self._method.name}/{type(self._state).__name__}"

    @property
    def evaluator(self) -> Any:
        """What the method asks: one of the protocols of ``mho.evaluation``."""
        return self._bound.evaluator

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before the end: why an engine was taken, options without
        meaning."""
        return (f"engine {self._bound.engine}: {self._bound.why}", *self._bound.notes)

    @property
    def done(self) -> bool:
        return self._method.done(self._state)

    def progress(self) -> Progress:
        return self._method.progress(self._state)

    def step(self) -> None:
        """One step of the method. TooExpensive where the rest is projected to go beyond the
        limit."""
        started = time.monotonic()
        self._state = self._method.step(self._state, self._bound.evaluator)
        spent = time.monotonic() - started
        self._seconds += spent
        self._stepped += spent
        if self._stepped >= _PROJECT_AFTER and self._limit < np.inf:
            self._check_cost()

    def accept_cost(self) -> None:
        """Go on whatever it takes."""
        self._limit = np.inf

    def checkpoint(self) -> dict[str, Array]:
        """The state as plain arrays, with the seconds spent so far."""
        return {**pack(self._state), _SECONDS: np.asarray(self._seconds)}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what ``checkpoint`` gave, in this or an earlier process."""
        kept = {name: array for name, array in arrays.items() if name != _SECONDS}
        self._state = unpack(self._method.state_class(), kept)
        self._seconds = float(arrays[_SECONDS])
        self._from = self.progress().fraction
        self._stepped = 0.0

    def result(self) -> Result:
        return self._method.result(self._state, self._bound.evaluator)

    def write(self, folder: Path) -> None:
        """``result.json``, ``scores.npz`` and the pictures into ``folder``."""
        result = self.result()
        merged = Result(
            **{
                **{name: getattr(result, name) for name in result.__dataclass_fields__},
                "report": {**self._bound.facts, **result.report},
                "notes": (*self._bound.notes, *result.notes),
            }
        )
        write(merged, self._context(), folder)

    def _context(self) -> Context:
        return Context(
            method=self._method.name,
            options=_as_json(self._method),
            seed=self._method.seed,
            engine=self._bound.engine,
            why=self._bound.why,
            model_digest=self._model.digest,
            data_digest=self._data.digest,
            layers={layer.name: layer for layer in self._bound.layers},
            names=self._data.names,
            labels=self._data.labels,
            class_names=self._data.class_names,
            seconds=self._seconds,
            provider=self._provider,
            versions=_versions(),
            pictures=self._data.picture,
            model_name=self._task.model.name,
            data_name=self._task.data.inputs.name,
            unit_names=self._group_names(),
        )

    def _group_names(self) -> dict[str, list[str]]:
        players = getattr(self._bound.evaluator, "players", ())
        return (
            {GROUPS: [player.name for player in players]}
            if self._task.attachments.get("groups")
            else {}
        )

    def _check_cost(self) -> None:
        fraction = self.progress().fraction
        if fraction <= self._from or self.done:
            return
        rest = self._stepped / (fraction - self._from) * (1 - fraction)
        if self._seconds + rest > self._limit:
            raise TooExpensive(
                f"{self._method.name} over {len(self._bound.layers)} layers and "
                f"{len(self._data)} inputs is estimated to take {_duration(self._seconds + rest)}, "
                f"beyond the limit of {_duration(self._limit)}; choose fewer --layers or "
                "inputs, or accept the cost with --yes",
                subject="layers",
            )


def open_run(task: Task, settings: Settings, *, say: Callable[[str], None] = lambda _: None) -> Run:
    """Parse the model, read the data, bind the method. ``say`` hears what is being done.

    Raises MhoError of any kind; nothing is written.
    """
    method: Method[Any, Any] = build(
        find("mho.methods", Method, task.method, subject="method"),
        task.options,
    )
    _check_files(method, task)
    sessions = Sessions(settings)
    say("reading the model")
    model = loading.load(task.model, _limits(settings))
    say("reading the data")
    data = _read(task.data, model, settings)
    reference = None
    if "reference" in task.attachments:
        spec = None if data.preprocess is None else data.preprocess.text()
        reference = _read(Source(task.attachments["reference"], preprocess=spec), model, settings)
    say("preparing the graph")
    prepared = prepare(model, sessions, data.inputs)
    bound = bind(method, prepared, data, reference, task.attachments, sessions, settings)
    return Run(task, method, bound, data, model, sessions.provider.name, settings)


def inspect_model(path: Path, settings: Settings) -> dict[str, Any]:
    """What a model is: digest, inputs, outputs, layers, notes, as JSON. Raises InvalidModel."""
    model = loading.load(path, _limits(settings))
    return {
        "digest": model.digest,
        "inputs": [asdict(spec) for spec in model.inputs],
        "outputs": [asdict(spec) for spec in model.outputs],
        "layers": [layer_json(layer) for layer in units.layers(model)],
        "notes": list(model.notes),
    }


def inspect_data(model: Path, source: Source, settings: Settings) -> dict[str, Any]:
    """What a data set is, checked against ``model``: digest, number of inputs, what it carries."""
    found = _read(source, loading.load(model, _limits(settings)), settings)
    return {
        "digest": found.digest,
        "inputs": len(found),
        "labels": found.labels is not None,
        "groups": sorted(found.groups),
        "concepts": sorted(found.concepts),
        "names": list(found.names[:1000]),
    }


def layer_json(layer: Layer) -> dict[str, Any]:
    """One entry of ``mho layers --json``."""
    return {
        "name": layer.name,
        "op_type": layer.op_type,
        "units": layer.units,
        "shape": list(layer.shape),
        "axis": layer.axis,
        "engines": list(layer.engines),
    }


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_bytes=settings.max_model_bytes,
        max_nodes=settings.max_nodes,
        max_nesting=settings.max_nesting,
    )


def _read(source: Source, model: Model, settings: Settings) -> Dataset:
    return dataset.read(
        source,
        model.inputs,
        max_bytes=settings.max_data_bytes,
        max_pixels=settings.max_image_pixels,
    )


def _check_files(method: Method[Any, Any], task: Task) -> None:
    """An option that names a file must have one, unless its value is a keyword."""
    for entry, described in options_of(type(method)):
        value = getattr(method, entry.name)
        if not described.file or value == entry.default or value in described.choices:
            continue
        if entry.name not in task.attachments:
            kinds = ", ".join(described.choices)
            raise InvalidOption(
                f"option '{entry.name}' is '{value}', which is "
                + (f"neither one of {kinds} nor " if kinds else "not ")
                + "a file that exists",
                subject=entry.name,
            )


def _as_json(method: Method[Any, Any]) -> dict[str, JSON]:
    values = {entry.name: getattr(method, entry.name) for entry, _ in options_of(type(method))}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def _versions() -> dict[str, str]:
    name, number = installed().split(" ", 1)
    return {
        "mho": mho.__version__,
        name: number,
        "onnx": version("onnx"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
