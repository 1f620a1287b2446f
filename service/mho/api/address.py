"""Where the server may listen: anywhere with TLS and authentication, else on loopback alone."""

from __future__ import annotations

import ipaddress
import os
import socket

from mho.api import authentication, tls
from mho.config import Settings
from mho.errors import InvalidOption

_LAST_PORT = 65535


def check_address(settings: Settings) -> None:
    """InvalidOption where ``Server.start`` would refuse the host or the port.

    Worth calling before a control is made. Another program may still take the port in between.
    """
    host = listening_host(settings)
    if not 0 <= settings.port <= _LAST_PORT:
        raise InvalidOption(
            f"port is {settings.port}; it must lie between 0 (any free one) and {_LAST_PORT}",
            subject="port",
        )
    family, kind, _, _, address = socket.getaddrinfo(
        host.strip("[]"), settings.port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind) as probe:
        if os.name != "nt":  # there the option would share a port that is taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise port_taken(host, settings.port) from error


def port_taken(host: str, port: int) -> InvalidOption:
    return InvalidOption(
        f"port {port} of {host} cannot be had, most likely because another server listens there; "
        "choose another (setting port, or MHO_PORT), or 0 for any",
        subject="port",
    )


def listening_host(settings: Settings) -> str:
    """``settings.host`` as gRPC wants it; InvalidOption where the server may not listen there.

    Where others can reach it, whoever opened the port could read and delete everything if there
    were no authentication, and read what others send if there were no TLS.
    """
    host = settings.host
    encrypted = tls.is_configured(settings)
    authenticated = authentication.is_configured(settings)
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host or None, None)} if host else set()
    except OSError as error:
        raise InvalidOption(
            f"host is '{host}', which stands for no address ({error}); use 127.0.0.1",
            subject="host",
        ) from error
    reachable = not found or not all(ipaddress.ip_address(each).is_loopback for each in found)
    if reachable and not (encrypted and authenticated):
        missing = [
            *(() if encrypted else ("TLS (tls_certificate and tls_key)",)),
            *(() if authenticated else ("authentication (tenants_file or jwt_keys_file)",)),
        ]
        raise InvalidOption(
            f"host is '{host}', which others can reach, and there is no "
            f"{' and no '.join(missing)}; set it up, or use 127.0.0.1, which an SSH tunnel "
            "reaches from elsewhere",
            subject="host",
        )
    if not host:
        raise InvalidOption("host is empty; use 0.0.0.0 or :: for all addresses", subject="host")
    return f"[{host}]" if ":" in host else host
