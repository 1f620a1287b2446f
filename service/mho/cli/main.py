"""Parses the command line and runs one command; every fault is one line on stderr and a status ≠
0."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mho.cli.parser import parser
from mho.errors import MhoError

_INTERRUPTED = 130  # what shells expect of a program that ^C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 refused or failed, 130 interrupted."""
    namespace = parser().parse_args(arguments)
    try:
        return int(namespace.command(namespace) or 0)
    except MhoError as error:
        sys.stderr.write(f"mho: error: {error.message}\n")
        return 2
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("mho: interrupted\n")
        return _INTERRUPTED
