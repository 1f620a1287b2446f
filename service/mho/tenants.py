"""What the server knows of its tenants: credentials, roles, quotas, weights."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from mho.config import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def is_tenant_name(name: str) -> bool:
    """Whether a tenant may be called so: up to 63 letters, digits, '.', '_' and '-'."""
    return _NAME.fullmatch(name) is not None


class Role(enum.IntEnum):
    """What a credential allows; each role allows what those before it do."""

    READER = 1
    """Get, list, watch and fetch what the tenant has."""
    WRITER = 2
    """Everything within the tenant."""
    ADMIN = 3
    """Everything, in every tenant."""

    @property
    def word(self) -> str:
        """As files and claims spell it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Role | None:
        """The role so spelt; None where there is none."""
        return next((role for role in cls if role.word == word), None)


@dataclass(frozen=True)
class Token:
    """A bearer token, known by its SHA-256 only. expires: seconds since the epoch."""

    sha256: str
    role: Role
    expires: float | None = None


@dataclass(frozen=True)
class Certificate:
    """A client certificate, known by its subject's common name or an alternative name of it."""

    subject: str
    role: Role


@dataclass(frozen=True)
class Quota:
    """What a tenant may use; 0 means no limit."""

    bytes: int = 0
    """Bytes kept, unfinished uploads included."""
    jobs: int = 0
    """Jobs kept, ended ones included."""
    queued_jobs: int = 0
    """Jobs that wait for a worker."""
    running_jobs: int = 0
    """Jobs that run at the same time."""
    device_seconds_per_day: float = 0.0
    """Seconds that workers spend for the tenant within a day."""
    concurrent_calls: int = 0
    """Calls under way at the same time, streams apart."""
    concurrent_streams: int = 0
    """Uploads, downloads and watches under way at the same time."""

    @classmethod
    def default(cls, settings: Settings) -> Quota:
        """The quota of a tenant of which the tenants file says nothing: settings ``quota_*``."""
        return cls(**{f.name: getattr(settings, f"quota_{f.name}") for f in fields(cls)})


UNLIMITED = Quota()


@dataclass(frozen=True)
class Tenant:
    """weight: share of the workers, relative to other tenants that wait."""

    name: str
    tokens: tuple[Token, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    quota: Quota = UNLIMITED
    weight: float = 1.0


class Tenants:
    """The tenants there are; those that nobody has described have the default quota and weight."""

    def __init__(self, described: Iterable[Tenant] = (), default_quota: Quota = UNLIMITED) -> None:
        self._default_quota = default_quota
        self._tenants = {tenant.name: tenant for tenant in described}
        self._by_digest: dict[str, tuple[Tenant, Token]] = {}
        self._by_subject: dict[str, tuple[Tenant, Certificate]] = {}
        for tenant in self._tenants.values():
            self._by_digest |= {token.sha256: (tenant, token) for token in tenant.tokens}
            self._by_subject |= {one.subject: (tenant, one) for one in tenant.certificates}

    def __iter__(self) -> Iterator[Tenant]:
        return iter(self._tenants.values())

    def __getitem__(self, name: str) -> Tenant:
        return self._tenants.get(name) or Tenant(name, quota=self._default_quota)

    def holder_of_token(self, secret: str) -> tuple[Tenant, Token] | None:
        """Whose bearer token it is, expired or not; None where it is nobody's."""
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
        # What the duration of this look-up tells is of the digest, from which no secret follows.
        found = self._by_digest.get(digest)
        if found is None or not hmac.compare_digest(found[1].sha256, digest):
            return None
        return found

    def holder_of_certificate(self, names: Iterable[str]) -> tuple[Tenant, Certificate] | None:
        """Whose certificate carries one of ``names``; the first that is known counts."""
        return next((self._by_subject[name] for name in names if name in self._by_subject), None)
