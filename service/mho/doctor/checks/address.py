"""Where the server would listen: allowed, and free."""

from __future__ import annotations

from collections.abc import Iterator

from mho.api.address import check_address, listening_host
from mho.config import Settings
from mho.doctor.check import Check, Finding
from mho.telemetry.endpoint import exposed


class Address(Check):
    name = "address"
    remedy = "set host, port or metrics_port, or stop what listens there"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        host = listening_host(settings)
        check_address(settings)
        yield self.ok(f"{host}:{settings.port} is free" if settings.port else f"{host}, any port")
        if settings.metrics_port:
            with exposed(settings):
                pass
            yield self.ok(f"{settings.metrics_host}:{settings.metrics_port} is free for metrics")
