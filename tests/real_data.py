"""Where the real models and photographs lie, for tests that use them and skip without them."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
SPEC = "{crop: 227, channels: BGR, mean: [104, 117, 123]}"

needed = pytest.mark.skipif(
    not FOLDER.exists(), reason="the real models and photographs of ../shared/data are not here"
)
