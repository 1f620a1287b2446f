"""What the servers promised the clients of a campaign, and every promise that was broken."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field

from mho_client import Event
from work import Order

FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass
class Accepted:
    """A job whose name a client was told. cancelled: it was asked to stop."""

    name: str
    tenant: str
    order: Order
    cancelled: bool = False
    deleted: bool = False
    verified: bool = False
    seen: dict[int, Event] = field(default_factory=dict)
    """Sequence -> event, of what was watched."""

    def watched(self, event: Event) -> str:
        """Take down an event; the sentence that says what is wrong with it, or ""."""
        last = max(self.seen, default=0)
        self.seen[event.sequence] = event
        if event.sequence <= last:
            return f"{self.name}: event {event.sequence} came after event {last}"
        return ""


class Ledger:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.accepted: dict[str, Accepted] = {}
        self.broken: list[str] = []
        self.counts: Counter[str] = Counter()
        self.worst = 0.0
        """Largest difference of an array from the undisturbed run's."""
        self.worst_call = 0.0
        """The same of synchronous calls, which share runs with others, in parts of the largest
        score."""

    def accept(self, name: str, tenant: str, order: Order) -> Accepted:
        with self._lock:
            self.counts[f"accepted: {order.key.split()[0].strip(',')}"] += 1
            if name in self.accepted:
                self.broken.append(f"two requests were answered with the one job {name}")
            return self.accepted.setdefault(name, Accepted(name, tenant, order))

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def fault(self, sentence: str) -> None:
        if sentence:
            with self._lock:
                self.broken.append(sentence)

    def differs(self, by: float) -> None:
        with self._lock:
            self.worst = max(self.worst, by)

    def call_differs(self, by: float) -> None:
        with self._lock:
            self.worst_call = max(self.worst_call, by)


def history_faults(job: Accepted, events: list[Event]) -> list[str]:
    """What is wrong with a job's whole history, as replayed at the end, beside what was watched."""
    faults = []
    sequences = [event.sequence for event in events]
    if sequences != sorted(set(sequences)):
        faults.append(f"{job.name}: its events are not in order: {sequences}")
    states = [event.state for event in events if event.kind == "STATE"]
    if states[:1] != ["QUEUED"] or states[-1:] == [] or states[-1] not in FINAL:
        faults.append(f"{job.name}: its states are {states}")
    if sum(state in FINAL for state in states) != 1:
        faults.append(f"{job.name}: it ended more than once: {states}")
    if any(before == after for before, after in itertools.pairwise(states)):
        faults.append(f"{job.name}: a state came twice in a row: {states}")
    replayed = {event.sequence: event for event in events}
    for sequence, event in job.seen.items():
        if event.kind != "PROGRESS" and replayed.get(sequence) != event:
            faults.append(f"{job.name}: event {sequence} was {event}, is {replayed.get(sequence)}")
    # Only progress is dropped, and the watcher saw all of it that there was while it looked.
    missing = set(range(1, max(sequences, default=0) + 1)) - set(sequences)
    kept = {number for number in missing if number in job.seen}
    faults += [
        f"{job.name}: event {number} is gone, but was {job.seen[number].kind}"
        for number in kept
        if job.seen[number].kind != "PROGRESS"
    ]
    return faults
