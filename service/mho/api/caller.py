"""Who makes the call that is being answered, and for whom it may act."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from mho.errors import NotFound, PermissionDenied
from mho.telemetry.about import note
from mho.tenants import Role


@dataclass(frozen=True)
class Caller:
    """expires: when the credential does, in seconds since the epoch; None for never."""

    tenant: str
    role: Role
    expires: float | None = None


ANONYMOUS = Caller("default", Role.WRITER)
"""Everybody, where no authentication is configured."""

_caller: ContextVar[Caller] = ContextVar("caller")
_needed: ContextVar[Role] = ContextVar("needed")


def act_for(caller: Caller, needed: Role) -> None:
    """Answer the rest of this task's call for ``caller``; the call needs the role ``needed``."""
    _caller.set(caller)
    _needed.set(needed)


def current() -> Caller:
    """Whose call is answered; LookupError outside of one."""
    return _caller.get()


def admit(tenant: str) -> str:
    """The tenant that a resource name holds, where the caller may do there what the call does.

    NotFound for another tenant, whether or not it exists or has what is named; PermissionDenied
    where the role is too low in one's own. LookupError outside of a call.
    """
    caller, needed = _caller.get(), _needed.get()
    if tenant != caller.tenant and caller.role < Role.ADMIN:
        raise NotFound(
            f"there is no tenant '{tenant}' for this caller; use 'tenants/{caller.tenant}'",
            subject="tenant",
        )
    if caller.role < needed:
        raise PermissionDenied(
            f"the call needs the role {needed.word} and the credential has the role "
            f"{caller.role.word}; ask the server's operator for a credential that may do this",
            subject="role",
        )
    note(tenant=tenant)
    return tenant
