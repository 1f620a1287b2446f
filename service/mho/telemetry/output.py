"""What a child process prints, as records of the log: in bounded lines, and in bounded number.

Whatever it prints is read to its end, so that a child never waits for us; what is too much is
dropped and counted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping

LONGEST = 2000
"""Bytes of a line that are kept."""
MOST = 200
"""Lines that are kept in each span of ``SPAN_SECONDS``."""
SPAN_SECONDS = 10.0

_PIECE = 65536

_log = logging.getLogger("mho.worker")


def relay(descriptor: int, known: Callable[[], Mapping[str, object]]) -> threading.Thread:
    """Log what comes from ``descriptor`` until its end, then close it, in a thread of its own.

    known: fields of the record, asked for at each line.
    """
    thread = threading.Thread(target=_relay, args=(descriptor, known), name="output", daemon=True)
    thread.start()
    return thread


def _relay(descriptor: int, known: Callable[[], Mapping[str, object]]) -> None:
    kept, dropped, since = 0, 0, time.monotonic()
    try:
        for line in _lines(descriptor):
            now = time.monotonic()
            if now - since >= SPAN_SECONDS:
                _tell_dropped(dropped, known())
                kept, dropped, since = 0, 0, now
            if kept >= MOST:
                dropped += 1
                continue
            kept += 1
            _log.warning("%s", line.decode("utf-8", "replace"), extra=dict(known()))
        _tell_dropped(dropped, known())
    finally:
        os.close(descriptor)


def _tell_dropped(number: int, known: Mapping[str, object]) -> None:
    if number:
        _log.warning("%d further lines of output were dropped", number, extra=dict(known))


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines without their ends, empty ones left out, long ones cut."""
    begun = b""
    while piece := os.read(descriptor, _PIECE):
        first, *more = piece.split(b"\n")
        begun += first[: LONGEST - len(begun)]
        for part in more:
            if begun.strip():
                yield begun.rstrip()
            begun = part[:LONGEST]
    if begun.strip():
        yield begun.rstrip()
