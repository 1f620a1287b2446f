"""Page tokens: where a listing goes on, signed against forging and carrying elsewhere."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from mho.errors import InvalidOption

_TAG_BYTES = 16
_LARGEST_PAGE = 1000
_DEFAULT_PAGE = 50


def load_key(file: Path) -> bytes:
    """The signing key in ``file``, which is made where it does not exist."""
    try:
        key = file.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != 32:
        key = secrets.token_bytes(32)
        temporary = file.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(key)
            writer.flush()
            os.fsync(writer.fileno())
        temporary.rename(file)
    return key


def checked_size(page_size: int) -> int:
    """How many entries a page holds: 50 for 0, at most 1000; InvalidOption for less than 0."""
    if page_size < 0:
        raise InvalidOption(
            f"page_size is {page_size}; give 0 for the default or a positive number",
            subject="page_size",
        )
    return min(page_size, _LARGEST_PAGE) or _DEFAULT_PAGE


class PageTokens:
    """Makes and reads tokens. ``scope`` (tenant, kind and filter of the listing) is signed too."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, position: int, scope: tuple[str, ...]) -> str:
        body = position.to_bytes(8, "big")
        return base64.urlsafe_b64encode(body + self._tag(body, scope)).decode().rstrip("=")

    def read(self, token: str, scope: tuple[str, ...]) -> int | None:
        """The position in ``token``, None for no token; InvalidOption for one of another scope."""
        if not token:
            return None
        try:
            if len(token) > 64:
                raise ValueError
            content = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            content = b""
        body, tag = content[:8], content[8:]
        if len(content) != 8 + _TAG_BYTES or not hmac.compare_digest(tag, self._tag(body, scope)):
            raise InvalidOption(
                "the page_token is not one that this listing gave; pass next_page_token of the "
                "page before unchanged, with the same filter, or leave it empty to start anew",
                subject="page_token",
            )
        return int.from_bytes(body, "big")

    def _tag(self, body: bytes, scope: tuple[str, ...]) -> bytes:
        signed = body + "".join(f"{len(part)}:{part}" for part in scope).encode()
        return hmac.new(self._key, signed, hashlib.sha256).digest()[:_TAG_BYTES]
