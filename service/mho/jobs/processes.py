"""One worker process and the pipe to it.

Workers are fresh interpreters, never forks of the server (which has threads, sockets and a
database), and are told everything over the pipe. They get neither the server's secrets in their
environment nor any of its open files.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from mho.config import Settings
from mho.jobs.layout import Layout
from mho.jobs.messages import Message, PipeClosed, receive, send
from mho.telemetry import figures, processes
from mho.telemetry.about import fields
from mho.telemetry.output import relay

_READY_SECONDS = 120.0
_LEAST_PRIORITY = 19
_LAST_WORDS_SECONDS = 1.0
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_", "TZ", "TMP", "TEMP", "PYTHON", "VIRTUAL_ENV", "COVERAGE"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_", "MALLOC_"),
    *("CUDA", "NVIDIA", "ORT_", "OMP_", "KMP_", "MKL_", "OPENBLAS_"),
)
"""Beginnings of the names of environment variables that a worker may see."""
_SET = {
    "ORT_LOAD_CONFIG_FROM_MODEL": "0",  # or a model's metadata could set options of its session
    "PYTHONUNBUFFERED": "1",
}


class WorkerProcess:
    """A running worker. Made and used by one thread, which must live as long as the worker does:

    the kernel kills the worker when the thread that started it ends (see ``worker``).
    """

    def __init__(self, settings: Settings, entry: str, *, role: str = "job") -> None:
        """Start it; ``ready`` waits until it can take work. role: ``job``, ``inspection`` or
        ``serving``, for which the others make way in the order in which the operating system hands
        out the processor."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mho.jobs.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # what libraries print goes into the server's log
                stderr=subprocess.STDOUT,
                cwd=Layout(Path(settings.data_dir)).nowhere,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the server, which then drains
            )
        if role != "serving":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _LEAST_PRIORITY)
        self._connection = Connection(ours.detach())
        processes.started(self.pid, role)
        self.tenant: str | None = None
        """Whose bytes it has seen; it is not given to another tenant."""
        self._known: Mapping[str, object] = fields()
        assert self._process.stdout is not None
        self._output = relay(os.dup(self._process.stdout.fileno()), self._named)
        self._process.stdout.close()
        with suppress(PipeClosed):  # a worker that died at once is noticed by ``ready``
            # Workers read what strangers made: the database's password is none of their business.
            told = dataclasses.asdict(dataclasses.replace(settings, database=""))
            self.send({"settings": told, "entry": entry, "kind": "start"})

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ready(self) -> None:
        """Wait until the worker has started; PipeClosed where it does not."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._connection.poll(0.2):
            if time.monotonic() > deadline:
                raise PipeClosed(f"no sign of life within {_READY_SECONDS:g} s")
        self.receive()

    def waiting(self, seconds: float) -> bool:
        """Whether a message (or the end) can be received within ``seconds``."""
        try:
            return self._connection.poll(seconds)
        except (OSError, EOFError):
            return True

    def send(self, message: Message, frames: Sequence[bytes] = ()) -> None:
        self._known = fields()
        send(self._connection, message, frames)

    def hold(self, held: bool) -> None:
        """Stop it where it is, or let it go on."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGSTOP if held else signal.SIGCONT)

    def receive(self) -> Message:
        message = receive(self._connection)
        processes.heard(self.pid, figures.checked(message.pop("figures", None)))
        return message

    def kill(self) -> str:
        """End it at once and wait for its end; says how it ended."""
        with suppress(ProcessLookupError):
            self._process.kill()
        processes.ending(self.pid)
        code = self._process.wait()
        self._connection.close()
        self._output.join(_LAST_WORDS_SECONDS)
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def _named(self) -> dict[str, object]:
        """What it works on, for records of what it prints."""
        tenant = {} if self.tenant is None else {"tenant": self.tenant}
        return {**self._known, **tenant, "pid": self.pid}


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    # The server's own search path, made absolute: the worker stands in another directory.
    path = [str(Path(entry).absolute()) for entry in sys.path]
    return kept | _SET | {"PYTHONPATH": os.pathsep.join(path)}
