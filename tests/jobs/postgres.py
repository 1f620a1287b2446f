"""A PostgreSQL of the tests' own, from the binaries of Debian's package; gone with the tests."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_STARTS_WITHIN = 60.0
_QUICK = (
    *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off"),
    *("-c", "max_connections=300", "-c", "shared_buffers=16MB"),
)


class Postgres:
    """A running server, reached over a socket in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: set[str] = set()

    def url(self, for_what: Path | str) -> str:
        """The database for this directory or name, made where there is none yet."""
        name = _name(for_what)
        if name not in self._made:
            with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
            self._made.add(name)
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def break_connections(self, for_what: Path | str) -> None:
        """End all connections to the database of ``url``."""
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [_name(for_what)],
            )

    def answers(self) -> bool:
        try:
            psycopg.connect(self._conninfo("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _conninfo(self, name: str) -> str:
        return f"host={self._folder} user=postgres dbname={name}"


def binaries() -> Path | None:
    """The folder of initdb and postgres, the newest version's."""
    found = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True),
        *(Path(where).parent for where in [shutil.which("postgres")] if where),
    ]
    return next((folder for folder in found if (folder / "initdb").exists()), None)


@contextmanager
def running(bin_folder: Path) -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="mho-pg-"))  # short: the path of a socket has 107 bytes
    try:
        as_user = _as_another(folder)
        data = folder / "data"
        subprocess.run(
            [
                *as_user,
                *(bin_folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust"),
                *("--no-sync", "-E", "UTF8", "--locale=C"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*as_user, bin_folder / "postgres", "-D", data, "-k", folder, "-h", "", *_QUICK],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            server = Postgres(folder)
            deadline = time.monotonic() + _STARTS_WITHIN
            while not server.answers():
                said = (folder / "log").read_text()
                assert process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.05)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_another(folder: Path) -> list[str]:
    """What runs a command as somebody else than root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return [
        *("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"),
        "--pdeathsig=QUIT",  # it ends with the tests, however those end
    ]


def _name(for_what: Path | str) -> str:
    return "t" + hashlib.sha256(str(for_what).encode()).hexdigest()[:16]


def _version(folder: Path) -> int:
    text = folder.parent.name
    return int(text) if text.isdigit() else 0
