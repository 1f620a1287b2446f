"""Checks a machine and its settings before a server runs there."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from mho.cli import show
from mho.cli.remote import served
from mho.errors import InvalidOption


def examine(arguments: argparse.Namespace) -> int:
    """Print what the checks found; the status is 1 where one failed."""
    from mho.doctor.check import Finding, Verdict, examine

    try:
        found = examine(served(arguments))
    except InvalidOption as error:
        remedy = "docs/cli.md, 'Settings', has all of them"
        found = [Finding("settings", Verdict.FAILED, error.message, remedy)]
    if arguments.json:
        show.json_text({"findings": [asdict(finding) for finding in found]})
    else:
        show.findings(found)
    return int(any(finding.verdict is Verdict.FAILED for finding in found))
