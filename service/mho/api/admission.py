"""Limits how many calls are under way at the same time, of a tenant and of all together.

Calls that stream are counted apart from the others: they are open for long and compute nothing.
Those of health and reflection are not counted, so that a busy server never looks dead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from mho.api.caller import current
from mho.api.interception import Interceptor, with_behaviour
from mho.config import Settings
from mho.errors import QuotaExceeded, Unavailable
from mho.tenants import Quota

RETRY_SECONDS = 1.0


class Admission(Interceptor):
    """Stands within ``Authentication``, which says whose call it is. quota: of a tenant, now."""

    def __init__(self, settings: Settings, quota: Callable[[str], Quota]) -> None:
        self._calls = Places(
            "concurrent_calls",
            "calls",
            "max_calls",
            settings.max_calls,
            lambda tenant: quota(tenant).concurrent_calls,
        )
        self._streams = Places(
            "concurrent_streams",
            "streams",
            "max_streams",
            settings.max_streams,
            lambda tenant: quota(tenant).concurrent_streams,
        )

    def intercepted(self, handler: Any, call: str) -> grpc.RpcMethodHandler[Any, Any]:
        del call
        streams = handler.request_streaming or handler.response_streaming
        places = self._streams if streams else self._calls
        return with_behaviour(handler, lambda behaviour: _admitted(behaviour, places))


def _admitted(behaviour: Any, places: Places) -> Any:
    async def admitted(request: Any, context: Any) -> Any:
        with places.taken(current().tenant):
            return await behaviour(request, context)

    return admitted


class Places:
    """Calls of one kind that are under way; used by the event loop alone, so nothing is locked.

    quota: its name, which tells what is counted in ``kind``. setting: where ``most`` was said.
    """

    def __init__(
        self, quota: str, kind: str, setting: str, most: int, of_tenant: Callable[[str], int]
    ) -> None:
        self._quota = quota
        self._kind = kind
        self._setting = setting
        self._most = most
        self._of_tenant = of_tenant
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """A place for the block; QuotaExceeded or Unavailable where there is none."""
        most = self._of_tenant(tenant)
        if most and self._taken[tenant] >= most:
            raise QuotaExceeded(
                f"{most} {self._kind} of tenant '{tenant}' are under way, as many as it may have "
                "at the same time; try again when one has ended, or ask the server's operator for "
                "more",
                subject=f"tenants/{tenant}/{self._quota}",
                retry_seconds=RETRY_SECONDS,
            )
        if self._most and self._taken.total() >= self._most:
            raise Unavailable(
                f"{self._most} {self._kind} are under way, as many as this server answers at the "
                f"same time (setting {self._setting}); try again soon",
                subject=self._kind,
                retry_seconds=RETRY_SECONDS,
            )
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
