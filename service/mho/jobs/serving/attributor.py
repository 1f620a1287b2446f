"""Answers queries in the worker: warm where the like was asked before, together where they fit.

What one query gets does not depend on those that share its run. Where a run of several fails, each
is run alone, so that only the one at fault hears of it.
"""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mho.config import Settings
from mho.data.dataset import Dataset
from mho.data.request import from_arrays, from_images, joined
from mho.errors import Cancelled
from mho.graph.model import Model
from mho.jobs.loading import load_model
from mho.jobs.messages import Message, failure
from mho.jobs.serving.parts import answer_of
from mho.jobs.serving.query import Answer, Frames, Query
from mho.jobs.serving.warm import WarmModel, WarmRun, WarmRuns
from mho.method import Method, build
from mho.registry import find
from mho.runtime.bind import bind
from mho.runtime.prepare import prepare
from mho.runtime.session import Interrupt, Sessions

_MOST_DECODED_BYTES = 256 * 1024 * 1024
"""Of one query's inputs as arrays."""


class Attributor:
    """``hide`` makes a message fit for clients; ``stop`` may be called from another thread."""

    def __init__(self, settings: Settings, hide: Callable[[str], str]) -> None:
        self._settings = settings
        self._hide = hide
        self._interrupt = Interrupt()
        self._warm = WarmRuns(settings.serving_sessions, settings.serving_memory_bytes)
        self._read_last: tuple[str, Model] | None = None

    def stop(self) -> None:
        """End what runs now."""
        self._interrupt.ask()

    def answer(self, message: Message) -> tuple[Message, Frames]:
        """The answers to a batch of queries, in their order, each with its own error."""
        received = message.get("frames", [])
        queries = [Query.from_json(query, received) for query in message["queries"]]
        found: list[Answer | Exception]
        try:
            found = self._batch(Path(message["model"]), queries)
        except Cancelled as error:
            found = [error] * len(queries)
        finally:
            self._interrupt.clear()
        frames: Frames = []
        answers = [
            self._error(each) if isinstance(each, Exception) else each.to_json(frames)
            for each in found
        ]
        return {"kind": "attributed", "answers": answers}, frames

    def _batch(self, path: Path, queries: Sequence[Query]) -> list[Answer | Exception]:
        found: list[Answer | Exception] = []
        data: list[Dataset] = []
        good: list[int] = []
        model = self._model(path)
        for place, query in enumerate(queries):
            try:
                data.append(self._read(query, model))
                good.append(place)
                found.append(Cancelled("not run"))
            except Exception as error:  # noqa: BLE001  # whatever it is, the caller is told
                found.append(_traced(error))
        groups: dict[str, list[int]] = {}
        for number, each in enumerate(data):
            shapes = {name: array.shape[1:] for name, array in each.inputs.items()}
            groups.setdefault(repr(shapes), []).append(number)
        for numbers in groups.values():
            asked = [queries[good[number]] for number in numbers]
            answers = self._run(path, model, asked, [data[number] for number in numbers])
            for number, answer in zip(numbers, answers, strict=True):
                found[good[number]] = answer
        return found

    def _run(
        self, path: Path, model: Model, queries: Sequence[Query], data: Sequence[Dataset]
    ) -> list[Answer | Exception]:
        """The answers of one run; of one for each query where that fails."""
        try:
            return [*self._together(path, model, queries, data)]
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001  # as above
            if len(queries) == 1:
                return [_traced(error)]
        pairs = zip(queries, data, strict=True)
        return [found for pair in pairs for found in self._run(path, model, [pair[0]], [pair[1]])]

    def _together(
        self, path: Path, model: Model, queries: Sequence[Query], data: Sequence[Dataset]
    ) -> list[Answer]:
        started = time.monotonic()
        whole = joined(data)
        run = self._bound(path, model, queries[0], whole)
        method, bound = run.method, run.bound
        state: Any = method.init(bound.evaluator)
        while not method.done(state):
            self._interrupt.check()
            state = method.step(state, bound.evaluator)
        ends = list(accumulate(map(len, data), initial=0))
        answers = [
            answer_of(run, state, slice(*rows), query.top)
            for rows, query in zip(pairwise(ends), queries, strict=True)
        ]
        seconds = time.monotonic() - started
        return [replace(answer, seconds=seconds, inputs=len(whole)) for answer in answers]

    def _bound(self, path: Path, model: Model, query: Query, data: Dataset) -> WarmRun:
        """The method bound to ``data``."""
        shapes = {name: array.shape[1:] for name, array in data.inputs.items()}
        asked = [str(path), query.method, query.options, query.preprocess]
        fresh = False

        def make() -> WarmRun:
            nonlocal fresh
            fresh = True
            kind: type[Any] = find("mho.methods", Method, query.method, subject="method")
            method = build(kind, query.options)
            kept = self._warm.model(str(path))
            if kept is None:
                sessions = Sessions(replace(self._settings, session_cache=64), self._interrupt)
                kept = WarmModel(model, prepare(model, sessions, data.inputs), sessions)
            # What a call may take is told by its deadline.
            settings = replace(self._settings, cost_limit_seconds=math.inf)
            bound = bind(method, kept.prepared, data, None, {}, kept.sessions, settings)
            return WarmRun(kept, method, bound)

        key = json.dumps([*asked, repr(shapes)], sort_keys=True)
        run = self._warm.get(key, str(path), make)
        if fresh or run.bound.again is None:
            return run
        return replace(run, bound=run.bound.again(data))

    def _model(self, path: Path) -> Model:
        """The model as it was read: one that is warm, or the last."""
        kept = self._warm.model(str(path))
        if kept is not None:
            return kept.model
        if self._read_last is None or self._read_last[0] != str(path):
            self._read_last = (str(path), load_model(path, self._settings))
        return self._read_last[1]

    def _read(self, query: Query, model: Model) -> Dataset:
        if query.images:
            return from_images(
                query.images,
                model.inputs,
                query.preprocess,
                labels=query.labels,
                max_bytes=_MOST_DECODED_BYTES,
                max_pixels=self._settings.max_image_pixels,
            )
        arrays = {
            name: np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
            for name, tensor in query.tensors.items()
        }
        return from_arrays(arrays, model.inputs, query.preprocess, labels=query.labels)

    def _error(self, error: Exception) -> dict[str, Any]:
        told = failure(error, "\n".join(getattr(error, "__notes__", [])))
        told["message"] = self._hide(told["message"])
        told["subject"] = self._hide(told["subject"])
        return {"error": told}


def _traced(error: Exception) -> Exception:
    """``error`` with its trace as a note, for the server's log."""
    error.add_note(traceback.format_exc())
    return error
