"""JSON web tokens: who signed them, and for which tenant and role they stand.

Only asymmetric signatures are taken, and each key only for the algorithms of its kind, so that
neither ``none`` nor a public key used as a shared secret passes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from mho.api.caller import Caller
from mho.config import Settings
from mho.errors import InvalidOption, Unauthenticated
from mho.reloading import Reloaded
from mho.tenants import Role, is_tenant_name

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_LEAST_RSA_BITS = 2048
_CLOCK_SKEW_SECONDS = 30
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.S)


@dataclass(frozen=True)
class _Key:
    key: Any
    algorithms: tuple[str, ...]
    id: str | None = None


class JsonWebTokens:
    """Verifies tokens by the keys in ``settings.jwt_keys_file``, which is read again on change.

    InvalidOption where the settings or the file are at fault.
    """

    def __init__(self, settings: Settings) -> None:
        for name in ("jwt_issuer", "jwt_audience", "jwt_tenant_claim", "jwt_role_claim"):
            if not getattr(settings, name):
                raise InvalidOption(
                    f"{name} is empty while jwt_keys_file is set; without it, tokens that were "
                    "made for other services would be taken",
                    subject=name,
                )
        file = Path(settings.jwt_keys_file)
        self._settings = settings
        self._keys: Reloaded[list[_Key]] = Reloaded([file], lambda: _read(file))

    def caller(self, token: str) -> Caller:
        """For whom the token stands; Unauthenticated (for the log) where it is not to be taken."""
        claims = self._claims(token)
        tenant = claims.get(self._settings.jwt_tenant_claim)
        if not isinstance(tenant, str) or not is_tenant_name(tenant):
            raise Unauthenticated(f"no tenant in the claim '{self._settings.jwt_tenant_claim}'")
        expires = float(claims["exp"])
        if time.time() >= expires:
            raise Unauthenticated("the JSON web token has expired")
        return Caller(tenant, self._role(claims), expires)

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"no JSON web token ({type(error).__name__})") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        why = f"no key for the algorithm {str(algorithm)[:20]!r} and the key's id"
        for key in self._keys.content:
            if algorithm not in key.algorithms or (key_id and key.id and key_id != key.id):
                continue
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.key,
                    algorithms=[algorithm],
                    issuer=self._settings.jwt_issuer,
                    audience=self._settings.jwt_audience,
                    # Clocks differ a little. That it has not expired is checked without grace.
                    leeway=_CLOCK_SKEW_SECONDS,
                    options={"require": ["exp", "iss", "aud"]},
                )
            except jwt.PyJWTError as error:
                why = f"the JSON web token is not valid ({type(error).__name__})"
            else:
                return claims
        raise Unauthenticated(why)

    def _role(self, claims: Mapping[str, Any]) -> Role:
        claim = claims.get(self._settings.jwt_role_claim)
        words = claim if isinstance(claim, list) else [claim]
        found = [role for role in map(Role.of, filter(_is_text, words)) if role is not None]
        if not found:
            raise Unauthenticated(f"no role in the claim '{self._settings.jwt_role_claim}'")
        return max(found)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _read(file: Path) -> list[_Key]:
    """The keys of a PEM or JWKS file; InvalidOption names what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
        keys = _pem(text) if "-----BEGIN" in text else _jwks(json.loads(text))
    except (OSError, ValueError, TypeError, KeyError, jwt.PyJWTError) as error:
        raise _fault(file, f"cannot be read: {error}") from error
    for key in keys:
        if not key.algorithms:
            raise _fault(
                file,
                "holds a key that cannot be used: take RSA of at least 2048 bits, P-256, P-384, "
                "P-521, Ed25519 or Ed448, and public keys only",
            )
    if not keys:
        raise _fault(file, "holds no public key; give PEM (PUBLIC KEY or CERTIFICATE) or JWKS")
    return keys


def _fault(file: Path, text: str) -> InvalidOption:
    return InvalidOption(f"the file of JWT keys {file} {text}", subject="jwt_keys_file")


def _pem(text: str) -> list[_Key]:
    keys = []
    for block in _PEM.finditer(text):
        data = block[0].encode()
        if block[1] == "CERTIFICATE":
            key: Any = x509.load_pem_x509_certificate(data).public_key()
        else:
            key = load_pem_public_key(data)
        keys.append(_Key(key, _algorithms(key)))
    return keys


def _jwks(document: Any) -> list[_Key]:
    keys = []
    for entry in document["keys"]:
        if entry.get("use", "sig") != "sig":
            continue
        key = jwt.PyJWK(entry).key
        possible = _algorithms(key)
        algorithms = tuple(name for name in possible if name == entry.get("alg", name))
        keys.append(_Key(key, algorithms, entry.get("kid")))
    return keys


def _algorithms(key: Any) -> tuple[str, ...]:
    """The algorithms for which a public key may be used; () for a key of any other kind."""
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA if key.key_size >= _LEAST_RSA_BITS else ()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (_CURVES[key.curve.name],) if key.curve.name in _CURVES else ()
    if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return ("EdDSA",)
    return ()
