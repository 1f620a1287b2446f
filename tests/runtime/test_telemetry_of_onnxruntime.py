"""onnxruntime tells nobody what runs: the switch is set before it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ASK = (
    "import mho.runtime, sys, os; assert 'onnxruntime' not in sys.modules;"
    "print(os.environ['ORT_DISABLE_TELEMETRY'])"
)


@pytest.mark.parametrize("given", [None, "0"])
def test_it_is_off_unless_somebody_says_otherwise(given: str | None) -> None:
    known = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    known |= {} if given is None else {"ORT_DISABLE_TELEMETRY": given}
    said = subprocess.run(
        [sys.executable, "-c", ASK], env=known, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == (given or "1")
