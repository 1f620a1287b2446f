"""Whether the clock can be right: certificates, tokens and deadlines are judged by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import mho
from mho.config import Settings
from mho.doctor.check import Check, Finding
from mho.jobs.layout import Layout

_TOLERANCE_SECONDS = 60.0


class Clock(Check):
    name = "clock"
    remedy = "set the clock, and let NTP keep it"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        now = time.time()
        said = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
        for what, file in (
            ("mho was installed", Path(mho.__file__)),
            ("the database was written", Layout(Path(settings.data_dir).resolve()).database),
        ):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime > now + _TOLERANCE_SECONDS:
                    yield self.failed(f"the clock says {said}, which is before {what}", self.remedy)
                    return
        yield self.ok(said)
