"""A thread that does something again and again, until it is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Regularly:
    """name: of the thread. seconds: from the end of one time to the next. do: must not raise.
    at_once: the first time comes without a pause."""

    def __init__(
        self, name: str, seconds: float, do: Callable[[], None], *, at_once: bool = False
    ) -> None:
        self._seconds = seconds
        self._do = do
        self._at_once = at_once
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End it, after what it does now."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _serve(self) -> None:
        if self._at_once:
            self._do()
        while not self._closing.wait(self._seconds):
            self._do()
