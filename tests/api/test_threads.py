"""Calls that take long wait in a queue that has an end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mho.api.threads import Threads
from mho.errors import Unavailable


def test_slow_calls_beyond_the_queue_are_refused_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mho.api.threads._MOST_SLOW", 10)

    async def scenario() -> None:
        leave = threading.Event()
        pools = Threads()
        slow = [asyncio.ensure_future(pools.call_slow(leave.wait, 30)) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="10 uploads are being checked") as caught:
            await pools.call_slow(leave.wait, 30)
        assert caught.value.retry_seconds
        assert await pools.call(str, 5) == "5"
        slow[-1].cancel()  # it waits for a thread, so that its place is free at once
        await asyncio.wait(slow[-1:])
        slow[-1] = asyncio.ensure_future(pools.call_slow(leave.wait, 30))
        await asyncio.sleep(0)
        leave.set()
        assert await asyncio.gather(*slow) == [True] * 10
        assert await pools.call_slow(str, 5) == "5"
        pools.close()

    asyncio.run(scenario())
