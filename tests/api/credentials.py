"""A server with tenants, and credentials for it: good, expired, withdrawn, forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER, AUDIENCE = "https://issuer.example", "mho"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def tenants_file(folder: Path, **tenants: dict[str, str]) -> str:
    """Write a tenants file; each tenant's tokens with what stands behind the digest."""
    lines = ["tenants:"]
    for name, tokens in tenants.items():
        lines += [f"  {name}:", "    tokens:"]
        lines += [f"      - {{sha256: {digest(token)}, {rest}}}" for token, rest in tokens.items()]
    file = folder / "tenants.yaml"
    file.write_text("\n".join(lines))
    return str(file)


class Issuer:
    """Signs JSON web tokens."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public_pem = self.key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    def settings(self, folder: Path) -> dict[str, str]:
        (folder / "jwt.pem").write_bytes(self.public_pem)
        return {
            "jwt_keys_file": str(folder / "jwt.pem"),
            "jwt_issuer": ISSUER,
            "jwt_audience": AUDIENCE,
        }

    def claims(self, tenant: str, role: str, seconds: float = 600, **more: Any) -> dict[str, Any]:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + seconds}
        return claims | {"tenant": tenant, "role": role} | more

    def token(self, tenant: str, role: str, seconds: float = 600, **more: Any) -> str:
        return self.signed(self.claims(tenant, role, seconds, **more))

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self.key, algorithm="ES256")

    def forged(self, tenant: str, role: str) -> dict[str, str]:
        """Tokens that say what ``token`` says, of somebody without the key; how -> token."""
        claims = self.claims(tenant, role)
        good = self.token(tenant, role)
        return {
            "alg none": unsigned({"alg": "none", "typ": "JWT"}, claims) + ".",
            "alg NONE": unsigned({"alg": "NONE", "typ": "JWT"}, claims) + ".",
            "no alg": unsigned({"typ": "JWT"}, claims) + ".",
            "the public key as a secret": self._by_public_key(claims),
            "another key": jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256"),
            "no signature": good.rpartition(".")[0] + ".",
            "other claims": ".".join(
                (good.split(".")[0], part(claims | {"role": "admin"}), good.split(".")[2])
            ),
            "a key of its own": jwt.encode(
                claims,
                (own := ec.generate_private_key(ec.SECP256R1())),
                "ES256",
                headers={"jwk": json.loads(jwt.algorithms.ECAlgorithm.to_jwk(own.public_key()))},
            ),
        }

    def _by_public_key(self, claims: dict[str, Any]) -> str:
        text = unsigned({"alg": "HS256", "typ": "JWT"}, claims)
        signature = hmac.new(self.public_pem, text.encode(), hashlib.sha256).digest()
        return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{part(header)}.{part(claims)}"
