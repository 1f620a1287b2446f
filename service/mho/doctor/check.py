"""The contract of a check, and carrying all of them out."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from mho.config import Settings
from mho.errors import MhoError
from mho.registry import entries


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """What a check saw. remedy: what to do about it; "" where nothing is to be done."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


class Check(abc.ABC):
    """Looks at one subject, and leaves nothing behind that was not there before."""

    name: ClassVar[str]
    remedy: ClassVar[str]
    """What to do where the check stops at an error, which then is a failure."""

    @abc.abstractmethod
    def findings(self, settings: Settings) -> Iterator[Finding]:
        """What there is to say, one subject of interest each; MhoError or OSError at a failure."""

    def ok(self, found: str) -> Finding:
        return Finding(self.name, Verdict.OK, found)

    def warning(self, found: str, remedy: str) -> Finding:
        return Finding(self.name, Verdict.WARNING, found, remedy)

    def failed(self, found: str, remedy: str) -> Finding:
        return Finding(self.name, Verdict.FAILED, found, remedy)


def examine(settings: Settings) -> list[Finding]:
    """The findings of all checks; each check has one at least."""
    found: list[Finding] = []
    for kind in entries("mho.doctor.checks", Check).values():
        check = kind()
        try:
            # One at a time, so that what was found before an error is kept.
            for finding in check.findings(settings):
                found.append(finding)
        except (MhoError, OSError) as error:
            found.append(check.failed(str(error), check.remedy))
    return found
