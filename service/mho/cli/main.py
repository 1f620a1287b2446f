"""Parses the command line and runs one command; every fault is one line on stderr and a status ≠
0."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mho.cli import streams
from mho.errors import MhoError, TooExpensive

_INTERRUPTED = 130  # what shells expect of a program that ^C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 where ``doctor`` found a failure, 2 refused or failed, 130
    interrupted."""
    try:
        try:
            streams.accept_any_character()
            return _run(arguments)
        finally:
            streams.flush(sys.stdout)
    except TooExpensive as error:
        fault = f"error: {error.message}; --layers chooses and --yes accepts, in run and submit"
    except MhoError as error:
        fault = f"error: {error.message}"
    except OSError as error:
        fault = ": ".join(
            str(part) for part in ("error", error.filename, error.strerror or error) if part
        )
    except KeyboardInterrupt:
        streams.write(sys.stderr, "mho: interrupted\n")
        return _INTERRUPTED
    streams.write(sys.stderr, f"mho: {fault}\n")
    return 2


def _run(arguments: Sequence[str] | None) -> int:
    # Imported here, where ^C is heeded already: the methods take a moment to come.
    from mho.cli.parser import parser

    namespace = parser().parse_args(arguments)
    return int(namespace.command(namespace) or 0)
