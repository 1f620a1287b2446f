"""The worker process: does one request after another, and nothing else.

It is started as ``python -P -m mho.jobs.worker FD`` with one end of a pipe and reads its settings
from it. It touches only the paths that a request names. The server may kill it at any moment; what
counts is on disk in a checkpoint or in a result that the server has taken over.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from mho.config import Settings
from mho.data.source import Source
from mho.errors import ResourceExhausted
from mho.jobs.layout import Layout, full_disk_named
from mho.jobs.messages import Message, PipeClosed, failure, receive, send
from mho.jobs.run_loop import Run, RunLoop, Stopped
from mho.jobs.task import Task
from mho.telemetry import figures

_KILL_ME_FIRST = "600"  # of 1000: when memory runs out, the worker goes and not the server
_PR_SET_PDEATHSIG = 1


class Entry(Protocol):
    """The module that does the work: ``mho.jobs.attribution``, or a toy in tests."""

    def open_run(self, task: Task, settings: Settings) -> Run: ...
    def inspect_model(self, path: Path, settings: Settings) -> dict[str, Any]: ...
    def inspect_data(self, model: Path, source: Source, settings: Settings) -> dict[str, Any]: ...
    def attributor(self, settings: Settings, hide: Callable[[str], str]) -> Attributor: ...


class Attributor(Protocol):
    """Answers synchronous calls; see ``mho.jobs.serving.attributor``."""

    def answer(self, message: Message) -> tuple[Message, list[bytes]]: ...
    def stop(self) -> None: ...


class Mailbox:
    """Messages from the server, read as they come; without a server the process ends at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.on_stop: Callable[[], None] | None = None
        """Called at once, from another thread, when the run in hand is to end."""
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="mailbox", daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                message = receive(self._connection)
            except PipeClosed:
                os._exit(0)
            if message["kind"] != "stop":
                self._messages.put(message)
            elif self.on_stop is not None:
                self.on_stop()

    def next(self) -> Message:
        return self._messages.get()

    def stop_asked(self, job: str, attempt: int) -> str:
        """``cancel`` or ``drain`` where that was asked for this attempt; "" otherwise."""
        with suppress(queue.Empty):
            while True:
                message = self._messages.get_nowait()
                if message["kind"] in ("cancel", "drain") and (
                    message["job"] == job and message["attempt"] == attempt
                ):
                    return str(message["kind"])
        return ""


def main(connection: Connection, settings: Settings, entry: str) -> None:
    """Serve requests until the server closes the pipe."""
    work: Entry = importlib.import_module(entry)
    layout = Layout(Path(settings.data_dir))
    mailbox = Mailbox(connection)
    attributor: Attributor | None = None
    send(connection, {"kind": "ready"})
    while True:
        request = mailbox.next()
        frames: list[bytes] = []
        kind = request["kind"]
        try:
            if kind == "inspect_model":
                value = work.inspect_model(Path(request["path"]), settings)
                answer: Message = {"kind": "inspected", "value": json.dumps(value)}
            elif kind == "inspect_data":
                source = Source.from_json(request["source"])
                value = work.inspect_data(Path(request["model"]), source, settings)
                answer = {"kind": "inspected", "value": json.dumps(value)}
            elif kind == "run":
                RunLoop(work.open_run, request, settings, connection, mailbox.stop_asked).go()
                answer = {"kind": "succeeded"}
            elif kind == "attribute":
                if attributor is None:
                    attributor = work.attributor(settings, layout.hide)
                    mailbox.on_stop = attributor.stop
                answer, frames = attributor.answer(request)
            else:  # a word to a run that has just ended
                continue
        except Stopped as stopped:
            answer = {"kind": "stopped", "why": stopped.why}
        except PipeClosed:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the server is told
            answer = failure(_named(error), traceback.format_exc())
            answer["message"] = layout.hide(answer["message"])
            answer["subject"] = layout.hide(answer["subject"])
        answer["figures"] = figures.taken()
        send(connection, answer, frames)


def _named(error: Exception) -> Exception:
    """A full disk or exhausted memory told by the operating system, as the error that it is."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return MemoryError()
    if isinstance(error, OSError):
        try:
            with full_disk_named("the job runs"):
                raise error
        except ResourceExhausted as full:
            return full
        except OSError:
            return error
    return error


def _die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the server's thread that started us ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_KILL_ME_FIRST, encoding="ascii")


def _limit_leftovers() -> None:
    """No core dumps: they would hold users' data and fill the disk."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _die_with_parent()
    _limit_leftovers()
    pipe = Connection(int(sys.argv[1]))
    try:
        start = receive(pipe)
        main(pipe, Settings(**start["settings"]), start["entry"])
    except PipeClosed:
        sys.exit(0)
