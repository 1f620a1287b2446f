"""Page tokens: where a listing goes on, signed against forging and carrying elsewhere."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from pathlib import Path

from mho.errors import FailedPrecondition, InvalidOption
from mho.jobs.layout import made_once

_KEY_BYTES = 32
_TAG_BYTES = 16
_LARGEST_PAGE = 1000
_DEFAULT_PAGE = 50


def load_key(file: Path) -> bytes:
    """The signing key in ``file``, which is made where it does not exist.

    FailedPrecondition where the file holds something else.
    """
    key = made_once(file, secrets.token_bytes(_KEY_BYTES))
    if len(key) != _KEY_BYTES:
        raise FailedPrecondition(
            f"{file} has {len(key)} bytes, and the key of page tokens has {_KEY_BYTES}; remove the "
            "file, and a new key is made",
            subject="data_dir",
        )
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
