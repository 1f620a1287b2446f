"""A tenants file with a token for each tenant of a campaign."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

import yaml

from mho_client import Client


class Tenants:
    """``names``, each with a writer's token. file: for the server's setting ``tenants_file``."""

    def __init__(self, names: Iterable[str], file: Path) -> None:
        self.file = file
        self.tokens = {name: secrets.token_urlsafe(24) for name in names}
        file.write_text(
            yaml.safe_dump(
                {
                    "tenants": {
                        name: {
                            "tokens": [
                                {
                                    "sha256": hashlib.sha256(token.encode()).hexdigest(),
                                    "role": "writer",
                                }
                            ]
                        }
                        for name, token in self.tokens.items()
                    }
                }
            )
        )

    @property
    def names(self) -> list[str]:
        return list(self.tokens)

    def client(self, address: str, tenant: str, retry_seconds: float = 120) -> Client:
        return Client(
            address,
            tenant=tenant,
            retry_seconds=retry_seconds,
            token=self.tokens[tenant],
        )


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that carries ``token``."""
    return (("authorization", f"Bearer {token}"),)
