"""``mho doctor``: what it says of machines and settings with which a server would fail, and of good
ones."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority
from mho.cli import main
from mho.config import Settings
from mho.doctor.check import Check, Finding, Verdict, examine
from mho.doctor.checks.memory import memory_there
from mho.jobs.database import Database
from mho.jobs.directory_lock import DirectoryLock
from mho.jobs.layout import Layout
from mho.registry import entries
from mho.runtime import cuda_libraries

CHECKS = entries("mho.doctor.checks", Check)
AUTHORITY = Authority()
NOBODY = "tenants: {}\n"
SMALL = {"max_upload_bytes": 1, "max_data_bytes": 1, "max_model_bytes": 1}
"""Uploads for which any disk has room."""


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("MHO_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def findings(check: str, **settings: Any) -> list[Finding]:
    found = examine(Settings(**{"port": 0, "provider": "cpu", **settings}))
    return [finding for finding in found if finding.check == check]


def worst(check: str, **settings: Any) -> Finding:
    """The gravest finding of a check, of the last ones the first."""
    gravity = list(Verdict).index
    return max(findings(check, **settings), key=lambda finding: gravity(finding.verdict))


def has(finding: Finding, verdict: Verdict, *words: str) -> None:
    assert finding.verdict is verdict, finding
    assert all(word in finding.found for word in words), finding
    assert bool(finding.remedy) == (verdict is not Verdict.OK), finding


def private(file: Path, text: str) -> str:
    file.write_text(text)
    file.chmod(0o600)
    return str(file)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield int(listening.getsockname()[1])


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A data directory of a server that has stopped."""
    made = Layout(tmp_path / "mho-data")
    made.create()
    Database(made).close()
    return made


def test_every_check_has_a_finding_and_leaves_nothing(tmp_path: Path) -> None:
    found = examine(Settings(port=0, provider="cpu"))
    assert {finding.check for finding in found} == set(CHECKS)
    assert Verdict.FAILED not in {finding.verdict for finding in found}, found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", CHECKS.values(), ids=list(CHECKS))
def test_a_check_that_meets_an_error_says_what_to_do(kind: type[Check]) -> None:
    assert kind.remedy


def test_the_command_prints_a_table_and_tells_by_its_status(
    capsys: pytest.CaptureFixture[str], taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MHO_PROVIDER", "cpu")
    assert main(["doctor", "--port", "0"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["check", "found", "remedy"]
    assert main(["doctor", "--port", str(taken), "--json"]) == 1
    by_verdict = {each["verdict"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert str(taken) in by_verdict["failed"]["found"]
    assert set(by_verdict["failed"]) == {"check", "verdict", "found", "remedy"}


def test_settings_come_from_the_file_and_a_fault_in_them_is_a_finding(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "server.yaml"
    file.write_text("provider: cpu\nport: 0\ndata_dir: elsewhere\n")
    assert main(["doctor", "--config", str(file)]) == 0
    assert str(tmp_path / "elsewhere") in capsys.readouterr().out
    file.write_text("prot: 0\n")
    assert main(["doctor", "--config", str(file), "--json"]) == 1
    (only,) = json.loads(capsys.readouterr().out)["findings"]
    assert (only["check"], only["verdict"]) == ("settings", "failed")
    assert "prot" in only["found"]


def test_a_port_that_is_taken(taken: int) -> None:
    has(worst("address", port=taken), Verdict.FAILED, str(taken))
    has(worst("address", metrics_port=taken), Verdict.FAILED, str(taken), "metrics")


def test_an_address_that_others_reach() -> None:
    has(worst("address", host="0.0.0.0"), Verdict.FAILED, "no TLS", "no authentication")


def test_a_clock_that_is_behind_the_data(layout: Layout) -> None:
    assert worst("clock").verdict is Verdict.OK
    later = time.time() + 3600
    os.utime(layout.database, (later, later))
    has(worst("clock"), Verdict.FAILED, "before the database was written")


def test_more_threads_than_cores() -> None:
    has(worst("cores", threads=1000), Verdict.WARNING, "1000 threads")
    has(worst("cores", workers=0), Verdict.WARNING, "no job")


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    has(worst("data_dir", data_dir=str(tmp_path / "file" / "data")), Verdict.FAILED, "no folder")
    if sys.platform == "linux":
        # Nobody, root included, makes a file there.
        has(worst("data_dir", data_dir="/proc/mho-data"), Verdict.FAILED, "cannot be written")


def test_a_disk_with_less_room_than_may_be_uploaded() -> None:
    has(worst("data_dir", max_upload_bytes=2**62), Verdict.WARNING, "may be uploaded")


@pytest.mark.skipif(os.name == "nt", reason="has no such rights")
def test_a_data_directory_that_is_open_to_others(layout: Layout) -> None:
    assert worst("data_dir", **SMALL).verdict is Verdict.OK
    layout.root.chmod(0o750)
    has(worst("data_dir", **SMALL), Verdict.WARNING, "its group")
    layout.root.chmod(0o755)
    assert "everybody" in worst("data_dir", **SMALL).found


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_a_data_directory_in_use(layout: Layout) -> None:
    lock = DirectoryLock(layout)
    has(worst("data_dir", **SMALL), Verdict.WARNING, "in use", str(os.getpid()))
    lock.release()
    assert worst("data_dir", **SMALL).verdict is Verdict.OK
    DirectoryLock(layout).release()


@pytest.mark.parametrize(
    ("revision", "verdict"), [("0001", Verdict.WARNING), ("9999", Verdict.FAILED)]
)
def test_a_database_of_another_mho(layout: Layout, revision: str, verdict: Verdict) -> None:
    has(worst("database"), Verdict.OK, str(layout.database))
    with closing(sqlite3.connect(layout.database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()
    before = _files(layout.root)
    has(worst("database"), verdict, revision)
    assert _files(layout.root) == before


def test_a_database_that_a_server_has_open(layout: Layout) -> None:
    database = Database(layout)
    before = set(_files(layout.root))
    has(worst("database"), Verdict.OK, str(layout.database))
    assert set(_files(layout.root)) == before
    database.close()


def test_a_database_that_is_none(layout: Layout) -> None:
    layout.database.write_bytes(b"this is no database" * 1000)
    has(worst("database"), Verdict.FAILED, "not a database")
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    url = f"postgresql://somebody:secret@127.0.0.1:{port}/jobs"
    found = worst("database", database=url)
    has(found, Verdict.FAILED, "'jobs'")
    assert "secret" not in found.found
    has(worst("database", database="mysql://there"), Verdict.FAILED, "mysql")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize(("limit", "verdict"), [(500, Verdict.WARNING), (100, Verdict.FAILED)])
def test_few_open_files(limit: int, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    has(worst("descriptors"), verdict, str(limit))


def test_a_provider_that_is_not_there() -> None:
    has(worst("onnxruntime"), Verdict.OK, "CPUExecutionProvider")
    has(worst("onnxruntime", provider="tpu"), Verdict.FAILED, "tpu")


@pytest.mark.skipif(sys.platform != "linux", reason="libraries are named so on Linux only")
def test_libraries_of_cuda_are_named_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    package = tmp_path / "onnxruntime"
    (package / "capi").mkdir(parents=True)
    (package / "capi" / "libonnxruntime_providers_cuda.so").write_bytes(
        b"\x7fELF\0libcublas.so.999\0libcudnn.so.999\0libc.so.6\0"
    )
    spec = type("Spec", (), {"origin": str(package / "__init__.py")})()
    monkeypatch.setattr(cuda_libraries.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    assert {"libcublas.so.999", "libcudnn.so.999"} <= set(cuda_libraries.missing())
    assert "libc.so.6" not in cuda_libraries.missing()
    has(worst("onnxruntime", provider="auto"), Verdict.WARNING, "libcudnn.so.999")
    has(worst("onnxruntime", provider="cuda"), Verdict.FAILED, "libcudnn.so.999")


def test_certificates(tmp_path: Path) -> None:
    def with_files(days: float, key: Callable[[Path], Path] = lambda made: made) -> dict[str, str]:
        certificate, made = AUTHORITY.write(tmp_path, "server", days=days)
        made.chmod(0o600)
        return {"tls_certificate": str(certificate), "tls_key": str(key(made))}

    has(worst("tls", **with_files(100.5)), Verdict.OK, "100 days")
    has(worst("tls", **with_files(3.5)), Verdict.WARNING, "3 days")
    has(worst("tls", **with_files(-1)), Verdict.FAILED, "tls_certificate", "expired")
    _, other = AUTHORITY.write(tmp_path, "other")
    has(worst("tls", **with_files(100, lambda _: other)), Verdict.FAILED, "tls_key", "belong")
    missing = with_files(100, lambda _: tmp_path / "none.pem")
    has(worst("tls", **missing), Verdict.FAILED, "tls_key", "none.pem")
    has(worst("tls", tls_key=str(other)), Verdict.FAILED, "tls_certificate")
    short = tmp_path / "authority.pem"
    short.write_bytes(AUTHORITY.pem)  # which lasts for a day
    has(worst("tls", **with_files(100), tls_client_ca=str(short)), Verdict.WARNING, "tls_client_ca")
    open_to_all = with_files(100)
    Path(open_to_all["tls_key"]).chmod(0o644)
    has(worst("tls", **open_to_all), Verdict.WARNING, "tls_key", "everybody")


def test_the_tenants_file(tmp_path: Path) -> None:
    file = tmp_path / "tenants.yaml"

    def of(text: str, mode: int = 0o600) -> Finding:
        private(file, text)
        file.chmod(mode)
        return worst("tenants", tenants_file=str(file))

    token = f"tenants: {{acme: {{tokens: [{{sha256: {'ab' * 32}, role: writer}}]}}}}\n"
    has(of(token), Verdict.OK, "1 tenants, 1 tokens")
    has(of(token.replace("writer", "king")), Verdict.FAILED, "tenants.acme.tokens[0].role", "king")
    has(of(token.replace("writer", "writer, expires: 2020-01-31")), Verdict.WARNING, "expired")
    has(of(NOBODY, 0o644), Verdict.WARNING, "read by everybody")
    has(of(NOBODY, 0o660), Verdict.FAILED, "written by its group")
    file.unlink()
    has(worst("tenants", tenants_file=str(file)), Verdict.FAILED, "cannot be read")


def test_the_keys_of_web_tokens(tmp_path: Path) -> None:
    claims = {"jwt_issuer": "https://login.example", "jwt_audience": "mho"}
    file = tmp_path / "issuer.pem"
    file.write_bytes(AUTHORITY.pem)
    file.chmod(0o644)
    has(worst("tenants", jwt_keys_file=str(file), **claims), Verdict.OK, "login.example")
    has(worst("tenants", jwt_keys_file=str(file)), Verdict.FAILED, "jwt_issuer")
    file.chmod(0o666)
    has(worst("tenants", jwt_keys_file=str(file), **claims), Verdict.FAILED, "written by everybody")
    file.write_text("no keys")
    has(worst("tenants", jwt_keys_file=str(file), **claims), Verdict.FAILED, "issuer.pem")


@pytest.mark.skipif(os.name == "nt", reason="is not looked at there")
def test_more_memory_than_there_is() -> None:
    there = memory_there()
    little = {"memory_bytes": 1, "serving_memory_bytes": 1}
    has(worst("memory", **little), Verdict.OK, "MiB")
    half = {"memory_bytes": there // 2, "workers": 2}
    has(worst("memory", **little | half), Verdict.WARNING, "together")
    has(worst("memory", **little | {"memory_bytes": 2 * there}), Verdict.FAILED, "one job")


def _files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
