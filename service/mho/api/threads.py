"""Where the synchronous facade is called, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from mho.errors import Unavailable

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")

_QUICK = 16
_SLOW = 8
_MOST_SLOW = 64
"""Slow calls that run or wait for a thread; further ones are refused."""
_RETRY_SECONDS = 5.0


class Threads:
    """Two pools: calls that take milliseconds never queue behind those that inspect a model."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(_QUICK, thread_name_prefix="api")
        self._slow = ThreadPoolExecutor(_SLOW, thread_name_prefix="api-slow")
        self._room = threading.BoundedSemaphore(_MOST_SLOW)

    async def call(
        self, function: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        """``function(*args, **kwargs)``, which takes milliseconds."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._quick, _here(function, *args, **kwargs))

    async def call_slow(
        self, function: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        """``function(*args, **kwargs)``, which may take minutes; Unavailable where too many wait.

        One that runs counts until it has ended, also where its caller has gone.
        """
        if not self._room.acquire(blocking=False):
            raise Unavailable(
                f"{_MOST_SLOW} uploads are being checked or wait for it; try again soon",
                subject="queue",
                retry_seconds=_RETRY_SECONDS,
            )
        running = self._slow.submit(_here(function, *args, **kwargs))
        running.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        """Take no more calls; those that run end by themselves."""
        self._quick.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)


def _here(
    function: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
) -> Callable[[], _Answer]:
    """The call with the context variables of this task, which a pool's thread would not have."""
    return partial(copy_context().run, partial(function, *args, **kwargs))
