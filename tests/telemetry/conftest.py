from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mho.config import Settings
from mho.telemetry import logs

Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def logging_kept() -> Iterator[None]:
    """Puts back what ``logs.set_up`` changes."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    threading.excepthook = hook
    logging.captureWarnings(False)


@pytest.fixture
def written(logging_kept: None) -> Written:
    """What the log has in JSON, from now on: every line of it is one record."""
    stream = io.StringIO()
    logs.set_up(Settings(log_format="json", log_level="DEBUG"), stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
