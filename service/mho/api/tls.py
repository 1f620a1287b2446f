"""The server's certificate, and whose client certificates it takes; new files are taken up by new
connections, without a restart.

gRPC's Python server either demands a certificate of every client or asks none of them, so
``tls_client_ca`` means the former.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from mho.config import Settings
from mho.errors import InvalidOption
from mho.reloading import Reloaded
from mho.telemetry import metrics

_log = logging.getLogger("mho.api.tls")


def is_configured(settings: Settings) -> bool:
    """Whether connections are encrypted; InvalidOption where the settings are incomplete."""
    if settings.tls_certificate and settings.tls_key:
        return True
    for name in ("tls_certificate", "tls_key", "tls_client_ca"):
        if getattr(settings, name):
            missing = "tls_key" if settings.tls_certificate else "tls_certificate"
            raise InvalidOption(
                f"{name} is set and {missing} is not; TLS needs both tls_certificate and tls_key",
                subject=missing,
            )
    return False


def server_credentials(settings: Settings) -> grpc.ServerCredentials:
    """What the server shows and asks of its clients, always as the files have it.

    InvalidOption where the files cannot be used. Where they change for the worse, the log says so
    and what was read before stays in use.
    """
    reloaded = Reloaded(_files(settings), lambda: read(settings))
    # gRPC asks before every handshake, in a thread of its own.
    credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
        reloaded.content,
        lambda: reloaded.content,
        require_client_authentication=bool(settings.tls_client_ca),
    )
    return credentials


def read(settings: Settings) -> grpc.ServerCertificateConfiguration:
    """The files as they are now; InvalidOption names the setting and what is wrong."""
    chain = _content(settings, "tls_certificate")
    key = _content(settings, "tls_key")
    authorities = _content(settings, "tls_client_ca") if settings.tls_client_ca else None
    certificate = _certificates(settings, "tls_certificate", chain)[0]
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise _fault(
            settings, "tls_key", f"holds no private key in PEM without a password: {error}"
        ) from error
    if _public(private) != _public(certificate):
        raise _fault(
            settings, "tls_key", f"does not belong to the certificate {settings.tls_certificate}"
        )
    if authorities is not None:
        _certificates(settings, "tls_client_ca", authorities)
    _check_time(settings, certificate)
    return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=authorities)


def expiries(settings: Settings) -> dict[str, datetime]:
    """Setting -> when the first certificate in its file expires; for those that are set."""
    named = [name for name in ("tls_certificate", "tls_client_ca") if getattr(settings, name)]
    return {
        name: min(
            certificate.not_valid_after_utc
            for certificate in _certificates(settings, name, _content(settings, name))
        )
        for name in named
    }


def _files(settings: Settings) -> list[Path]:
    named = (settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    return [Path(name) for name in named if name]


def _content(settings: Settings, name: str) -> bytes:
    try:
        return Path(getattr(settings, name)).read_bytes()
    except OSError as error:
        raise _fault(settings, name, f"cannot be read: {error.strerror or error}") from error


def _certificates(settings: Settings, name: str, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise _fault(settings, name, f"holds no certificate in PEM: {error}") from error


def _public(holder: object) -> bytes:
    key = holder.public_key()  # type: ignore[attr-defined]  # private keys and certificates have it
    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def _check_time(settings: Settings, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    if now >= certificate.not_valid_after_utc:
        raise _fault(
            settings,
            "tls_certificate",
            f"has expired at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}; renew it",
        )
    if now < certificate.not_valid_before_utc:
        raise _fault(
            settings,
            "tls_certificate",
            f"is valid from {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ} on only",
        )
    metrics.CERTIFICATE_EXPIRY.set(certificate.not_valid_after_utc.timestamp())
    _log.info(
        "the certificate %s is valid until %s",
        settings.tls_certificate,
        f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    )


def _fault(settings: Settings, name: str, text: str) -> InvalidOption:
    return InvalidOption(f"{name}: the file {getattr(settings, name)} {text}", subject=name)
