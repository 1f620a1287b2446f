"""The composition root: settings -> store, workers, server, put together in one place."""

from __future__ import annotations

from collections.abc import Callable

from mho.api.server import check, run
from mho.config import Settings
from mho.jobs.control import Control
from mho.telemetry import logs
from mho.telemetry.endpoint import exposed
from mho.telemetry.spans import exported


def serve(settings: Settings, on_ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. ``on_ready`` is told the port.

    InvalidOption where the address cannot be had; FailedPrecondition where another server uses the
    data folder.
    """
    logs.set_up(settings)
    check(settings)  # first, so that a server that cannot start leaves no data folder
    with exposed(settings), exported(settings):
        run(settings, Control(settings), on_ready=on_ready)
