"""Who may use a data directory: one server with SQLite, or any number that share a PostgreSQL."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from mho.errors import FailedPrecondition
from mho.jobs.layout import Layout

if sys.platform != "win32":
    import fcntl


class DirectoryLock:
    """Holds a data directory; the kernel lets go of it when the process dies.

    shared: others that share it may hold it too. FailedPrecondition where one is in the way.
    """

    def __init__(self, layout: Layout, *, shared: bool = False) -> None:
        self._file = layout.lock.open("a+", encoding="utf-8")
        try:
            if sys.platform != "win32":
                kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except OSError as error:
            owner = _owner(self._file)
            self._file.close()
            raise FailedPrecondition(
                f"the data directory {layout.root} is in use by another mho server (process "
                f"{owner}); stop that server or set data_dir to another directory",
                subject="data_dir",
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def holder(layout: Layout) -> str | None:
    """The process that has the data directory to itself; None where there is none."""
    try:
        with layout.lock.open(encoding="utf-8") as file:
            if sys.platform != "win32":
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return _owner(file)
    except FileNotFoundError:
        pass
    return None


def _owner(file: TextIO) -> str:
    file.seek(0)
    return file.read(20).strip() or "unknown"
