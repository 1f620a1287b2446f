"""How a server is known and how it knows us: TLS, a client's certificate, a token."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc

from mho_client.errors import invalid, unreadable


@dataclass(frozen=True)
class Access:
    """ca, certificate, key, token_file: files (PEM but for the last).

    Only loopback is spoken to without TLS, and with it only where neither ``ca`` nor
    ``certificate`` is given; so no token ever crosses a network in the clear. Without ``ca`` a
    server must have a certificate of an authority that gRPC knows.
    """

    ca: str | PathLike[str] | None = None
    certificate: str | PathLike[str] | None = None
    key: str | PathLike[str] | None = None
    token: str | None = None
    token_file: str | PathLike[str] | None = None

    def completed(self, environment: Mapping[str, str] = os.environ) -> Access:
        """What is not given is taken from MHO_CA, MHO_CERT, MHO_KEY, MHO_TOKEN, MHO_TOKEN_FILE."""
        certified = self.certificate is not None or self.key is not None
        named = self.token is not None or self.token_file is not None
        found = Access(
            ca=self.ca or environment.get("MHO_CA"),
            certificate=self.certificate if certified else environment.get("MHO_CERT"),
            key=self.key if certified else environment.get("MHO_KEY"),
            token=self.token if named else environment.get("MHO_TOKEN"),
            token_file=self.token_file if named else environment.get("MHO_TOKEN_FILE"),
        )
        if bool(found.certificate) != bool(found.key):
            raise invalid("a certificate and its key are given together or not at all", "key")
        if found.token and found.token_file:
            raise invalid("give the token or a file that holds it, not both", "token")
        return found

    def channel(self, address: str, options: Sequence[tuple[str, int]]) -> grpc.Channel:
        """A channel to ``address``; MhoClientError where a file cannot be read or used."""
        local = is_loopback(address)
        if local:
            # A proxy would take what is meant for this machine, and in the clear.
            options = [*options, ("grpc.enable_http_proxy", 0)]
        if local and not self.ca and not self.certificate:
            return grpc.insecure_channel(address, options=options)
        credentials = grpc.ssl_channel_credentials(
            *(_content(file) if file else None for file in (self.ca, self.key, self.certificate))
        )
        return grpc.secure_channel(address, credentials, options=options)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What is sent along with a call; a token's file is read each time, since it may change."""
        token = self.token or ""
        if self.token_file:
            token = _content(self.token_file).decode("utf-8", "replace").strip()
        if not token:
            return ()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise invalid("the token holds spaces or characters that no token has", "token")
        return (("authorization", f"Bearer {token}"),)


def is_loopback(address: str) -> bool:
    """Whether ``host:port``, as gRPC takes it, is this machine itself, by what is written alone.

    Of several (``ipv4:HOST:PORT,HOST:PORT``) all must be.
    """
    if address.startswith(("ipv4:", "ipv6:")):
        return all(_is_here(each) for each in address[5:].split(","))
    return _is_here(address)


def _is_here(address: str) -> bool:
    for scheme in ("dns:///", "dns:"):
        address = address.removeprefix(scheme)
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address if address.count(":") > 1 and "[" not in address else address.rpartition(":")[0]
    host = host.strip("[]") or address
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _content(file: str | PathLike[str]) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise unreadable(file, error) from error
