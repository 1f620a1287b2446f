"""Servers as processes of their own on one data directory: started, killed, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
START_SECONDS = 120.0


class Server:
    """One server process at a fixed port, and its successors."""

    def __init__(self, number: int, environment: Mapping[str, str], log: Path) -> None:
        self.number = number
        self.port = free_port()
        self.starts = 0
        self._environment = {**environment, "MHO_PORT": str(self.port)}
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.lock = threading.RLock()
        """Held while the process changes."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.lock:
            with self._log.open("a") as log:
                self._process = subprocess.Popen(
                    [sys.executable, HERE / "serve.py"],
                    env=self._environment,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
            self.starts += 1
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            if not line.startswith("ready"):
                status = self._process.wait()
                self._process.stdout.close()
                raise RuntimeError(f"server {self.number} ended at its start: status {status}")

    def workers(self) -> list[psutil.Process]:
        """Its worker processes, those that inspect uploads among them."""
        found = []
        try:
            children = psutil.Process(self.pid).children()
        except psutil.Error:
            return []
        for child in children:
            try:
                if "mho.jobs.worker" in child.cmdline():
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """SIGKILL for the server alone; its workers are left to notice."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def terminate(self, seconds: float) -> int:
        """SIGTERM, so that it drains; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=seconds)
        finally:
            assert self._process.stdout is not None
            self._process.stdout.close()


class Cluster:
    """``count`` servers on the data directory ``data`` and one database.

    database: a URL, or "" for the SQLite file of the data directory. settings: by their names.
    """

    def __init__(
        self,
        data: Path,
        logs: Path,
        *,
        count: int = 1,
        database: str = "",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.data = data
        self.database = database
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MHO_")},
            "PYTHONPATH": os.pathsep.join([str(HERE), *(entry for entry in sys.path if entry)]),
            "MHO_DATA_DIR": str(data),
            "MHO_PROVIDER": "cpu",
            "MHO_THREADS": "1",
            **({"MHO_DATABASE": database} if database else {}),
            **{f"MHO_{name.upper()}": str(value) for name, value in (settings or {}).items()},
        }
        self.servers = [
            Server(number, environment, logs / f"server-{number}.log") for number in range(count)
        ]

    @property
    def address(self) -> str:
        """A target of gRPC: whichever server answers."""
        return "ipv4:" + ",".join(server.address for server in self.servers)

    def start(self) -> None:
        for server in self.servers:
            server.start()

    def stop(self, seconds: float = 60.0) -> list[int]:
        """Drain all; their exit statuses."""
        return [server.terminate(seconds) for server in self.servers]

    def left(self, seconds: float = 20.0) -> list[psutil.Process]:
        """Processes that still stand in the data directory, after ``seconds`` at most."""
        end = time.monotonic() + seconds
        while True:
            found = [process for process in psutil.process_iter() if self._stands_here(process)]
            if not found or time.monotonic() > end:
                return found
            time.sleep(0.1)

    def _stands_here(self, process: psutil.Process) -> bool:
        try:
            return Path(process.cwd()).is_relative_to(self.data)
        except (psutil.Error, OSError):
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
