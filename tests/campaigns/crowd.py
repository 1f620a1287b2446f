"""Clients by the dozen, in processes of their own, each call with the time that it took."""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np

import throughput
from mho_client import Client, MhoClientError
from mho_client.errors import from_rpc
from tenants import bearer
from work import REAL, dataset, model, pictures, toy

BACK_PRESSURE = ("RESOURCE_EXHAUSTED", "UNAVAILABLE")
"""What a server under load may answer, with the time after which to come again."""

BLOB_BYTES = 256 * 1024


@dataclass
class Calls:
    """seconds: kind of call -> how long each took. failed: (kind, status, words) -> how often;
    no words for back-pressure."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, other: Calls) -> None:
        for kind, seconds in other.seconds.items():
            self.seconds.setdefault(kind, []).extend(seconds)
        self.failed += other.failed

    @property
    def errors(self) -> list[str]:
        """Failures that are no back-pressure, and back-pressure that does not say for how long."""
        return [
            f"{kind}: {status} {words} ({count} times)"
            for (kind, status, words), count in self.failed.items()
            if words
        ]

    def quantile(self, kind: str, share: float) -> float:
        """Milliseconds."""
        return float(np.quantile(self.seconds[kind], share) * 1000)


@dataclass(frozen=True)
class Habits:
    """What one client does again and again: kinds of calls by weight, with pauses in between.

    pause: mean seconds between two; 0 for none.
    """

    weights: Mapping[str, int]
    pause: float


MIXED = Habits({"Attribute": 8, "upload": 2, "job": 2, "list": 3}, pause=0.3)
CALM = Habits({"Attribute": 1}, pause=0.05)
FLOOD = Habits({"Attribute": 4, "upload": 2, "real job": 2}, pause=0)


class Member:
    """One client with its connection."""

    def __init__(self, address: str, tenant: str, token: str, seed: str, folder: Path) -> None:
        self._chance = random.Random(seed)
        self._folder = folder
        self._metadata = bearer(token)
        self._parent = f"tenants/{tenant}"
        self._channel = grpc.insecure_channel(address)
        self._client = Client(address, tenant=tenant, retry_seconds=0, token=token)
        self.calls = Calls()
        self._model = model(self._client, REAL[0], folder)
        self._data = dataset(self._client, REAL[0], self._model, folder)
        self._inputs = np.load(pictures(folder)[0])

    def live(self, habits: Habits, until: float) -> None:
        """Call until then (monotonic)."""
        kinds, weights = list(habits.weights), list(habits.weights.values())
        does: dict[str, Callable[[], None]] = {
            "Attribute": self._attribute,
            "upload": self._upload,
            "job": self._job,
            "real job": self._real_job,
            "list": self._list,
        }
        while time.monotonic() < until:
            if habits.pause:
                time.sleep(self._chance.expovariate(1 / habits.pause))
            kind = self._chance.choices(kinds, weights)[0]
            try:
                does[kind]()
            except MhoClientError as error:
                self._failed(kind, error)
            except grpc.RpcError as error:
                self._failed(kind, from_rpc(error, ""))
        self._client.close()
        self._channel.close()

    def _failed(self, kind: str, error: MhoClientError) -> None:
        """Note it; back-pressure only where mho says when to come again."""
        pressed = error.code in BACK_PRESSURE and error.retry_seconds is not None
        words = "" if pressed else error.message[:200] or "no words"
        self.calls.failed[kind, error.code, words] += 1
        # Sooner than it was told: whoever floods does not listen.
        time.sleep(self._chance.uniform(0.05, 0.2))

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.calls.seconds.setdefault(kind, []).append(time.monotonic() - began)

    def _attribute(self) -> None:
        at = self._chance.randrange(len(self._inputs))
        with self._timed("Attribute (conductance)"):
            self._client.attribute(
                self._model, "conductance", self._inputs[at : at + 1], layers=["conv2/relu"]
            )

    def _upload(self) -> None:
        content = throughput.unlike_any(BLOB_BYTES)
        with self._timed("UploadBlob (256 KiB)"):
            throughput.upload(self._channel, self._parent, content, self._metadata)

    def _job(self) -> None:
        """A toy job, watched to its end, read and deleted."""
        order = toy(self._chance, most_steps=12, contents=(0,))
        with self._timed("CreateModel (known)"):
            name = model(self._client, order, self._folder)
        with self._timed("upload and CreateDataset"):
            data = dataset(self._client, order, name, self._folder)
        with self._timed("CreateJob"):
            job = self._client.submit(order.method, name, data, **order.options)
        with self._timed("WatchJob to the end"):
            for _ in job.watch():
                pass
        with self._timed("GetResult and FetchScores"):
            job.result()
        with self._timed("DeleteJob"):
            job.delete()
        self._client.delete_dataset(data)

    def _real_job(self) -> None:
        """Left alone: whoever floods does not wait."""
        order = self._chance.choice(REAL)
        with self._timed("CreateJob"):
            self._client.submit(order.method, self._model, self._data, **order.options)

    def _list(self) -> None:
        with self._timed("ListJobs (first of them)"):
            next(self._client.jobs(), None)
        with self._timed("GetModel"):
            self._client.model(self._model)


def crowd(
    address: str,
    members: list[tuple[str, str]],
    habits: Habits,
    seconds: float,
    *,
    processes: int = 4,
    seed: int = 1,
) -> Calls:
    """What became of the calls of clients, one of each (tenant, token) in ``members``, over so long
    after they have connected."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    shares = [members[number::processes] for number in range(min(processes, len(members)))]
    started = [
        context.Process(
            target=_live_together, args=(address, share, habits, seconds, f"{seed} {n}", answers)
        )
        for n, share in enumerate(shares)
    ]
    for process in started:
        process.start()
    found = Calls()
    for _ in started:
        found.add(answers.get(timeout=seconds + 600))
    for process in started:
        process.join()
    return found


def _live_together(
    address: str,
    members: list[tuple[str, str]],
    habits: Habits,
    seconds: float,
    seed: str,
    answers: Any,
) -> None:
    """The threads of one process."""
    found = Calls()
    lock = threading.Lock()

    def live(number: int, tenant: str, token: str) -> None:
        folder = Path(root) / str(number)
        folder.mkdir()
        try:
            member = Member(address, tenant, token, f"{seed} {number}", folder)
            member.live(habits, time.monotonic() + seconds)
            calls = member.calls
        except Exception as error:  # noqa: BLE001  # told to whoever waits for the answer
            calls = Calls()
            calls.failed["a client", "ENDED", repr(error)[:300]] += 1
        with lock:
            found.add(calls)

    with tempfile.TemporaryDirectory(prefix="mho-crowd-") as root:
        threads = [
            threading.Thread(target=live, args=(number, *member))
            for number, member in enumerate(members)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    answers.put(found)
