"""One attribution in this process: opened from a task, stepped to its end, written as files.

The same object serves ``mho run`` and a worker of the server; neither adds anything to the numbers.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import mho
from mho.artifacts.context import Context
from mho.artifacts.write import write
from mho.config import Settings
from mho.data import dataset
from mho.data.attachments import digest
from mho.data.dataset import Dataset
from mho.data.source import Source
from mho.errors import InvalidOption, TooExpensive
from mho.evaluation import Layer
from mho.graph import units
from mho.graph.engines import with_engines
from mho.graph.flow import is_float, named_values
from mho.graph.model import Model
from mho.jobs.loading import load_model
from mho.jobs.serving.attributor import Attributor
from mho.jobs.task import Task
from mho.method import Method, Progress, build, options_of
from mho.registry import find
from mho.results import Result
from mho.runtime.bind import Bound, bind
from mho.runtime.prepare import prepare
from mho.runtime.provider import installed
from mho.runtime.session import Sessions
from mho.state import pack, unpack
from mho.telemetry import figures
from mho.types import JSON, Array

_SECONDS = "\x1fseconds"
_PROJECT_AFTER = 5.0
"""Seconds of steps after which the cost of the whole run is projected."""


@dataclass(frozen=True)
class Opened:
    """What a task named, read and checked. attachments: option -> name and digest of its file."""

    task: Task
    method: Method[Any, Any]
    model: Model
    data: Dataset
    bound: Bound
    provider: str
    attachments: Mapping[str, Mapping[str, str]]


class Run:
    """A method bound to its model and data, and the state it has reached.

    ``seconds`` have gone into it before, and go into its clock.
    """

    def __init__(self, opened: Opened, settings: Settings, seconds: float = 0.0) -> None:
        self._opened = opened
        self._method = opened.method
        self._evaluator = opened.bound.evaluator
        self._limit = np.inf if opened.task.cost_accepted else settings.cost_limit_seconds
        self._seconds = seconds
        self._stepped = 0.0
        self._from = 0.0
        self._state: Any = None

    @property
    def state_version(self) -> str:
        """Changes when a checkpoint of another version of the state could not be read."""
        return f"{mho.__version__}/{self._method.name}/{self._method.state_class().__name__}"

    @property
    def evaluator(self) -> Any:
        """What the method asks: one of the protocols of ``mho.evaluation``."""
        return self._evaluator

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before the end: why an engine was taken, options without
        meaning."""
        bound = self._opened.bound
        return (*([f"engine {bound.engine}: {bound.why}"] if bound.engine else []), *bound.notes)

    @property
    def done(self) -> bool:
        return self._method.done(self._begun())

    def progress(self) -> Progress:
        return self._method.progress(self._begun())

    def step(self) -> None:
        """One step of the method. TooExpensive where the rest is projected to go beyond the
        limit."""
        started = time.monotonic()
        self._state = self._method.step(self._begun(), self._evaluator)
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
        return {**pack(self._begun()), _SECONDS: np.asarray(self._seconds)}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what ``checkpoint`` gave, in this or an earlier process."""
        kept = {name: array for name, array in arrays.items() if name != _SECONDS}
        self._state = unpack(self._method.state_class(), kept)
        self._seconds += float(arrays[_SECONDS])
        self._from = self.progress().fraction
        self._stepped = 0.0

    def result(self) -> Result:
        return self._method.result(self._begun(), self._evaluator)

    def write(self, folder: Path) -> None:
        """``result.json``, ``scores.npz`` and the pictures into ``folder``."""
        result, bound = self.result(), self._opened.bound
        merged = replace(
            result,
            report={**bound.facts, **result.report},
            notes=(*bound.notes, *result.notes),
        )
        write(merged, self._context(), folder)
        _tell_errors(merged)

    def _begun(self) -> Any:
        """The state; the method's first one where nothing was restored."""
        if self._state is None:
            started = time.monotonic()
            self._state = self._method.init(self._evaluator)
            self._seconds += time.monotonic() - started
        return self._state

    def _context(self) -> Context:
        opened = self._opened
        return Context(
            method=self._method.name,
            options=_as_json(self._method),
            seed=self._method.seed,
            engine=opened.bound.engine,
            why=opened.bound.why,
            model_digest=opened.model.digest,
            data_digest=opened.data.digest,
            layers={layer.name: layer for layer in opened.bound.layers},
            names=opened.data.names,
            labels=opened.data.labels,
            class_names=opened.data.class_names,
            seconds=self._seconds,
            provider=opened.provider,
            versions=_versions(),
            pictures=opened.data.picture,
            model_name=opened.task.model.name,
            data_name=opened.task.data.inputs.name,
            attachments=opened.attachments,
        )

    def _check_cost(self) -> None:
        fraction = self.progress().fraction
        if fraction <= self._from or self.done:
            return
        rest = self._stepped / (fraction - self._from) * (1 - fraction)
        if self._seconds + rest > self._limit:
            raise TooExpensive(
                f"{self._method.name} over {len(self._opened.bound.layers)} layers and "
                f"{len(self._opened.data)} inputs is estimated to take "
                f"{_duration(self._seconds + rest)}, beyond the limit of "
                f"{_duration(self._limit)}; choose fewer layers or inputs, or accept the cost",
                subject="layers",
            )


def open_run(task: Task, settings: Settings, *, say: Callable[[str], None] = lambda _: None) -> Run:
    """Parse the model, read the data, bind the method. ``say`` hears what is being done.

    Raises MhoError of any kind; nothing is written.
    """
    started = time.monotonic()
    files = {name: path.name for name, path in task.attachments.items()}
    kind = find("mho.methods", Method, task.method, subject="method")
    method: Method[Any, Any] = build(kind, {**task.options, **files})
    _check_files(method, task)
    sessions = Sessions(settings)
    say("reading the model")
    model = load_model(task.model, settings)
    say("reading the data")
    data = _read(task.data, model, settings)
    reference = None
    digests: dict[str, str] = {}
    if "reference" in task.attachments:
        spec = None if data.preprocess is None else data.preprocess.text()
        reference = _read(Source(task.attachments["reference"], preprocess=spec), model, settings)
        digests["reference"] = reference.digest
    say("checking that the model can be run in batches")
    prepared = prepare(model, sessions, data.inputs)
    say(f"running the model on {len(data)} inputs")
    if task.cost_accepted:
        settings = replace(settings, cost_limit_seconds=math.inf)
    bound = bind(method, prepared, data, reference, task.attachments, sessions, settings, say)
    attachments = {
        name: {"name": files[name], "digest": digests.get(name) or digest(path)}
        for name, path in task.attachments.items()
    }
    opened = Opened(task, method, model, data, bound, sessions.provider.name, attachments)
    return Run(opened, settings, time.monotonic() - started)


def inspect_model(path: Path, settings: Settings) -> dict[str, Any]:
    """What a model is: digest, inputs, outputs, layers, notes, as JSON. Raises InvalidModel."""
    model = load_model(path, settings)
    layers, notes = with_engines(model, units.layers(model))
    return {
        "digest": model.digest,
        "inputs": [asdict(spec) for spec in model.inputs],
        "outputs": [asdict(spec) for spec in model.outputs],
        "layers": [layer_json(layer) for layer in layers],
        "tensors": [name for name, value in named_values(model.graph).items() if is_float(value)],
        "notes": [*model.notes, *notes],
    }


def inspect_data(model: Path, source: Source, settings: Settings) -> dict[str, Any]:
    """What a data set is, checked against ``model``: digest, number of inputs, what it carries."""
    found = _read(source, load_model(model, settings), settings)
    return {
        "digest": found.digest,
        "inputs": len(found),
        "labels": found.labels is not None,
        "truth": found.truth is not None,
        "groups": sorted(found.groups),
        "concepts": sorted(found.concepts),
        "names": list(found.names[:1000]),
    }


def attributor(settings: Settings, hide: Callable[[str], str]) -> Attributor:
    """What answers synchronous calls in this process; ``hide`` makes messages fit for clients."""
    return Attributor(settings, hide)


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


def _tell_errors(result: Result) -> None:
    found = [error[np.isfinite(error)].ravel() for error in result.std_error.values()]
    errors = np.concatenate(found) if found else np.zeros(0)
    if errors.size:
        figures.level(figures.STANDARD_ERROR + "median", float(np.median(errors)))
        figures.level(figures.STANDARD_ERROR + "max", float(errors.max()))


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
