"""Who may use the server: the tenants file and the keys of JSON web tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from mho.api.json_web_tokens import JsonWebTokens
from mho.config import Settings
from mho.doctor import permissions
from mho.doctor.check import Check, Finding
from mho.tenants import Quota
from mho.tenants_file import read


class Tenants(Check):
    name = "tenants"
    remedy = "mend the file; docs/operations.md, 'Tenants and tokens', has examples"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        if settings.tenants_file:
            yield from self._tenants(Path(settings.tenants_file), settings)
        if settings.jwt_keys_file:
            JsonWebTokens(settings)
            file = Path(settings.jwt_keys_file)
            yield self.ok(f"JSON web tokens of {settings.jwt_issuer}, by the keys in {file}")
            yield from self._written_by_others(file)
        if not (settings.tenants_file or settings.jwt_keys_file):
            yield self.ok("no authentication: whoever reaches the server may do everything")

    def _tenants(self, file: Path, settings: Settings) -> Iterator[Finding]:
        tenants = list(read(file, Quota.default(settings)))
        tokens = [token for tenant in tenants for token in tenant.tokens]
        certificates = sum(len(tenant.certificates) for tenant in tenants)
        yield self.ok(
            f"{file}: {len(tenants)} tenants, {len(tokens)} tokens, {certificates} certificates"
        )
        now = time.time()
        expired = sum(token.expires is not None and token.expires <= now for token in tokens)
        if expired:
            yield self.warning(f"{file}: {expired} tokens have expired", "take them out")
        yield from self._written_by_others(file)
        others = permissions.readers(file)
        if others and not permissions.writers(file):
            yield self.warning(f"{file} can be read by {others}", f"chmod 600 {file}")

    def _written_by_others(self, file: Path) -> Iterator[Finding]:
        others = permissions.writers(file)
        if others:
            yield self.failed(
                f"{file} can be written by {others}, who can so give themselves any tenant's "
                "rights",
                f"chmod 600 {file}",
            )
