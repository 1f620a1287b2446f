"""The command line: ``mho layers | methods | run | serve | submit | watch | fetch | cancel |
list``."""

from mho.cli.main import main

__all__ = ["main"]
