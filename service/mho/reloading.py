"""Files that change while the server runs: certificates, keys, tenants."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from mho.errors import MhoError

_Content = TypeVar("_Content")

_log = logging.getLogger("mho.reloading")


class Reloaded(Generic[_Content]):
    """What ``read`` makes of ``files``, made anew once one of them has changed.

    The first reading raises what ``read`` raises. Later, where a change cannot be read (MhoError),
    the last good content stays and the log says so, once for each change. Thread-safe.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], _Content]) -> None:
        self._files = tuple(files)
        self._read = read
        self._lock = threading.Lock()
        self._seen = self._state()
        self._content = read()

    @property
    def content(self) -> _Content:
        """The content as of now; costs one look at each file's entry in its folder."""
        with self._lock:
            state = self._state()
            if state != self._seen:
                self._seen = state
                self._take()
            return self._content

    def _take(self) -> None:
        names = ", ".join(str(file) for file in self._files)
        try:
            self._content = self._read()
        except MhoError as error:
            _log.error("%s changed, what was read before stays in use: %s", names, error.message)
        else:
            _log.info("%s changed and was read again", names)

    def _state(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_state_of(file) for file in self._files)


def _state_of(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
