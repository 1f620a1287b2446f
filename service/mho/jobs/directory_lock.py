"""Who may use a data directory: one server with SQLite, or any number that share a PostgreSQL."""

from __future__ import annotations

import os
import sys

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
            self._file.seek(0)
            owner = self._file.read(20).strip() or "unknown"
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
