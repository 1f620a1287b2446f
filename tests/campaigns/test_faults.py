"""A small campaign of faults, as the script runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("faults.py")


def test_few_faults(tmp_path: Path) -> None:
    few = ("--kills", "3", "--clients", "2", "--pause", "0.5", "--seed", "12")
    out = tmp_path / "summary.md"
    ran = subprocess.run(
        [sys.executable, SCRIPT, *few, "--keep", tmp_path / "logs", "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    text = out.read_text() if out.exists() else ran.stdout + ran.stderr
    assert ran.returncode == 0, text
    assert "| ended: SUCCEEDED |" in text
    assert " 0 promises broken" in text
