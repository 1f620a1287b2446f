"""What the tenants file may say, what it may not, and that it is read again."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mho.config import Settings
from mho.errors import InvalidOption
from mho.tenants import Quota, Role
from mho.tenants_file import TenantsFile, read

DIGEST = hashlib.sha256(b"secret").hexdigest()
FULL = f"""
tenants:
  acme:
    tokens:
      - {{sha256: {DIGEST}, role: writer, expires: 2027-01-31T18:00:00+01:00}}
      - {{sha256: {"0" * 64}, role: reader, expires: 2027-01-31}}
    certificates:
      - {{subject: reports.acme.example, role: admin}}
    quota: {{bytes: 5000, jobs: 0, device_seconds_per_day: 0.5}}
    weight: 2.5
  123:
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "tenants.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_everything_that_can_be_said_is_read(tmp_path: Path) -> None:
    tenants = read(written(tmp_path, FULL), Quota(jobs=9, concurrent_calls=4))
    acme = tenants["acme"]
    assert [tenant.name for tenant in tenants] == ["acme", "123"]
    assert [token.role for token in acme.tokens] == [Role.WRITER, Role.READER]
    assert acme.tokens[0].expires == datetime(2027, 1, 31, 17, tzinfo=UTC).timestamp()
    assert acme.tokens[1].expires == datetime(2027, 1, 31, tzinfo=UTC).timestamp()
    assert acme.quota == Quota(bytes=5000, device_seconds_per_day=0.5, concurrent_calls=4), (
        "what is not said is as by default"
    )
    assert acme.weight == 2.5
    assert tenants["123"].quota == tenants["unheard"].quota == Quota(jobs=9, concurrent_calls=4)


def test_credentials_lead_to_their_holder(tmp_path: Path) -> None:
    tenants = read(written(tmp_path, FULL))
    found = tenants.holder_of_token("secret")
    assert found == (tenants["acme"], tenants["acme"].tokens[0])
    assert tenants.holder_of_token(DIGEST) is None, "the digest in the file is not the token"
    found_by_name = tenants.holder_of_certificate(["other", "reports.acme.example"])
    assert found_by_name == (tenants["acme"], tenants["acme"].certificates[0])
    assert tenants.holder_of_certificate(["reports.acme.example.evil"]) is None


TOKEN = f"{{sha256: {DIGEST}, role: reader}}"


@pytest.mark.parametrize(
    ("text", "subject", "says"),
    [
        ("tenants: [acme]", "tenants", "must hold 'key: value' lines"),
        ("tenant: {}", "tenants_file", "unknown key 'tenant'; there are tenants"),
        ("tenants: {a/b: }", "tenants.a/b", "no tenant's name"),
        ("tenants: {a: {token: []}}", "tenants.a", "unknown key 'token'"),
        ("tenants: {a: {tokens: x}}", "tenants.a.tokens", "must be a list"),
        ("tenants: {a: {tokens: [x]}}", "tenants.a.tokens[0]", "'key: value'"),
        ("tenants: {a: {tokens: [{role: reader}]}}", "tenants.a.tokens[0].sha256", "mho token"),
        (
            f"tenants: {{a: {{tokens: [{{sha256: {DIGEST}}}]}}}}",
            "tenants.a.tokens[0].role",
            "missing; it must be one of reader, writer, admin",
        ),
        (
            f"tenants: {{a: {{tokens: [{TOKEN[:-1]}, expires: 2027-01-31T10:00:00}}]}}}}",
            "tenants.a.tokens[0].expires",
            "with its offset",
        ),
        ("tenants: {a: {certificates: [{role: reader}]}}", "tenants.a.certificates[0].subject", ""),
        ("tenants: {a: {quota: {bites: 1}}}", "tenants.a.quota", "unknown key 'bites'"),
        ("tenants: {a: {quota: {bytes: 1.5}}}", "tenants.a.quota.bytes", "whole number"),
        ("tenants: {a: {quota: {jobs: -1}}}", "tenants.a.quota.jobs", "at least 0"),
        ("tenants: {a: {weight: 0}}", "tenants.a.weight", "above 0"),
        ("tenants: {a: {weight: nan}}", "tenants.a.weight", "above 0"),
        ("tenants: {a: {}, a: {}}", "tenants_file", "'a' is written twice"),
        (
            f"tenants: {{a: {{tokens: [{TOKEN}]}}, b: {{tokens: [{TOKEN}]}}}}",
            "tenants_file",
            "twice, for 'a' and 'b'",
        ),
        ("tenants: {", "tenants_file", "cannot be read"),
    ],
)
def test_a_fault_names_the_file_the_key_and_the_remedy(
    tmp_path: Path, text: str, subject: str, says: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InvalidOption) as caught:
        read(file)
    assert str(file) in caught.value.message
    assert says in caught.value.message
    assert caught.value.subject == subject


def test_a_changed_file_is_read_again_and_a_bad_one_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path, FULL)
    live = TenantsFile(Settings(tenants_file=str(file)))
    assert live.tenants["acme"].weight == 2.5
    written(tmp_path, "tenants: {acme: {weight: 30}}")
    assert live.tenants["acme"].weight == 30
    assert live.tenants.holder_of_token("secret") is None
    with caplog.at_level(logging.ERROR):
        written(tmp_path, "tenants: {acme: {weight: never}}")
        assert live.tenants["acme"].weight == 30
        assert live.tenants["acme"].weight == 30
        file.unlink()
        assert live.tenants["acme"].weight == 30
    assert len(caplog.records) == 2, "each change is logged once"
    assert "tenants.acme.weight is 'never'" in caplog.records[0].getMessage()
    written(tmp_path, "tenants: {acme: {weight: 4}}")
    assert live.tenants["acme"].weight == 4


def test_a_server_does_not_start_without_the_file_it_was_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match=r"nowhere\.yaml cannot be read"):
        TenantsFile(Settings(tenants_file=str(tmp_path / "nowhere.yaml")))


def test_without_a_file_every_tenant_has_the_quota_of_the_settings() -> None:
    settings = Settings(quota_bytes=7, quota_queued_jobs=5, quota_device_seconds_per_day=1.5)
    tenants = TenantsFile(settings).tenants
    assert tenants["any"].quota == Quota(bytes=7, queued_jobs=5, device_seconds_per_day=1.5)
    assert tenants["any"].weight == 1
