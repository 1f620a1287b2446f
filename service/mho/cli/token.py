"""Makes a bearer token, and the line by which a server's tenants file knows it."""

from __future__ import annotations

import argparse
import hashlib
import secrets
import sys

from mho.cli import streams
from mho.errors import InvalidOption
from mho.tenants_file import parse_time

_BYTES = 32


def make(arguments: argparse.Namespace) -> None:
    """Print the token, which is kept nowhere, and on the next line its entry under ``tokens``."""
    expires = arguments.expires
    if expires is not None and parse_time(expires) is None:
        raise InvalidOption(
            f"--expires is '{expires}'; write a day (which begins in UTC), 2027-01-31, or a time "
            "with its offset, 2027-01-31T18:00:00Z",
            subject="expires",
        )
    token = f"mho_{secrets.token_urlsafe(_BYTES)}"
    digest = hashlib.sha256(token.encode()).hexdigest()
    until = "" if expires is None else f", expires: {expires}"
    streams.write(sys.stdout, f"{token}\n- {{sha256: {digest}, role: {arguments.role}{until}}}\n")
    streams.write(
        sys.stderr,
        "the first line is the token, which is shown only now; the second belongs under 'tokens' "
        "of its tenant in the tenants file\n",
    )
