"""Puts the service under load, and says what became of its latencies and its memory.

    python tests/campaigns/load.py --clients 32 --minutes 5

Four parts, each of which ``--only`` can choose: the memory of an ``idle`` server; the ``upload`` of
bytes by one client; ``mixed`` clients that upload, run and watch jobs, list, and have predictions
attributed while they wait; the ``flood``, in which one tenant's synchronous calls are timed alone
and then beside a tenant that sends all that it can. Prints Markdown; exit status 1 where something
was not as it must be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import throughput
from cluster import Cluster
from crowd import CALM, FLOOD, MIXED, Calls, Habits, crowd
from memory import Sampler
from tenants import Tenants, bearer

PARTS = ("idle", "upload", "mixed", "flood")
MOST_IDLE_MB = 150
LEAST_UPLOAD_RATE = 200
MOST_RATIO = 2.0
MOST_SLOPE = 1.0
"""MB a minute, after the warm-up, that a process may grow and still be called flat."""

Found = tuple[list[str], list[str]]
"""Lines to print, and what was not as it must be."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=5.0, help="of mixed load, default 5")
    parser.add_argument("--flood-seconds", type=float, default=60.0, help="each half, default 60")
    parser.add_argument("--megabytes", type=int, default=256, help="of one upload, default 256")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for logs, default none are kept")
    parser.add_argument("--out", type=Path, help="file for the summary beside the screen")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    does = {"idle": idle, "upload": upload, "mixed": mixed, "flood": flood}
    lines, faults = [f"## Load, seed {asked.seed}", ""], []
    for part in PARTS:
        if part in asked.only:
            with served(asked) as (cluster, tenants), waiting(part):
                more, wrong = does[part](asked, cluster, tenants)
            lines += [f"### {part.capitalize()}", "", *more, ""]
            faults += wrong
    lines += ["Not as it must be:", "", *(f"- {fault}" for fault in faults), ""] if faults else []
    text = "\n".join(lines)
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")
    return 1 if faults else 0


def idle(asked: argparse.Namespace, cluster: Cluster, tenants: Tenants) -> Found:
    time.sleep(3)
    sampler = Sampler(cluster.servers[0])
    sampler.sample()
    sizes = {samples.what: samples.resident[-1] / 1e6 for samples in sampler.found.values()}
    heavy = sizes["control process"] >= MOST_IDLE_MB
    return (
        [f"- {what}: {size:.0f} MB" for what, size in sizes.items()],
        [f"an idle control process has {sizes['control process']:.0f} MB"] if heavy else [],
    )


def upload(asked: argparse.Namespace, cluster: Cluster, tenants: Tenants) -> Found:
    tenant = tenants.names[0]
    metadata = bearer(tenants.tokens[tenant])
    with grpc.insecure_channel(cluster.servers[0].address) as channel:
        rates = [
            throughput.upload(
                channel,
                f"tenants/{tenant}",
                throughput.unlike_any(asked.megabytes * throughput.MIB),
                metadata,
            ).rate
            for _ in range(3)
        ]
    told = ", ".join(f"{rate:.0f}" for rate in rates)
    slow = max(rates) < LEAST_UPLOAD_RATE
    return (
        [f"{asked.megabytes} MiB in chunks of 1 MiB, one client: {told} MB/s, stored durably."],
        [f"bytes are uploaded at {told} MB/s"] if slow else [],
    )


def mixed(asked: argparse.Namespace, cluster: Cluster, tenants: Tenants) -> Found:
    seconds = asked.minutes * 60
    sampler = Sampler(cluster.servers[0])
    sampler.start()
    calls = crowd(cluster.address, members(tenants, asked.clients), MIXED, seconds, seed=asked.seed)
    samples = sampler.stop()
    faults = list(calls.errors)
    memory = []
    for process in samples:
        slope = process.slope(warm_up=seconds / 3)
        if slope != slope:  # NaN: it did not live long enough to tell
            continue
        memory.append(
            f"| {process.what} | {process.resident[0] / 1e6:.0f} | "
            f"{max(process.resident) / 1e6:.0f} | {process.resident[-1] / 1e6:.0f} | {slope:+.2f} |"
        )
        if slope > MOST_SLOPE:
            faults.append(f"{process.what} grows by {slope:.2f} MB a minute")
    return (
        [
            f"{asked.clients} clients of {len(tenants.names)} tenants, {asked.minutes:g} minutes.",
            "",
            *table(calls),
            "",
            "| process | first MB | most MB | last MB | MB a minute |",
            "| --- | --- | --- | --- | --- |",
            *memory,
        ],
        faults,
    )


def flood(asked: argparse.Namespace, cluster: Cluster, tenants: Tenants) -> Found:
    flooding, calm = tenants.names[:2]
    seconds = asked.flood_seconds
    caller = [(calm, tenants.tokens[calm])]
    warm_up(cluster, caller)
    quiet = crowd(cluster.address, caller, CALM, seconds, seed=asked.seed)
    many = [(flooding, tenants.tokens[flooding])] * 8
    flooded: list[Calls] = []
    others = threading.Thread(
        target=lambda: flooded.append(
            crowd(cluster.address, many, FLOOD, seconds + 20, processes=1, seed=asked.seed)
        )
    )
    others.start()
    time.sleep(10)
    beside = crowd(cluster.address, caller, CALM, seconds, seed=asked.seed + 1)
    others.join()
    kind = "Attribute (conductance)"
    before, after = quiet.quantile(kind, 0.99), beside.quantile(kind, 0.99)
    ratio = after / before
    return (
        [
            "The calm tenant alone:",
            "",
            *table(quiet),
            "",
            f"The calm tenant beside the flood: p99 is {ratio:.2f} times the quiet one.",
            "",
            *table(beside),
            "",
            "The flooding tenant (8 clients without pauses):",
            "",
            *table(flooded[0]),
        ],
        [
            *quiet.errors,
            *beside.errors,
            *flooded[0].errors,
            *([f"p99 beside a flood is {ratio:.2f} times the quiet one"] if ratio > MOST_RATIO
              else []),
        ],
    )  # fmt: skip


def warm_up(cluster: Cluster, caller: list[tuple[str, str]]) -> None:
    crowd(cluster.address, caller, Habits({"Attribute": 1}, pause=0.05), 3.0)


def members(tenants: Tenants, count: int) -> list[tuple[str, str]]:
    """``count`` clients, spread over the tenants."""
    pairs = list(tenants.tokens.items())
    return [pairs[number % len(pairs)] for number in range(count)]


def table(calls: Calls) -> list[str]:
    """A row for each kind of call, and what was refused."""
    refused = {
        kind: sum(count for (of, _, _), count in calls.failed.items() if of == kind)
        for kind, _, _ in calls.failed
    }
    return [
        "| call | how many | p50 ms | p99 ms | most ms |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {kind} | {len(seconds)} | {calls.quantile(kind, 0.5):.1f} | "
            f"{calls.quantile(kind, 0.99):.1f} | {max(seconds) * 1000:.1f} |"
            for kind, seconds in sorted(calls.seconds.items())
        ),
        *(["", "Refused: " + ", ".join(f"{kind} {n}" for kind, n in refused.items()) + "."]
          if refused else []),
    ]  # fmt: skip


@contextmanager
def served(asked: argparse.Namespace) -> Iterator[tuple[Cluster, Tenants]]:
    """A fresh server with two tenants."""
    with tempfile.TemporaryDirectory(prefix="mho-load-") as folder:
        root = Path(folder)
        tenants = Tenants(["first", "second"], root / "tenants.yaml")
        logs = asked.keep or root
        logs.mkdir(parents=True, exist_ok=True)
        cluster = Cluster(root / "data", logs, settings={"tenants_file": tenants.file})
        cluster.start()
        try:
            yield cluster, tenants
            cluster.stop()
        finally:
            for server in cluster.servers:
                server.kill()


@contextmanager
def waiting(part: str) -> Iterator[None]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        bar.add_task(part, total=None)
        yield


if __name__ == "__main__":
    sys.exit(main())
