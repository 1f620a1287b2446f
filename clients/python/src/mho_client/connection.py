"""The channel to a server, and how calls are repeated when it is away for a moment."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc

from mho_client.access import Access
from mho_client.errors import code_of, from_rpc, retry_seconds

_Answer = TypeVar("_Answer")

_MIB = 1024 * 1024
_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", 16 * _MIB),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A server that is gone without a word is noticed in the midst of a quiet watch.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]

QUICK_SECONDS = 60.0
SLOW_SECONDS = 600.0

_UNREACHED_SECONDS = 5.0


class Connection:
    """A channel to ``address``; ``retry_seconds`` is how long an absent server is waited for.

    A server that was never reached is given five seconds at most, since the address may be wrong.
    """

    def __init__(
        self,
        address: str,
        *,
        retry_seconds: float,
        access: Access,
    ) -> None:
        self.address = address
        self._retry_seconds = retry_seconds
        self._access = access
        self._reached = False
        self.channel = access.channel(address, _OPTIONS)

    def close(self) -> None:
        self.channel.close()

    def call(
        self,
        function: Callable[..., _Answer],
        request: Any,
        *,
        seconds: float = QUICK_SECONDS,
    ) -> _Answer:
        """The answer to a call that may be repeated; MhoClientError where it fails."""
        for attempt in self.attempts():
            try:
                answer = function(request, timeout=seconds, metadata=self._access.metadata())
            except grpc.RpcError as error:
                attempt.failed(error)
            else:
                self._reached = True
                return answer
        raise AssertionError("attempts() ends by an error only")

    def stream(
        self, function: Callable[..., Any], request: Any, *, seconds: float | None = None
    ) -> Any:
        """The open call of a stream of answers; iterating it may raise ``grpc.RpcError``."""
        return function(request, timeout=seconds, metadata=self._access.metadata())

    def attempts(self) -> Iterator[Attempt]:
        """One attempt after another, with growing pauses, until one is not ``failed``."""
        attempt = Attempt(self.address, self._patience)
        while True:
            yield attempt

    def _patience(self) -> float:
        return self._retry_seconds if self._reached else min(
            self._retry_seconds, _UNREACHED_SECONDS
        )  # fmt: skip


class Attempt:
    """Counts the time since a call last got anywhere."""

    def __init__(self, address: str, patience: Callable[[], float]) -> None:
        self._address = address
        self._patience = patience
        self.advanced()

    def advanced(self) -> None:
        """Something arrived: patience begins anew."""
        self._since = time.monotonic()
        self._pause = 0.1

    def failed(self, error: grpc.RpcError) -> None:
        """Pause and return where another attempt may help; MhoClientError otherwise."""
        spent = time.monotonic() - self._since
        told = retry_seconds(error)
        code = code_of(error)
        # A server that is full says when to come again; a quota that only room made helps does not.
        helps = code == grpc.StatusCode.UNAVAILABLE or (
            code == grpc.StatusCode.RESOURCE_EXHAUSTED and told is not None
        )
        if not helps or spent > self._patience():
            raise from_rpc(error, self._address) from None
        # The jitter keeps many clients of a server that comes back from arriving all at once.
        time.sleep(max(self._pause, told or 0.0) * random.uniform(0.5, 1.0))  # noqa: S311 no secret
        self._pause = min(self._pause * 2, 5.0)
