"""Locks between the threads of all servers that share a directory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mho.errors import Unavailable
from mho.jobs.layout import full_disk_named

if sys.platform != "win32":
    import fcntl

_WAITS_SECONDS = 30.0
_PAUSE_SECONDS = 0.005


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold ``file``, which is made where there is none; the kernel lets go of it for the dead.

    Unavailable where another holds it too long. On Windows, where one server has a directory for
    itself, threads are not kept apart.
    """
    with full_disk_named("a file is locked"):
        handle = file.open("ab")
    with handle:
        if sys.platform != "win32":
            _wait(handle.fileno())
        yield


if sys.platform != "win32":

    def _wait(descriptor: int) -> None:
        deadline = time.monotonic() + _WAITS_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"another server has been busy with such a file for {_WAITS_SECONDS:g} s; "
                        "send it again later",
                        subject="server",
                    ) from None
                time.sleep(_PAUSE_SECONDS)
            else:
                return
