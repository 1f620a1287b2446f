"""TLS over a real socket: whom the server convinces, whom it lets in, and new certificates."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from api.running import Calls, Running, failure, running
from certificates import Authority
from mho.api.server import check
from mho.config import Settings
from mho.errors import InvalidOption
from mho_client.v1 import catalog_pb2, models_pb2

AUTHORITY, CLIENTS, STRANGERS = Authority("servers"), Authority("clients"), Authority("strangers")

TENANTS = """
tenants:
  acme:
    certificates:
      - {subject: reader.acme, role: reader}
      - {subject: writer.acme, role: writer}
"""


def tls_settings(folder: Path) -> dict[str, str]:
    certificate, key = AUTHORITY.write(folder, "server")
    return {"tls_certificate": str(certificate), "tls_key": str(key)}


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that demands a certificate of every client."""
    folder = tmp_path_factory.mktemp("mutual")
    (folder / "clients.pem").write_bytes(CLIENTS.pem)
    (folder / "tenants.yaml").write_text(TENANTS)
    with running(
        folder / "data",
        credentials=showing(CLIENTS, "writer.acme"),
        tls_client_ca=str(folder / "clients.pem"),
        tenants_file=str(folder / "tenants.yaml"),
        **tls_settings(folder),
    ) as server:
        yield server


def showing(authority: Authority, name: str, days: float = 1.0) -> grpc.ChannelCredentials:
    certificate, key = authority.issue(name, days=days)
    return grpc.ssl_channel_credentials(AUTHORITY.pem, key, certificate)


def listed(server: Running, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    """What comes of asking for acme's models in a connection of its own."""
    with closing(server.connected(credentials)) as channel:
        request = models_pb2.ListModelsRequest(parent="tenants/acme")
        try:
            Calls(channel).models.ListModels(request, timeout=20)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def test_a_client_is_known_by_its_certificate(mutual: Running) -> None:
    assert listed(mutual, showing(CLIENTS, "reader.acme")) == grpc.StatusCode.OK
    own = Calls(mutual.channel, "acme")
    assert own.model().name.startswith("tenants/acme/models/")
    with closing(mutual.connected(showing(CLIENTS, "reader.acme"))) as channel:
        code, _, details = failure(lambda: Calls(channel, "acme").upload(b"x"))
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert details["ErrorInfo"].reason == "PERMISSION_DENIED"


def test_whoever_shows_no_certificate_gets_no_connection(mutual: Running) -> None:
    for credentials in (
        None,  # no TLS at all
        grpc.ssl_channel_credentials(AUTHORITY.pem),
        showing(STRANGERS, "writer.acme"),
        showing(CLIENTS, "writer.acme", days=-1),
    ):
        assert listed(mutual, credentials) == grpc.StatusCode.UNAVAILABLE


def test_a_certificate_that_nobody_has_is_as_no_credential(mutual: Running) -> None:
    assert listed(mutual, showing(CLIENTS, "nobody")) == grpc.StatusCode.UNAUTHENTICATED


def test_a_client_turns_away_from_a_server_of_another_authority(mutual: Running) -> None:
    certificate, key = CLIENTS.issue("writer.acme")
    mistaken = grpc.ssl_channel_credentials(STRANGERS.pem, key, certificate)
    assert listed(mutual, mistaken) == grpc.StatusCode.UNAVAILABLE


def shown(server: Running) -> int:
    """The serial number of the certificate that a new connection is shown."""
    host, port = server.address.split(":")
    pem = ssl.get_server_certificate((host, int(port)))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def serial(folder: Path) -> int:
    return x509.load_pem_x509_certificate((folder / "server.pem").read_bytes()).serial_number


def test_new_connections_see_a_new_certificate_and_never_a_bad_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = tls_settings(tmp_path)
    with running(
        tmp_path / "data", credentials=grpc.ssl_channel_credentials(AUTHORITY.pem), **settings
    ) as server:
        first = serial(tmp_path)
        server.methods.ListMethods(catalog_pb2.ListMethodsRequest(), timeout=20)
        assert shown(server) == first
        AUTHORITY.write(tmp_path, "server")
        second = serial(tmp_path)
        assert shown(server) == second != first
        for break_it, says in (
            (lambda: (tmp_path / "server.pem").write_text("nonsense"), "no certificate in PEM"),
            (lambda: AUTHORITY.write(tmp_path, "server", days=-1), "has expired"),
            (lambda: (tmp_path / "server-key.pem").unlink(), "cannot be read"),
        ):
            caplog.clear()
            with caplog.at_level(logging.ERROR, "mho.reloading"):
                break_it()
                assert shown(server) == second
            assert says in caplog.text
            assert "stays in use" in caplog.text
        AUTHORITY.write(tmp_path, "server")
        assert shown(server) == serial(tmp_path) != second
        # a connection of before goes on
        server.methods.ListMethods(catalog_pb2.ListMethodsRequest(), timeout=20)


def test_a_server_does_not_start_with_a_pair_that_is_none(tmp_path: Path) -> None:
    good = tls_settings(tmp_path)
    _, other_key = AUTHORITY.write(tmp_path, "other")
    old, old_key = AUTHORITY.write(tmp_path, "old", days=-1)
    for changes, subject, says in (
        ({"tls_key": str(other_key)}, "tls_key", "does not belong to the certificate"),
        ({"tls_key": good["tls_certificate"]}, "tls_key", "no private key"),
        ({"tls_certificate": str(tmp_path)}, "tls_certificate", "cannot be read"),
        ({"tls_client_ca": good["tls_key"]}, "tls_client_ca", "no certificate"),
        ({"tls_certificate": str(old), "tls_key": str(old_key)}, "tls_certificate", "expired"),
    ):
        with pytest.raises(InvalidOption, match=says) as caught:
            check(Settings(port=0, **(good | changes)))
        assert caught.value.subject == subject
    check(Settings(port=0, **good))
