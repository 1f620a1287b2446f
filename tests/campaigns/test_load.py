"""A little load, as the script puts it on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.py")


def test_a_little_load(tmp_path: Path) -> None:
    little = ("--only", "idle", "mixed", "--minutes", "0.05", "--clients", "2")
    out = tmp_path / "summary.md"
    ran = subprocess.run(
        [sys.executable, SCRIPT, *little, "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    text = out.read_text() if out.exists() else ran.stdout + ran.stderr
    assert ran.returncode == 0, text
    assert "| Attribute (conductance) |" in text
    assert "control process: " in text
