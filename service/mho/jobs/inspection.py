"""Looks at uploaded models and data in processes of their own, within a wall clock."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from mho.config import Settings
from mho.errors import InvalidModel, MhoError, ResourceExhausted, Unavailable
from mho.jobs.messages import Message, PipeClosed, error_of, text_of
from mho.jobs.processes import WorkerProcess
from mho.telemetry.about import about, fields
from mho.telemetry.processes import died

_IDLE_SECONDS = 60.0
_MOST_WAITING = 256

_log = logging.getLogger("mho.jobs.inspection")


@dataclass
class _Request:
    """``name`` and ``error`` are for the message where the file is the reason that it fails;
    ``known`` is what the log says of the call that asks."""

    tenant: str
    message: Message
    name: str
    error: type[MhoError]
    answer: Future[dict[str, Any]] = field(default_factory=Future)
    known: Mapping[str, object] = field(default_factory=fields)


class Inspectors:
    """``count`` threads, each with a process while there is something to look at."""

    def __init__(self, settings: Settings, entry: str, *, count: int = 2) -> None:
        self._settings = settings
        self._entry = entry
        self._requests: queue.Queue[_Request] = queue.Queue(_MOST_WAITING)
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, name=f"inspector-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return
            request.answer.set_exception(_stopping())

    def ask(
        self, tenant: str, message: Message, *, name: str, error: type[MhoError] = InvalidModel
    ) -> dict[str, Any]:
        """The answer to ``message``; raises what the inspection raises.

        ``error`` about ``name`` where the inspection takes too long or brings its process down.
        """
        request = _Request(tenant, message, name, error)
        if self._closing.is_set():
            raise _stopping()
        try:
            self._requests.put_nowait(request)
        except queue.Full:
            raise ResourceExhausted(
                f"{_MOST_WAITING} uploads are waiting to be checked; try again later",
                subject="inspections",
                retry_seconds=5,
            ) from None
        while True:
            try:
                return request.answer.result(timeout=1.0)
            except TimeoutError:
                if self._closing.is_set() and not any(t.is_alive() for t in self._threads):
                    raise _stopping() from None

    def _serve(self) -> None:
        process: WorkerProcess | None = None
        used = time.monotonic()
        while not self._closing.is_set():
            try:
                request = self._requests.get(timeout=0.2)
            except queue.Empty:
                if process is not None and time.monotonic() - used >= _IDLE_SECONDS:
                    process.kill()
                    process = None
                continue
            try:
                with about(**request.known):
                    try:
                        process = self._fresh(process, request.tenant)
                        answer = self._answer(process, request)
                    except PipeClosed:  # the file's fault only if it happens again
                        process = self._fresh(process, request.tenant)
                        answer = self._answer(process, request)
            except PipeClosed as error:
                request.answer.set_exception(_blamed(request, error))
            except MhoError as error:
                request.answer.set_exception(error)
            except Exception:  # noqa: BLE001  # it is logged; the thread serves on
                _log.exception("an inspection failed", extra={"tenant": request.tenant})
                request.answer.set_exception(MhoError("the inspection could not be carried out"))
            else:
                request.answer.set_result(answer)
            used = time.monotonic()
        if process is not None:
            process.kill()

    def _fresh(self, process: WorkerProcess | None, tenant: str) -> WorkerProcess:
        """A process that has seen no other tenant's bytes; _NotStarted where there is none."""
        if process is not None:
            if process.alive and process.tenant == tenant:
                return process
            process.kill()
        process = WorkerProcess(self._settings, self._entry, role="inspection")
        try:
            process.ready()
        except PipeClosed as error:
            process.kill()
            raise _NotStarted from error
        process.tenant = tenant
        return process

    def _answer(self, process: WorkerProcess, request: _Request) -> dict[str, Any]:
        limit = self._settings.inspect_seconds
        try:
            process.send(request.message)
            deadline = time.monotonic() + limit
            while not process.waiting(0.2):
                if self._closing.is_set():
                    raise _stopping()
                if time.monotonic() >= deadline:
                    process.kill()
                    died("inspection", "timeout")
                    raise request.error(
                        f"'{request.name}' took longer than {limit:g} s to check (setting "
                        "inspect_seconds); simplify it or have the limit raised",
                        subject=request.name,
                    )
            message = process.receive()
            if message["kind"] == "failed":
                trace = text_of(message, "trace", 100_000)
                if trace:
                    _log.error(
                        "inspecting %r failed\n%s",
                        request.name,
                        trace,
                        extra={"tenant": request.tenant},
                    )
                raise error_of(message)
            if message["kind"] != "inspected":
                raise PipeClosed(f"an answer of the kind {message['kind']!r}")
            value = json.loads(message["value"])
            if not isinstance(value, dict):
                raise PipeClosed("an answer that is no object")
            return value
        except (PipeClosed, ValueError, TypeError, KeyError) as error:
            ending = process.kill()
            died("inspection", ending)
            _log.warning("inspecting %r ended the process: %s, %s", request.name, ending, error)
            raise PipeClosed(ending) from error


class _NotStarted(PipeClosed):
    """The process died before it had seen anything."""


def _blamed(request: _Request, error: PipeClosed) -> MhoError:
    """What is told of an inspection whose process died twice."""
    if isinstance(error, _NotStarted):
        return Unavailable(
            "the processes that check uploads do not start; try again soon",
            subject="server",
            retry_seconds=5,
        )
    return request.error(
        f"checking '{request.name}' ended the process that read it, twice (out of memory, or a "
        "damaged file); check the file, and try a smaller one",
        subject=request.name,
    )


def _stopping() -> MhoError:
    return Unavailable("the server is stopping; try again soon", subject="server", retry_seconds=1)
