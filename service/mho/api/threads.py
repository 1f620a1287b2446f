"""Where the synchronous facade is called, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")

_QUICK = 16
_SLOW = 8


class Threads:
    """Two pools: calls that take milliseconds never queue behind those that inspect a model."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(_QUICK, thread_name_prefix="api")
        self._slow = ThreadPoolExecutor(_SLOW, thread_name_prefix="api-slow")

    async def call(
        self, function: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        """``function(*args, **kwargs)``, which takes milliseconds."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._quick, _here(function, *args, **kwargs))

    async def call_slow(
        self, function: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Answer:
        """``function(*args, **kwargs)``, which may take minutes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._slow, _here(function, *args, **kwargs))

    def close(self) -> None:
        """Take no more calls; those that run end by themselves."""
        self._quick.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)


def _here(
    function: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs
) -> Callable[[], _Answer]:
    """The call with the context variables of this task, which a pool's thread would not have."""
    return partial(copy_context().run, partial(function, *args, **kwargs))
