"""A server to be disturbed: ``python serve.py``, set by the environment as ``mho serve`` is.

Its workers run ``entry``: real methods, and toys beside them.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from mho import config
from mho.api.server import run
from mho.jobs.control import Control

HERE = Path(__file__).resolve().parent


def ready(port: int) -> None:
    """Say so to whoever started the server."""
    sys.stdout.write(f"ready {port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    settings = config.load()
    run(settings, Control(settings, entry="entry"), on_ready=ready)
