"""What the server and its workers say to each other: JSON objects over a pipe, never pickles.

Arrays follow their message as frames of plain bytes; ``receive`` puts them under ``frames``.

A worker reads bytes that users made, so the server trusts none of its words further than their
form.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from mho.errors import MhoError, by_reason
from mho.method import Progress
from mho.telemetry.figures import finite

_LARGEST = 256 * 1024 * 1024
_MOST_FRAMES = 10_000

Message = dict[str, Any]


class PipeClosed(Exception):
    """The other side is gone, or says what is no message."""


def send(connection: Connection, message: Message, frames: Sequence[bytes] = ()) -> None:
    """PipeClosed where nobody listens any more."""
    try:
        if frames:
            message = {**message, "frames": len(frames)}
        connection.send_bytes(json.dumps(message).encode())
        for frame in frames:
            connection.send_bytes(frame)
    except (OSError, ValueError) as error:
        raise PipeClosed(str(error)) from error


def receive(connection: Connection) -> Message:
    """The next message; PipeClosed at the end."""
    try:
        message = json.loads(connection.recv_bytes(_LARGEST))
        if isinstance(message, dict) and "frames" in message:
            message["frames"] = _frames(connection, message["frames"])
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise PipeClosed(str(error)) from error
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise PipeClosed("a message without a kind")
    return message


def _frames(connection: Connection, count: Any) -> list[bytes]:
    if not isinstance(count, int) or not 0 <= count <= _MOST_FRAMES:
        raise PipeClosed("a message with an impossible number of frames")
    frames: list[bytes] = []
    left = _LARGEST
    for _ in range(count):
        frames.append(connection.recv_bytes(left))
        left -= len(frames[-1])
    return frames


def failure(error: BaseException, trace: str) -> Message:
    """The message about an error: a domain error in its own words, any other without details.

    trace: goes into the server's log and nowhere else.
    """
    if isinstance(error, MhoError) and error.reason != MhoError.reason:
        return {
            "kind": "failed",
            "reason": error.reason,
            "message": error.message,
            "subject": error.subject,
            "trace": "",
        }
    if isinstance(error, MemoryError):
        return {
            "kind": "failed",
            "reason": "RESOURCE_EXHAUSTED",
            "message": "the worker ran out of memory; score fewer layers or inputs at a time",
            "subject": "memory",
            "trace": trace,
        }
    return {
        "kind": "failed",
        "reason": MhoError.reason,
        "message": "mho failed on this in a way that was not foreseen; its operator finds the "
        "details in the server's log",
        "subject": "",
        "trace": trace,
    }


def text_of(message: Message, field: str, longest: int = 4000) -> str:
    """A text in a worker's message, cut to ``longest`` characters.

    What no database keeps as text, NUL and halves of surrogate pairs, becomes a question mark.
    """
    text = str(message.get(field, ""))[:longest].replace("\0", "?")
    return text.encode("utf-8", "replace").decode()


def error_of(message: Message) -> MhoError:
    """The error that a ``failed`` message tells of."""
    reason = text_of(message, "reason", 64)
    kind = by_reason(reason)
    return kind(text_of(message, "message"), subject=text_of(message, "subject", 1000))


def progress_of(message: Message) -> Progress:
    """The progress in a worker's message; figures that are no finite numbers count as 0."""
    return Progress(
        done=finite(message.get("done")),
        total=finite(message.get("total")),
        unit=text_of(message, "unit", 64),
        message=text_of(message, "message", 1000),
    )
