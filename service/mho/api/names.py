"""Resource names, read strictly: ``tenants/{tenant}/jobs/{job}/artifacts/{path}``."""

from __future__ import annotations

import re

from mho.api.caller import admit
from mho.errors import InvalidOption, NotFound

_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_TENANT = re.compile(rf"tenants/({_ID})")
_CHILD = {
    collection: re.compile(rf"tenants/({_ID})/{collection}/({_ID})")
    for collection in ("models", "datasets", "jobs")
}
_ARTIFACT = re.compile(rf"tenants/({_ID})/jobs/({_ID})/artifacts/(.{{1,1000}})")


def tenant_of(parent: str, *, field: str = "parent") -> str:
    """The tenant in ``tenants/{tenant}``; InvalidOption names the field otherwise."""
    match = _TENANT.fullmatch(parent)
    if match is None:
        raise _malformed(parent, "tenants/{tenant}", field)
    return admit(match[1])


def child_of(name: str, collection: str, *, field: str = "name") -> tuple[str, str]:
    """(tenant, id) in ``tenants/{tenant}/{collection}/{id}``; InvalidOption names the field."""
    match = _CHILD[collection].fullmatch(name)
    if match is None:
        raise _malformed(name, f"tenants/{{tenant}}/{collection}/{{id}}", field)
    return admit(match[1]), match[2]


def sibling_of(name: str, collection: str, tenant: str, *, field: str) -> str:
    """The id in a name that must be of the same tenant; NotFound where it is another's."""
    owner, found = child_of(name, collection, field=field)
    if owner != tenant:
        raise NotFound(f"there is no '{name}'", subject=field)
    return found


def artifact_of(name: str) -> tuple[str, str, str]:
    """(tenant, job, path) in ``tenants/{tenant}/jobs/{job}/artifacts/{path}``."""
    match = _ARTIFACT.fullmatch(name)
    if match is None:
        raise _malformed(name, "tenants/{tenant}/jobs/{job}/artifacts/{path}", "name")
    return admit(match[1]), match[2], match[3]


def model_name(tenant: str, id: str) -> str:
    """The name of a model; empty for one that is not kept (``validate_only``)."""
    return f"tenants/{tenant}/models/{id}" if id else ""


def dataset_name(tenant: str, id: str) -> str:
    """The name of a dataset; empty for one that is not kept."""
    return f"tenants/{tenant}/datasets/{id}" if id else ""


def job_name(tenant: str, id: str) -> str:
    """The name of a job; empty for one that is not kept."""
    return f"tenants/{tenant}/jobs/{id}" if id else ""


def artifact_name(tenant: str, job: str, path: str) -> str:
    """The name of an artifact."""
    return f"tenants/{tenant}/jobs/{job}/artifacts/{path}"


def _malformed(name: str, form: str, field: str) -> InvalidOption:
    found = f"'{name[:120]}'" if name else "empty"
    return InvalidOption(f"{field} is {found}; it must have the form {form}", subject=field)
