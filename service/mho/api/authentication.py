"""Finds out who calls, by a bearer token or the client's certificate, before a call is answered.

Checks of health and reflection are answered to everybody; nothing in them is a tenant's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from cryptography import x509

from mho.api.caller import ANONYMOUS, Caller, act_for
from mho.api.interception import Interceptor, with_behaviour
from mho.api.json_web_tokens import JsonWebTokens
from mho.api.roles import NEEDED
from mho.config import Settings
from mho.errors import PermissionDenied, Unauthenticated
from mho.tenants import Tenants

LOOK_AGAIN_SECONDS = 10.0
"""How often the credential of a stream is looked at again, lest it was withdrawn."""

_REFUSED = (
    "the call carries no valid credential; send 'authorization: Bearer TOKEN', or connect with a "
    "client certificate that the server knows"
)

_log = logging.getLogger("mho.api.authentication")


def is_configured(settings: Settings) -> bool:
    """Whether callers have to say who they are."""
    return bool(settings.tenants_file or settings.jwt_keys_file)


class Authentication(Interceptor):
    """Stands within ``Guard``, which turns what is raised into statuses.

    tenants: those there are now. InvalidOption where the keys cannot be read. A stream ends with
    Unauthenticated when its credential expires or is withdrawn.
    """

    def __init__(self, settings: Settings, tenants: Callable[[], Tenants]) -> None:
        self._anonymous = not is_configured(settings)
        self._tenants = tenants
        self._web_tokens = JsonWebTokens(settings) if settings.jwt_keys_file else None

    def intercepted(self, handler: Any, call: str) -> grpc.RpcMethodHandler[Any, Any]:
        streams = bool(handler.request_streaming or handler.response_streaming)
        return with_behaviour(handler, lambda inner: self._authenticated(inner, call, streams))

    def _authenticated(self, behaviour: Any, call: str, streams: bool) -> Any:
        async def authenticated(request: Any, context: Any) -> Any:
            caller = self._identified(context)
            if call not in NEEDED:
                raise PermissionDenied(f"nobody may call {call[:200]}", subject="role")
            act_for(caller, NEEDED[call])
            if not streams:
                return await behaviour(request, context)
            async with self._as_long_as(caller, context):
                return await behaviour(request, context)

        return authenticated

    @asynccontextmanager
    async def _as_long_as(self, caller: Caller, context: Any) -> AsyncIterator[None]:
        """Ends the block with Unauthenticated once the call is no longer ``caller``'s."""
        loop = asyncio.get_running_loop()
        look: asyncio.TimerHandle | None = None

        def look_again() -> None:
            nonlocal look
            try:
                still = self._identified(context) == caller
            except Unauthenticated:
                still = False
            if still:
                look = loop.call_later(_until_next_look(caller), look_again)
            else:
                limit.reschedule(loop.time())

        try:
            async with asyncio.timeout(None) as limit:
                look_again()
                yield
        except TimeoutError:
            if limit.expired():
                raise Unauthenticated(_REFUSED) from None
            raise
        finally:
            if look is not None:
                look.cancel()

    def _identified(self, context: Any) -> Caller:
        """Whose call it is; Unauthenticated, which tells the caller nothing about why."""
        if self._anonymous:
            return ANONYMOUS
        try:
            caller = self._caller(context.invocation_metadata() or (), context.auth_context())
            if caller.expires is not None and time.time() >= caller.expires:
                raise Unauthenticated("the credential has expired")
        except Unauthenticated as error:
            _log.info("a call was refused: %s", error.message)
            raise Unauthenticated(_REFUSED) from None
        return caller

    def _caller(
        self, metadata: Iterable[tuple[str, str | bytes]], peer: Mapping[str, Iterable[bytes]]
    ) -> Caller:
        """A token counts before a certificate, which may be that of a proxy."""
        headers = [value for key, value in metadata if key == "authorization"]
        if not headers:
            return self._by_certificate(peer)
        scheme, _, token = str(headers[0]).partition(" ")
        if len(headers) > 1 or scheme.lower() != "bearer":
            raise Unauthenticated("the authorization is not one bearer token")
        held = self._tenants().holder_of_token(token.strip())
        if held is not None:
            return Caller(held[0].name, held[1].role, held[1].expires)
        if self._web_tokens is None:
            raise Unauthenticated("the token is nobody's")
        return self._web_tokens.caller(token.strip())

    def _by_certificate(self, peer: Mapping[str, Iterable[bytes]]) -> Caller:
        names = [
            name.decode("utf-8", "replace")
            for key in ("x509_common_name", "x509_subject_alternative_name")
            for name in peer.get(key, ())
        ]
        held = self._tenants().holder_of_certificate(names)
        if held is None:
            raise Unauthenticated(
                f"no token, and no tenant has the certificate of {', '.join(names)[:200]}"
                if names
                else "neither a token nor a certificate"
            )
        pem = next(iter(peer["x509_pem_cert"]))
        expires = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
        return Caller(held[0].name, held[1].role, expires)


def _until_next_look(caller: Caller) -> float:
    if caller.expires is None:
        return LOOK_AGAIN_SECONDS
    return min(LOOK_AGAIN_SECONDS, max(0.0, caller.expires - time.time()))
