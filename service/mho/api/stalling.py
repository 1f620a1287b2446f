"""Ends a stream of requests that stalls, so that what it holds becomes free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from mho.errors import DeadlineExceeded

_Request = TypeVar("_Request")


async def moving(requests: AsyncIterator[_Request], seconds: float) -> AsyncIterator[_Request]:
    """``requests``; DeadlineExceeded where the next one takes longer than ``seconds``."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                request = await anext(requests)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise DeadlineExceeded(
                f"nothing came for {seconds:g} s (setting stalled_seconds); call again, an upload "
                "with the offset that GetUpload tells",
                subject="stream",
            ) from None
        yield request
