"""How the client knows a server and makes itself known, and what it never sends in the clear."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.running import Running, running
from certificates import Authority
from mho.cli import main
from mho_client import Client, MhoClientError
from mho_client.access import Access, is_loopback


@pytest.mark.parametrize(
    "address",
    [
        "localhost:50061",
        "LOCALHOST:1",
        "localhost",
        "127.0.0.1:50061",
        "127.9.9.9",
        "[::1]:50061",
        "::1",
        "dns:///localhost:50061",
        "ipv4:127.0.0.1:50061",
        "ipv4:127.0.0.1:50061,127.0.0.1:50062",
        "ipv6:[::1]:50061,[::1]:50062",
        "unix:/run/mho",
    ],
)
def test_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "localhost.example:50061",
        "127.0.0.1.example:50061",
        "0.0.0.0:50061",
        "10.0.0.1:50061",
        "[2001:db8::1]:50061",
        "dns://127.0.0.1/example:50061",
        "ipv4:127.0.0.1:50061,10.0.0.1:50061",
        "127.0.0.1:50061,127.0.0.1:50062",
        "ipv4:",
        "xds:///localhost:50061",
        "",
    ],
)
def test_anything_else_is_not_loopback(address: str) -> None:
    assert not is_loopback(address)


def test_a_token_never_leaves_this_machine_in_the_clear() -> None:
    received = bytearray()
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        listener.settimeout(20)

        def listen() -> None:
            peer = listener.accept()[0]
            with peer:
                peer.settimeout(20)
                received.extend(peer.recv(65536))

        thread = threading.Thread(target=listen)
        thread.start()
        address = f"{socket.gethostname()}:{listener.getsockname()[1]}"
        with (
            Client(address, retry_seconds=0, token="very-secret") as client,
            pytest.raises(MhoClientError, match="cannot be reached"),
        ):
            client.methods()
        thread.join(30)
    assert received[:2] == b"\x16\x03", "the first bytes are a TLS handshake"
    assert b"very-secret" not in received


def test_what_is_not_given_is_taken_from_the_environment() -> None:
    environment = {"MHO_CA": "a", "MHO_CERT": "c", "MHO_KEY": "k", "MHO_TOKEN": "t"}
    assert Access().completed(environment) == Access("a", "c", "k", "t")
    assert Access(token_file="f").completed(environment) == Access("a", "c", "k", None, "f")
    assert Access("b", token="u").completed(environment) == Access("b", "c", "k", "u")
    assert Access().completed({}).metadata() == ()


@pytest.mark.parametrize(
    ("access", "subject"),
    [
        (Access(certificate="c"), "key"),
        (Access(key="k"), "key"),
        (Access(token="t", token_file="f"), "token"),
    ],
)
def test_what_does_not_go_together_is_refused(access: Access, subject: str) -> None:
    with pytest.raises(MhoClientError) as caught:
        access.completed({})
    assert caught.value.subject == subject


def test_a_token_of_several_lines_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("mho_one\nmho_two\n")
    with pytest.raises(MhoClientError) as caught:
        Access(token_file=file).metadata()
    assert "mho_" not in str(caught.value)
    with pytest.raises(MhoClientError, match="cannot be read"):
        Access(token_file=tmp_path / "none").metadata()


def test_a_changed_token_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    access = Access(token_file=file)
    for token in ("mho_one", "mho_two"):
        file.write_text(token + "\n")
        assert access.metadata() == (("authorization", f"Bearer {token}"),)


@pytest.fixture
def secured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Running]:
    """A server beyond loopback, with its files and the token that ``mho token`` made."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    certificate, key = authority.write(tmp_path, "server")
    assert main(["token", "--role", "writer", "--expires", "2100-01-31"]) == 0
    token, entry = capsys.readouterr().out.splitlines()
    (tmp_path / "token").write_text(token)
    (tmp_path / "tenants.yaml").write_text(f"tenants:\n  acme:\n    tokens:\n      {entry}\n")
    with running(
        tmp_path / "data",
        host="0.0.0.0",
        tls_certificate=str(certificate),
        tls_key=str(key),
        tenants_file=str(tmp_path / "tenants.yaml"),
    ) as server:
        yield server


def test_the_command_line_and_the_client_reach_a_server_with_tls_and_tokens(
    secured: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = f"localhost:{secured.port}"
    ca, token = str(tmp_path / "ca.pem"), str(tmp_path / "token")
    given = ["--server", address, "--tenant", "acme"]
    assert main(["list", *given, "--ca", ca, "--token-file", token, "--json"]) == 0
    assert capsys.readouterr().out == '{\n  "jobs": []\n}\n'
    assert main(["list", *given, "--ca", ca]) == 2
    assert "no valid credential" in capsys.readouterr().err
    (tmp_path / "other.pem").write_bytes(Authority("other").pem)
    for other, says in (
        (["--ca", str(tmp_path / "other.pem")], "not of an authority that was given"),
        ([], "TLS"),
        (["--ca", str(tmp_path / "none")], "cannot be read"),
    ):
        assert main(["list", *given, "--token-file", token, *other]) == 2
        assert says in capsys.readouterr().err
    monkeypatch.setenv("MHO_CA", ca)
    monkeypatch.setenv("MHO_TOKEN_FILE", token)
    with Client(address, tenant="acme") as client:
        assert list(client.jobs()) == []
        assert client.health() == "SERVING"
    monkeypatch.setenv("MHO_TENANT", "acme")
    assert main(["list", "--server", address]) == 0


def test_a_token_that_would_have_expired_at_no_time_is_not_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["token", "--expires", "soon"]) == 2
    assert "--expires is 'soon'" in capsys.readouterr().err
