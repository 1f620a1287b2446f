"""The commands and files of docs/operations.md, from the authority to the first call."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mho.config import Settings
from mho.tenants_file import read

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("MHO_")}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section(title), re.DOTALL | re.MULTILINE)


def commands(title: str) -> list[list[str]]:
    lines = "".join(blocks(title, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    if command[0] == "mho":
        command = [sys.executable, "-m", "mho.cli", *command[1:]]
    return subprocess.run(
        command, cwd=folder, env=PLAIN, capture_output=True, text=True, check=True, timeout=120
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder in which all was done as the page says up to the server's start, and its port."""
    for command in commands("TLS"):
        run(command, tmp_path)
    make, _ = commands("Tenants and tokens")
    token, entry = run(make, tmp_path).stdout.splitlines()
    (tmp_path / "token").write_text(token)
    tenants, settings, _ = blocks("Tenants and tokens", "yaml")
    tenants = tenants.replace("- {sha256: 4f1c…, role: writer}", entry)
    (tmp_path / "tenants.yaml").write_text(tenants.replace("90ab…", "90ab" * 16))
    (tmp_path / "server.yaml").write_text(settings)
    assert {tenant.name for tenant in read(tmp_path / "tenants.yaml")} == {"acme"}
    with subprocess.Popen(
        [sys.executable, "-m", "mho.cli", "serve", "--config", "server.yaml", "--port", "0"],
        cwd=tmp_path,
        env=PLAIN,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("mho serves at 0.0.0.0:")
        yield tmp_path, line.strip().rpartition(":")[2]
        process.send_signal(signal.SIGTERM)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the page's commands need openssl")
def test_what_the_page_says_leads_to_a_server_that_answers(served: tuple[Path, str]) -> None:
    folder, port = served
    _, ask = commands("Tenants and tokens")
    answer = run([word.replace("50061", port) for word in ask], folder)
    assert answer.stdout.split()[:2] == ["job", "method"]


def test_the_settings_for_json_web_tokens_are_settings() -> None:
    Settings(**yaml.safe_load(blocks("Tenants and tokens", "yaml")[2]))
