from __future__ import annotations

from collections.abc import Iterator

import pytest

from mho.api import names
from mho.api.caller import ANONYMOUS, Caller, act_for
from mho.errors import InvalidOption, NotFound, PermissionDenied
from mho.telemetry.about import about
from mho.tenants import Role


@pytest.fixture(autouse=True)
def anonymous() -> Iterator[None]:
    with about():  # what a name says of the tenant is known to this test alone
        act_for(ANONYMOUS, Role.WRITER)
        yield


def test_a_name_is_read_as_it_is_written() -> None:
    assert names.tenant_of("tenants/default") == "default"
    assert names.child_of(names.job_name("default", "a1"), "jobs") == ("default", "a1")
    written = names.artifact_name("default", "a1", "pictures/a b.png")
    assert names.artifact_of(written) == ("default", "a1", "pictures/a b.png")
    assert names.model_name("default", "") == ""


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a1",
        "jobs/a1",
        "tenants/default/jobs/",
        "tenants/default/jobs/a/b",
        "tenants/default/models/a1",
        "tenants//jobs/a1",
        "/tenants/default/jobs/a1",
        "tenants/default/jobs/a1\n",
        "tenants/default/jobs/../a1",
        "tenants/default/jobs/..",
        "tenants/default/jobs/a%2F1",
        "tenants/default/jobs/" + "a" * 200,
        "tenants/default/jobs/\u0430",
    ],
)
def test_anything_else_is_refused_and_the_field_is_named(name: str) -> None:
    with pytest.raises(
        InvalidOption, match=r"must have the form tenants/\{tenant\}/jobs/\{id\}"
    ) as caught:
        names.child_of(name, "jobs", field="spec.job")
    assert caught.value.subject == "spec.job"


def test_another_tenant_is_not_found() -> None:
    for call in (
        lambda: names.tenant_of("tenants/other"),
        lambda: names.child_of("tenants/other/jobs/a", "jobs"),
        lambda: names.artifact_of("tenants/other/jobs/a/artifacts/x"),
        lambda: names.sibling_of("tenants/other/models/a", "models", "default", field="f"),
    ):
        with pytest.raises(NotFound):
            call()


def test_an_admin_is_at_home_everywhere() -> None:
    act_for(Caller("default", Role.ADMIN), Role.WRITER)
    assert names.child_of("tenants/other/jobs/a", "jobs") == ("other", "a")
    with pytest.raises(NotFound):
        names.sibling_of("tenants/other/models/a", "models", "default", field="f")


def test_a_role_is_too_low_at_home_and_nothing_exists_elsewhere() -> None:
    act_for(Caller("default", Role.READER), Role.WRITER)
    with pytest.raises(PermissionDenied, match="role writer"):
        names.tenant_of("tenants/default")
    with pytest.raises(NotFound):
        names.tenant_of("tenants/other")
