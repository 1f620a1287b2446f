"""The log: one record a line on stderr, as text for people or as JSON for machines.

Every record carries what is being worked on (``about``) beside the fields it was given itself, and
passes ``redaction`` last of all.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from mho.config import Settings
from mho.errors import InvalidOption
from mho.telemetry.about import fields
from mho.telemetry.redaction import redacted

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("text", "json")

_OWN = frozenset((*RESERVED_ATTRS, "taskName"))
_CHATTY = ("asyncio", "grpc", "sqlalchemy", "alembic", "opentelemetry")
"""Libraries of which only warnings are wanted; SQLAlchemy would tell every statement with its
values."""


def check(settings: Settings) -> None:
    """InvalidOption where ``log_level`` or ``log_format`` is none that there is."""
    for name, value, known in (
        ("log_level", settings.log_level.upper(), LEVELS),
        ("log_format", settings.log_format, FORMATS),
    ):
        if value not in known:
            raise InvalidOption(
                f"{name} is '{getattr(settings, name)}'; choose one of {', '.join(known)}",
                subject=name,
            )


def set_up(settings: Settings, stream: TextIO | None = None) -> logging.Handler:
    """Send everything that is logged to ``stream`` (default stderr) and nowhere else.

    Warnings of Python and errors that end a thread are logged too. InvalidOption as ``check``.
    """
    check(settings)
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    handler.addFilter(_known)
    root = logging.getLogger()
    root.setLevel(settings.log_level.upper())
    root.handlers[:] = [handler]
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread
    return handler


def _known(record: logging.LogRecord) -> bool:
    """Gives the record what is known and what it does not say itself."""
    for name, value in fields().items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


class _Text(logging.Formatter):
    """``2026-11-24T13:40:00.123Z INFO mho.access message tenant=acme job=…``; a further line of a
    message is indented, so that none can be taken for a record of its own."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told = "".join(f" {name}={_plain(value)}" for name, value in _extra(record).items())
        lines = [f"{record.getMessage()}{told}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        if record.stack_info:
            lines.append(self.formatStack(record.stack_info))
        head = f"{stamp}.{int(record.msecs):03d}Z {record.levelname} {record.name} "
        shown = (_printable(line) for text in lines for line in text.splitlines())
        return redacted(head + "\n    ".join(shown))


class _Json(JsonFormatter):
    """``{"time": …, "level": …, "logger": …, "message": …}`` and whatever else is known."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            defaults={"time": ""},  # stands first; the time itself comes with ``timestamp``
            timestamp="time",
            rename_fields={
                "levelname": "level",
                "name": "logger",
                "exc_info": "exception",
                "stack_info": "stack",
            },
            json_default=str,
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        written = log_data["time"].isoformat(timespec="milliseconds")
        log_data["time"] = written.replace("+00:00", "Z")
        return {
            name: redacted(value) if isinstance(value, str) else value
            for name, value in log_data.items()
        }


def _extra(record: logging.LogRecord) -> Mapping[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def _plain(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() for c in text) else text


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in line)


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit or ended.exc_value is None:
        return
    name = ended.thread.name if ended.thread else "?"
    logging.getLogger("mho").error("thread %s ended by an error", name, exc_info=ended.exc_value)
