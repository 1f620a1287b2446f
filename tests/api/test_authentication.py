"""Credentials that expire or are withdrawn while a call lasts, keys that change, the log."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.credentials import AUDIENCE, ISSUER, Issuer, tenants_file
from api.running import Running, failure, running
from mho.api import authentication
from mho.api.json_web_tokens import JsonWebTokens
from mho.config import Settings
from mho.errors import InvalidOption, Unauthenticated
from mho.tenants import Role
from mho_client.v1 import blobs_pb2, jobs_pb2, models_pb2

MODELS = models_pb2.ListModelsRequest(parent="tenants/acme")
LONG = ("steps=100000", "pause=0.05")


def long_job(server: Running) -> str:
    return server.bearing("writer", "acme").job(*LONG).name


def watched(server: Running, token: str, job: str) -> tuple[int, grpc.StatusCode]:
    """(events seen, status) of a watch of a job that goes on and on."""
    watch = server.bearing(token).jobs.WatchJob(jobs_pb2.WatchJobRequest(name=job), timeout=120)
    seen = 0
    try:
        for _ in watch:
            seen += 1
    except grpc.RpcError:
        pass
    return seen, watch.code()


@pytest.mark.parametrize("kind", ["JSON web token", "token of the tenants file"])
def test_a_watch_ends_when_the_credential_expires(tmp_path: Path, kind: str) -> None:
    issuer = Issuer()

    def expiring(seconds: float) -> str:
        if kind == "JSON web token":
            return issuer.token("acme", "reader", seconds)
        until = datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()
        held = {"writer": "role: writer", "short": f"role: reader, expires: '{until}'"}
        tenants_file(tmp_path, acme=held)
        return "short"

    tenants = tenants_file(tmp_path, acme={"writer": "role: writer"})
    settings = issuer.settings(tmp_path)
    with running(tmp_path / "data", tenants_file=tenants, **settings) as server:
        job = long_job(server)
        for seconds in (1.5, 10, 60):  # a slow machine may need longer to begin
            token = expiring(seconds)
            seen, code = watched(server, token, job)
            assert code == grpc.StatusCode.UNAUTHENTICATED
            code = failure(lambda t=token: server.bearing(t).models.ListModels(MODELS))[0]
            assert code == grpc.StatusCode.UNAUTHENTICATED
            if seen:
                break
        assert seen
        server.bearing("writer").jobs.CancelJob(jobs_pb2.CancelJobRequest(name=job))


def test_streams_end_when_the_credential_is_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "LOOK_AGAIN_SECONDS", 0.05)
    tenants = tenants_file(tmp_path, acme={"writer": "role: writer", "gone": "role: writer"})
    with running(tmp_path / "data", tenants_file=tenants) as server:
        job = long_job(server)
        watch = server.bearing("gone").jobs.WatchJob(jobs_pb2.WatchJobRequest(name=job), timeout=60)
        next(watch)

        def begun() -> object:
            begin = blobs_pb2.UploadBlobRequest.Begin(
                parent="tenants/acme", sha256="0" * 64, size_bytes=9
            )
            yield blobs_pb2.UploadBlobRequest(begin=begin)
            tenants_file(tmp_path, acme={"writer": "role: writer"})
            for _ in range(600):
                time.sleep(0.1)
                if upload.done():
                    return

        upload = server.bearing("gone").blobs.UploadBlob.future(begun(), timeout=60)
        for stream in (watch, upload):
            with pytest.raises(grpc.RpcError) as caught:
                list(stream) if stream is watch else upload.result()
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        writer = server.bearing("writer").jobs
        assert next(writer.WatchJob(jobs_pb2.WatchJobRequest(name=job), timeout=60)).sequence
        writer.CancelJob(jobs_pb2.CancelJobRequest(name=job))


def test_an_unhealthy_answer_needs_no_credential_and_the_log_has_no_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from api.test_server import health, reflected

    tenants = tenants_file(tmp_path, acme={"writer": "role: writer"})
    with (
        caplog.at_level(logging.DEBUG),
        running(tmp_path / "data", tenants_file=tenants) as server,
    ):
        assert health(server.channel) == 1
        assert reflected(server.channel, list_services="").list_services_response.service
        failure(lambda: server.bearing("mho_guessed-secret").models.ListModels(MODELS))
        server.bearing("writer").models.ListModels(MODELS)
    assert "a call was refused: the token is nobody's" in caplog.text
    assert "guessed-secret" not in caplog.text


def test_without_authentication_there_is_one_tenant(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        assert server.model().name.startswith("tenants/default/")
        assert failure(lambda: server.models.ListModels(MODELS))[0] == grpc.StatusCode.NOT_FOUND


# JSON web tokens


def settings(file: Path) -> Settings:
    return Settings(jwt_keys_file=str(file), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)


def signed(key: object, algorithm: str, **headers: str) -> str:
    return jwt.encode(Issuer().claims("acme", "writer"), key, algorithm, headers=headers)  # type: ignore[arg-type]


def jwk(key: object, **more: str) -> dict[str, object]:
    kind = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    found = next(made for held, made in kind.items() if isinstance(key, held))
    return {**json.loads(found.to_jwk(key.public_key())), **more}  # type: ignore[attr-defined]


def test_a_jwks_file_has_keys_of_every_kind(tmp_path: Path) -> None:
    big, curve, edwards = (
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    )
    file = tmp_path / "keys.json"
    entries = [
        jwk(big, kid="1", alg="RS256", use="sig"),
        jwk(curve, kid="2"),
        jwk(edwards),
        jwk(ec.generate_private_key(ec.SECP256R1()), use="enc"),
    ]
    file.write_text(json.dumps({"keys": entries}))
    tokens = JsonWebTokens(settings(file))
    for token in (
        signed(big, "RS256", kid="1"),
        signed(big, "RS256"),
        signed(curve, "ES384", kid="2"),
        signed(edwards, "EdDSA", kid="unheard of, as the key's own id"),
    ):
        assert (tokens.caller(token).tenant, tokens.caller(token).role) == ("acme", Role.WRITER)
    for token in (
        signed(big, "RS256", kid="2"),
        signed(big, "PS256", kid="1"),  # the key is for RS256 alone
        signed(curve, "ES384", kid="1"),
        "",
        "a.b.c",
        "..",
    ):
        with pytest.raises(Unauthenticated):
            tokens.caller(token)


def test_new_keys_are_taken_up_and_old_ones_given_up(tmp_path: Path) -> None:
    first, second = Issuer(), Issuer()
    file = tmp_path / "keys.pem"
    file.write_bytes(first.public_pem)
    tokens = JsonWebTokens(settings(file))
    assert tokens.caller(first.token("acme", "reader")).role == Role.READER
    file.write_bytes(first.public_pem + second.public_pem)
    assert tokens.caller(second.token("acme", "reader")).tenant == "acme"
    assert tokens.caller(first.token("acme", "reader")).tenant == "acme"
    file.write_bytes(second.public_pem)
    with pytest.raises(Unauthenticated):
        tokens.caller(first.token("acme", "reader"))


def test_keys_that_would_not_keep_anybody_out_are_refused(tmp_path: Path) -> None:
    private = Issuer().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
    own = jwk(Issuer().key)
    held = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(Issuer().key))
    file = tmp_path / "keys"
    for content, says in (
        (private, "cannot be read|cannot be used"),
        (json.dumps({"keys": [own, secret]}).encode(), "cannot be used"),
        (json.dumps({"keys": [held]}).encode(), "cannot be used"),
        (json.dumps({"keys": [jwk(rsa.generate_private_key(65537, 1024))]}).encode(), "2048 bits"),
        (json.dumps({"keys": []}).encode(), "holds no public key"),
        (json.dumps([]).encode(), "cannot be read"),
        (b"", "cannot be read"),
    ):
        file.write_bytes(content)
        with pytest.raises(InvalidOption, match=says) as caught:
            JsonWebTokens(settings(file))
        assert caught.value.subject == "jwt_keys_file"
    for name in ("jwt_issuer", "jwt_audience"):
        with pytest.raises(InvalidOption, match=name):
            JsonWebTokens(Settings(**{**vars(settings(file)), name: ""}))
