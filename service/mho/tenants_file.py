"""The file that names the tenants (setting ``tenants_file``)::

    tenants:
      acme:
        tokens:
          - {sha256: 5e88…, role: writer, expires: 2027-01-31T00:00:00Z}
        certificates:
          - {subject: reports.acme.example, role: reader}
        quota: {bytes: 50000000000, running_jobs: 2}
        weight: 2

Everything under a tenant's name may be absent. What the file does not say of a quota is as in the
settings ``quota_*``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mho.config import Settings
from mho.errors import InvalidOption
from mho.reloading import Reloaded
from mho.tenants import (
    UNLIMITED,
    Certificate,
    Quota,
    Role,
    Tenant,
    Tenants,
    Token,
    is_tenant_name,
)

_Entry = TypeVar("_Entry")


class TenantsFile:
    """The tenants as the file has them now; nobody is described where no file is set.

    The first reading raises InvalidOption where the file is at fault. A later fault is logged, and
    what was read before stays in use.
    """

    def __init__(self, settings: Settings) -> None:
        quota = Quota.default(settings)
        file = Path(settings.tenants_file)
        self._content: Reloaded[Tenants] | None = None
        self._nobody = Tenants(default_quota=quota)
        if settings.tenants_file:
            self._content = Reloaded([file], lambda: read(file, quota))

    @property
    def tenants(self) -> Tenants:
        return self._nobody if self._content is None else self._content.content


def read(file: Path, default_quota: Quota = UNLIMITED) -> Tenants:
    """The tenants in ``file``; InvalidOption names the file, the key at fault and the remedy."""
    try:
        # The loader knows texts only: which of them are numbers or times is said by their keys.
        written = yaml.load(file.read_text(encoding="utf-8"), _Texts)  # noqa: S506 makes no objects
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidOption(
            f"the tenants file {file} cannot be read: {error}", subject="tenants_file"
        ) from error
    top = _Place(file, "", written)
    described = top.mapping("tenants").get("tenants")
    tenants = [
        _tenant(name, top.inside("tenants", {}).inside(name, entry), default_quota)
        for name, entry in top.inside("tenants", described).mapping().items()
    ]
    _refuse_shared(top, tenants)
    return Tenants(tenants, default_quota)


class _Texts(yaml.BaseLoader):
    """Leaves every scalar a text, and refuses a key that is written twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is written twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


class _Place:
    """A value in the file and the keys that lead to it."""

    def __init__(self, file: Path, path: str, value: Any) -> None:
        self._file = file
        self._path = path
        self.value = value

    def inside(self, key: str, value: Any) -> _Place:
        return _Place(self._file, f"{self._path}.{key}".lstrip("."), value)

    def fault(self, text: str) -> InvalidOption:
        return InvalidOption(
            f"{self._file}: {self._path or 'the file'} {text}", subject=self._path or "tenants_file"
        )

    def mapping(self, *known: str) -> dict[str, Any]:
        """The value as a mapping; with ``known``, of these keys only. Nothing is an empty one."""
        if self.value in (None, ""):
            return {}
        if not isinstance(self.value, dict) or not all(isinstance(k, str) for k in self.value):
            raise self.fault("must hold 'key: value' lines")
        for key in self.value:
            if known and key not in known:
                raise self.fault(f"has the unknown key '{key}'; there are {', '.join(known)}")
        return self.value

    def each(self, make: Callable[[_Place], _Entry]) -> tuple[_Entry, ...]:
        """``make`` of every entry of a list. Nothing is an empty one."""
        if self.value in (None, ""):
            return ()
        if not isinstance(self.value, list):
            raise self.fault("must be a list, each entry beginning with '- '")
        return tuple(
            make(_Place(self._file, f"{self._path}[{at}]", entry))
            for at, entry in enumerate(self.value)
        )

    def number(self, kind: type[int] | type[float], *, positive: bool = False) -> Any:
        try:
            found = kind(self.value)
            if not math.isfinite(found) or found < 0 or (positive and found == 0):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            wanted = "a whole number" if kind is int else "a number"
            least = "above 0" if positive else "of at least 0 (0 means no limit)"
            raise self.fault(f"is '{self.value}'; it must be {wanted} {least}") from None
        return found


def _tenant(name: str, place: _Place, default_quota: Quota) -> Tenant:
    if not is_tenant_name(name):
        raise place.fault("is no tenant's name: up to 63 letters, digits, '.', '_' and '-'")
    entry = place.mapping("tokens", "certificates", "quota", "weight")
    weight = entry.get("weight", "1")
    return Tenant(
        name,
        tokens=place.inside("tokens", entry.get("tokens")).each(_token),
        certificates=place.inside("certificates", entry.get("certificates")).each(_certificate),
        quota=_quota(place.inside("quota", entry.get("quota")), default_quota),
        weight=place.inside("weight", weight).number(float, positive=True),
    )


def _token(place: _Place) -> Token:
    entry = place.mapping("sha256", "role", "expires")
    digest = entry.get("sha256")
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise place.inside("sha256", None).fault(
            "must be the SHA-256 of the token, 64 hexadecimal digits in lower case; "
            "'mho token' makes a token and this line"
        )
    return Token(digest, _role(place, entry), _expires(place, entry))


def _certificate(place: _Place) -> Certificate:
    entry = place.mapping("subject", "role")
    subject = entry.get("subject")
    if not isinstance(subject, str) or not subject:
        raise place.inside("subject", None).fault(
            "must be the common name of the client's certificate or a subject alternative name"
        )
    return Certificate(subject, _role(place, entry))


def _role(place: _Place, entry: dict[str, Any]) -> Role:
    role = Role.of(entry["role"]) if isinstance(entry.get("role"), str) else None
    if role is None:
        raise place.inside("role", None).fault(
            f"is {entry.get('role', 'missing')!s}; it must be one of "
            f"{', '.join(role.word for role in Role)}"
        )
    return role


def _expires(place: _Place, entry: dict[str, Any]) -> float | None:
    if "expires" not in entry:
        return None
    time = parse_time(entry["expires"])
    if time is None:
        raise place.inside("expires", None).fault(
            f"is '{entry['expires']}'; write a day (which begins in UTC), 2027-01-31, or a time "
            "with its offset, 2027-01-31T18:00:00Z"
        )
    return time


def parse_time(text: Any) -> float | None:
    """Seconds since the epoch of an ISO 8601 day (its begin in UTC) or of a time with an offset;
    None for anything else."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        time = time.replace(tzinfo=UTC)
    return None if time.tzinfo is None else time.timestamp()


def _quota(place: _Place, default: Quota) -> Quota:
    kinds = {entry.name: type(entry.default) for entry in fields(Quota)}
    return replace(
        default,
        **{
            name: place.inside(name, value).number(kinds[name])  # type: ignore[arg-type]
            for name, value in place.mapping(*kinds).items()
        },
    )


def _refuse_shared(top: _Place, tenants: list[Tenant]) -> None:
    """InvalidOption where a credential is listed twice: whose it is could not be told."""
    seen: dict[str, str] = {}
    for tenant in tenants:
        for key in (
            *(f"token {token.sha256}" for token in tenant.tokens),
            *(f"certificate {certificate.subject}" for certificate in tenant.certificates),
        ):
            if key in seen:
                raise top.fault(
                    f"lists the {key} twice, for '{seen[key]}' and '{tenant.name}'; "
                    "a credential stands for one tenant and one role"
                )
            seen[key] = tenant.name
