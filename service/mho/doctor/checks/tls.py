"""Certificates and their key: usable, private, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mho.api import tls
from mho.config import Settings
from mho.doctor import permissions
from mho.doctor.check import Check, Finding

_SOON_DAYS = 30


class Tls(Check):
    name = "tls"
    remedy = "mend or renew the file; docs/operations.md, 'TLS', has the commands"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        if not tls.is_configured(settings):
            yield self.ok("no encryption, which is allowed on loopback alone")
            return
        tls.read(settings)
        for name, until in tls.expiries(settings).items():
            days = (until - datetime.now(UTC)).days
            found = f"{name}: {getattr(settings, name)} is valid until {until:%Y-%m-%d}"
            if days < 0:
                yield self.failed(f"{name}: {getattr(settings, name)} has expired", self.remedy)
            elif days < _SOON_DAYS:
                yield self.warning(f"{found}, {days} days more", "renew it")
            else:
                yield self.ok(f"{found}, {days} days more")
        key = Path(settings.tls_key)
        others = permissions.readers(key) or permissions.writers(key)
        if others:
            yield self.warning(f"tls_key: {key} is open to {others}", f"chmod 600 {key}")
