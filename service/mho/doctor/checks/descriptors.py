"""How many files and connections the server may have open."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from mho.config import Settings
from mho.doctor.check import Check, Finding

if sys.platform != "win32":
    import resource

_FEW, _TOO_FEW = 1024, 128


class Descriptors(Check):
    name = "descriptors"
    remedy = "raise the limit: LimitNOFILE= of systemd, --ulimit nofile= of docker, ulimit -n"

    def findings(self, settings: Settings) -> Iterator[Finding]:
        del settings
        if sys.platform == "win32":
            yield self.ok("this operating system has no such limit")
            return
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit == resource.RLIM_INFINITY:
            yield self.ok("any number of open files")
            return
        found = f"{limit:,} open files and connections"
        if limit < _TOO_FEW:
            yield self.failed(found, self.remedy)
        elif limit < _FEW:
            yield self.warning(found, self.remedy)
        else:
            yield self.ok(found)
