"""Pulls plugs while clients work, and says what became of what they were promised.

    python tests/campaigns/faults.py --kills 200 --seed 1

Clients upload, ask for jobs (the same request twice, now and then at once), watch, look away and
resume, cancel, delete, and fetch, while workers and servers are killed, stand still, the disk is
full, the store is locked. Afterwards every job that was accepted must exist, have ended once, and
have the arrays of an undisturbed run; the disk must hold nothing that no row stands for; no process
may be left. Prints Markdown; exit status 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from audit import check_disk, check_jobs, check_processes
from cluster import Cluster
from disturbances import kinds, small_disk_at, unmounted
from ledger import Ledger
from tenants import Tenants
from users import User
from work import REAL, Expected, attributed, dataset, found, model

DISK_MEGABYTES = 128
TENANTS = ("first", "second")
SETTINGS = {
    "workers": 2,
    "checkpoint_seconds": 0.2,
    # A kill must never be what a job fails of, however many there are.
    "job_attempts": 10_000,
    "drain_seconds": 30,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="disturbances, default 200")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--pause", type=float, default=1.5, help="mean seconds between two")
    parser.add_argument(
        "--database", default="", help="an empty one: postgresql+psycopg://…; default SQLite"
    )
    parser.add_argument("--servers", type=int, default=1, help="2 and more need a --database")
    parser.add_argument("--keep", type=Path, help="folder for logs, default none are kept")
    parser.add_argument("--out", type=Path, help="file for the summary beside the screen")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    if asked.servers > 1 and not asked.database:
        sys.exit("--servers 2 needs a --database: one SQLite file has one server")
    began = time.monotonic()
    ledger, done = Ledger(), Counter[str]()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mho-faults-")))
        small = stack.enter_context(disk(root / "disk"))
        logs = asked.keep or root
        logs.mkdir(parents=True, exist_ok=True)
        tenants = Tenants(TENANTS, root / "tenants.yaml")
        cluster = Cluster(
            root / "disk" / "data",
            logs,
            count=asked.servers,
            database=asked.database,
            settings={**SETTINGS, "tenants_file": tenants.file},
        )
        cluster.start()
        stack.callback(lambda: [server.kill() for server in cluster.servers])
        campaign(cluster, tenants, asked, root, ledger, done, small=small)
        check_processes(cluster, cluster.stop(), ledger)
        check_disk(cluster, ledger)
    text = summary(asked, ledger, done, small=small, seconds=time.monotonic() - began)
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")
    return 1 if ledger.broken else 0


@contextmanager
def disk(folder: Path) -> Iterator[bool]:
    """A file system of its own at ``folder`` where this user may mount one; whether that is so."""
    folder.mkdir()
    small = small_disk_at(folder, DISK_MEGABYTES)
    try:
        yield small
    finally:
        if small:
            unmounted(folder)


def campaign(
    cluster: Cluster,
    tenants: Tenants,
    asked: argparse.Namespace,
    root: Path,
    ledger: Ledger,
    done: Counter[str],
    *,
    small: bool,
) -> None:
    """Learn what undisturbed runs give, disturb, and hold the servers to what they promised."""
    expected = Expected()
    learn(cluster, tenants, root / "undisturbed", ledger, expected)
    ending = threading.Event()
    users = [
        User(
            number,
            tenants.client(cluster.address, tenant),
            tenant,
            root / f"user-{number}",
            seed=asked.seed,
            ledger=ledger,
            expected=expected,
            ending=ending,
        )
        for number, tenant in zip(range(asked.clients), cycle(tenants.names), strict=False)
    ]
    for user in users:
        user.start()
    try:
        disturb(cluster, asked, done, small=small)
    finally:
        ending.set()
    for user in users:
        user.join(timeout=600)
        if user.is_alive():
            ledger.fault(f"{user.name} still waits for {user.doing}")
    for tenant in tenants.names:
        with tenants.client(cluster.address, tenant) as client:
            check_jobs(users[0], client, tenant, ledger)


def learn(
    cluster: Cluster, tenants: Tenants, folder: Path, ledger: Ledger, expected: Expected
) -> None:
    """Run each of the real orders in peace."""
    folder.mkdir()
    tenant = tenants.names[0]
    with tenants.client(cluster.address, tenant) as client:
        name = model(client, REAL[0], folder)
        data = dataset(client, REAL[0], name, folder)
        asked = [(order, client.submit(order.method, name, data, **order.options))
                 for order in REAL]  # fmt: skip
        for order, job in asked:
            expected.learn(order, found(job))
            ledger.accept(job.name, tenant, order).verified = True
        expected.attribution = attributed(client, name, folder)


def disturb(
    cluster: Cluster, asked: argparse.Namespace, done: Counter[str], *, small: bool
) -> None:
    chance = random.Random(asked.seed)
    known = kinds(small_disk=small, servers=asked.servers)
    names, weights = list(known), [weight for _, weight in known.values()]
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("disturbances", total=asked.kills)
        while done.total() < asked.kills:
            time.sleep(chance.expovariate(1 / asked.pause))
            name = chance.choices(names, weights)[0]
            bar.update(task, description=name)
            if known[name][0](cluster, random.Random(chance.getrandbits(32))):
                done[name] += 1
                bar.advance(task)


def summary(
    asked: argparse.Namespace, ledger: Ledger, done: Counter[str], *, small: bool, seconds: float
) -> str:
    """What happened, as Markdown."""
    rows = [f"| {name} | {count} |" for name, count in sorted((done + ledger.counts).items())]
    lines = [
        f"## {done.total()} disturbances, seed {asked.seed}, "
        f"{'PostgreSQL' if asked.database else 'SQLite'}, "
        f"servers: {asked.servers}, clients: {asked.clients}",
        "",
        f"{len(ledger.accepted)} jobs accepted; {len(ledger.broken)} promises broken; largest "
        f"difference of an array from the undisturbed run: {ledger.worst:g}, of a synchronous "
        f"call's {ledger.worst_call:.2g} of the largest score; {seconds / 60:.1f} minutes.",
        *([] if small else ["", "No full disk: this user may not mount a small file system."]),
        "",
        "| what | how often |",
        "| --- | --- |",
        *rows,
        *(["", "Broken:", ""] if ledger.broken else []),
        *(f"- {sentence}" for sentence in ledger.broken),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
