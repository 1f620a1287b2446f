"""Standard output and error, whose reader may have seen enough before we are done: ``mho list |
head``.

What is then still written goes nowhere, and the command itself goes on: a run whose messages nobody
reads any more still has a result to write, and a server still has clients.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from mho.errors import MhoError


def write(stream: TextIO, text: str) -> None:
    """Write ``text`` at once. MhoError where the stream takes nothing, as on a full disk."""
    with _heeding(stream):
        stream.write(text)
        stream.flush()


def flush(stream: TextIO) -> None:
    """Write what is buffered, so that nothing is left to fail when the interpreter ends."""
    with _heeding(stream):
        stream.flush()


@contextmanager
def _heeding(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        discard(stream)
    except OSError as error:
        discard(stream)
        raise MhoError(f"the output cannot be written: {error.strerror or error}") from error


def discard(stream: TextIO) -> None:
    """Send nowhere what the stream still holds and what is still written to it."""
    with suppress(OSError, ValueError):  # a stream in memory has no file descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def accept_any_character() -> None:
    """Write a character that the terminal's encoding lacks as an escape rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
