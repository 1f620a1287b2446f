"""A client that uses the service as people do, while somebody pulls the plugs."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from ledger import Accepted, Ledger
from mho_client import Client, Job, JobFailed, MhoClientError
from work import Expected, Order, attributed, dataset, found, model, orders

_Answer = TypeVar("_Answer")

PASSING = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")
"""Statuses after which the same call is worth repeating."""

KILLED = "WORKER_CRASHED"
"""Why a synchronous call fails whose worker is killed; also worth repeating."""

PATIENCE_SECONDS = 180.0

CALL_TOLERANCE = 1e-3
"""Of the largest score: calls that wait together share a run, and its batch may cut a path
elsewhere within the tolerance of completeness."""


class User(threading.Thread):
    """Asks for one job after another until ``ending``, and sees the last one through."""

    def __init__(
        self,
        number: int,
        client: Client,
        tenant: str,
        folder: Path,
        *,
        seed: int,
        ledger: Ledger,
        expected: Expected,
        ending: threading.Event,
    ) -> None:
        super().__init__(name=f"user-{number}", daemon=True)
        self._client = client
        self._tenant = tenant
        self._folder = folder
        self._chance = random.Random(f"{seed} {number}")
        self._ledger = ledger
        self._expected = expected
        self._ending = ending
        self.doing = ""

    def run(self) -> None:
        self._folder.mkdir(parents=True)
        for order in orders(self._chance):
            if self._ending.is_set():
                return
            try:
                self._one(order)
            except Exception:  # noqa: BLE001  # whatever it is, the campaign reports it
                self._ledger.fault(f"{self.name}, {self.doing}: {traceback.format_exc()}")
                time.sleep(1)

    def _one(self, order: Order) -> None:
        name = self.insist("upload_model", lambda: model(self._client, order, self._folder))
        data = self.insist(
            "upload_dataset", lambda: dataset(self._client, order, name, self._folder)
        )
        if not order.toy and self._chance.random() < 0.5:
            self._attribute(name)
        job = self._submitted(order, name, data)
        accepted = self._ledger.accept(job.name, self._tenant, order)
        what = self._chance.random()
        if what < 0.15:
            time.sleep(self._chance.uniform(0, 1.5))
            self._cancel(job, accepted)
        elif what < 0.3:
            self._ledger.count("left alone")
            return  # it is looked at when the campaign ends
        self._watch(job, accepted)
        self.verify(job, accepted)
        if self._chance.random() < 0.4:
            self._forget(job, accepted)
            if order.toy:
                self._gone("delete_dataset", lambda: self._client.delete_dataset(data))

    def _attribute(self, name: str) -> None:
        """A synchronous call, whose worker may be killed under it."""
        scores = self.insist("attribute", lambda: attributed(self._client, name, self._folder))
        wanted = self._expected.attribution
        difference = float(np.abs(scores - wanted).max() / np.abs(wanted).max())
        self._ledger.call_differs(difference)
        if difference > CALL_TOLERANCE:
            self._ledger.fault(f"a synchronous call differs by {difference:g} of the largest score")
        self._ledger.count("synchronous calls")

    def _submitted(self, order: Order, name: str, data: str) -> Job:
        """The job; often asked for twice, and sometimes at the same time."""
        request = f"{self.name}-{self._chance.getrandbits(64):x}"

        def submit() -> Job:
            return self.insist(
                "submit",
                lambda: self._client.submit(
                    order.method, name, data, request_id=request, **order.options
                ),
            )

        if self._chance.random() < 0.3:
            with ThreadPoolExecutor(2) as pool:
                jobs = list(pool.map(lambda _: submit(), range(2)))
        else:
            jobs = [submit() for _ in range(self._chance.choice([1, 1, 2]))]
        if len({job.name for job in jobs}) > 1:
            self._ledger.fault(f"request {request} made several jobs: {jobs}")
        self._ledger.counts["requests repeated"] += len(jobs) - 1
        return jobs[0]

    def _watch(self, job: Job, accepted: Accepted) -> None:
        """Look on until the job has ended, and sometimes look away for a moment."""
        while True:

            def look() -> bool:
                for event in job.watch(resume_sequence=max(accepted.seen, default=0), timeout=600):
                    self._ledger.fault(accepted.watched(event))
                    if self._chance.random() < 0.02:
                        return False
                return True

            if self.insist("watch", look):
                return
            self._ledger.count("watches resumed")
            time.sleep(self._chance.uniform(0, 0.5))

    def _cancel(self, job: Job, accepted: Accepted) -> None:
        accepted.cancelled = True
        try:
            self.insist("cancel", job.cancel)
            self._ledger.count("cancelled")
        except MhoClientError as error:
            if error.code != "FAILED_PRECONDITION":
                raise
            self._ledger.count("cancelled too late")

    def verify(self, job: Job, accepted: Accepted) -> None:
        """Take down what became of the job, and whether its arrays are the undisturbed ones."""
        status = self.insist("status", job.status)
        accepted.verified = True
        if status.state == "SUCCEEDED":
            try:
                arrays = self.insist("result", lambda: found(job))
            except JobFailed as error:
                self._ledger.fault(f"{job.name}, {accepted.order.key}: {error}")
                return
            difference = self._expected.difference(accepted.order, arrays)
            self._ledger.differs(difference)
            if difference:
                self._ledger.fault(f"{job.name}, {accepted.order.key}: differs by {difference:g}")
            self._ledger.count("ended: SUCCEEDED")
        elif status.state == "CANCELLED" and accepted.cancelled:
            self._ledger.count("ended: CANCELLED")
        elif status.error is not None and status.error.reason == "RESOURCE_EXHAUSTED":
            self._ledger.count("ended: FAILED for want of room")
        else:
            self._ledger.fault(f"{job.name}, {accepted.order.key}: ended as {status}")

    def _forget(self, job: Job, accepted: Accepted) -> None:
        self._gone("delete_job", job.delete)
        accepted.deleted = True
        self._ledger.count("deleted")
        try:
            status = self.insist("status", job.status)
        except MhoClientError as error:
            if error.code == "NOT_FOUND":
                return
            raise
        self._ledger.fault(f"{job.name} is still there after it was deleted: {status.state}")

    def _gone(self, what: str, delete: Callable[[], None]) -> None:
        """``delete``; a repeated call may find that the first one had done it."""
        try:
            self.insist(what, delete)
        except MhoClientError as error:
            if error.code != "NOT_FOUND" or not self.repeated:
                raise

    def insist(self, what: str, call: Callable[[], _Answer]) -> _Answer:
        """The answer to ``call``, which is repeated as long as what it fails of may pass."""
        end = time.monotonic() + PATIENCE_SECONDS
        self.doing, self.repeated = what, False
        while True:
            try:
                return call()
            except MhoClientError as error:
                passes = error.code in PASSING or error.reason == KILLED
                if not passes or time.monotonic() > end:
                    raise
                self._ledger.count(f"{what} repeated: {error.code}")
                self.repeated = True
                time.sleep(self._chance.uniform(0.1, 0.6))
