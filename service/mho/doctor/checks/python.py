"""The interpreter."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from mho import __version__
from mho.config import Settings
from mho.doctor.check import Check, Finding

_OLDEST = (3, 11)


class Python(Check):
    name = "python"
    remedy = "install mho under a CPython of 64 bits, 3.11 or newer"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        del settings
        kind, bits = platform.python_implementation(), 64 if sys.maxsize > 2**32 else 32
        found = f"mho {__version__} under {kind} {platform.python_version()}, {bits} bits"
        if tuple(sys.version_info[:2]) < _OLDEST or bits != 64:
            yield self.failed(found, self.remedy)
        elif kind != "CPython":
            yield self.warning(f"{found}; mho is tested under CPython only", self.remedy)
        else:
            yield self.ok(found)
