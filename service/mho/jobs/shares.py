"""Whose turn it is among the tenants that want workers: weighted fair queueing.

Each tenant has a virtual time: the seconds that workers have spent for it, divided by its weight.
Whoever has the least is next. A tenant that begins to want workers starts where the furthest behind
of the others stands: it gets its share from now on, and nothing for the time when it wanted none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping


class Shares:
    """weight: of a tenant. turn: seconds that a job which has just begun is expected to take.

    In the memory of one server; after a restart all begin alike.
    """

    def __init__(self, weight: Callable[[str], float], turn: float) -> None:
        self._weight = weight
        self._turn = max(turn, 1.0)
        self._times: dict[str, float] = {}
        self._wanting: set[str] = set()
        self._floor = 0.0

    def want(self, tenants: Collection[str]) -> None:
        """``tenants`` want workers or have them; all others do not."""
        staying = [self._times[tenant] for tenant in tenants if tenant in self._wanting]
        if staying:
            self._floor = max(self._floor, min(staying))
        for tenant in tenants:
            if tenant not in self._wanting:
                self._times[tenant] = max(self._times.get(tenant, 0.0), self._floor)
        self._wanting = set(tenants)
        # Who stands no further than a newcomer would need not be remembered.
        self._times = {
            tenant: time
            for tenant, time in self._times.items()
            if tenant in self._wanting or time > self._floor
        }

    def spend(self, tenant: str, seconds: float) -> None:
        """A worker has spent ``seconds`` for the tenant."""
        time = self._times.get(tenant, self._floor)
        self._times[tenant] = time + seconds / self._weight(tenant)

    def standing(self, tenant: str, running: int) -> float:
        """Where the tenant stands with ``running`` jobs under way, each taken for one turn."""
        return self._times.get(tenant, self._floor) + running * self._turn / self._weight(tenant)

    def order(self, waiting: Mapping[str, float], running: Mapping[str, int]) -> list[str]:
        """The tenants that wait, the next one first.

        waiting: tenant -> when its first job counts as submitted, which decides between equals.
        """
        return sorted(waiting, key=lambda t: (self.standing(t, running.get(t, 0)), waiting[t], t))

    def in_excess(self, waiting: Collection[str], running: Mapping[str, int]) -> list[str]:
        """Who has a worker more than one that waits should have, the furthest ahead first.

        Even without that worker they would not be next.
        """
        if not waiting:
            return []
        least = min(self.standing(tenant, running.get(tenant, 0)) for tenant in waiting)
        ahead = {tenant: self.standing(tenant, count - 1) for tenant, count in running.items()}
        return sorted(
            (tenant for tenant, time in ahead.items() if time > least and running[tenant]),
            key=lambda tenant: -ahead[tenant],
        )
