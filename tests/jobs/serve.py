"""A server in a process of its own, to be killed: ``python -m jobs.serve DIR DATABASE``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from jobs.server import control

if __name__ == "__main__":
    control(Path(sys.argv[1]), database=sys.argv[2]).start()
    sys.stdout.write("up\n")  # the test waits for this
    sys.stdout.flush()
    time.sleep(600)
