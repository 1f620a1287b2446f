"""What goes wrong in a campaign: processes die or stand still, the disk is full, the store locked.

A disturbance is a function of a cluster and a random generator that does the harm, takes it back
where it passes, and returns with every server running. False where there was nothing to harm.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil
import sqlalchemy as sa

from cluster import Cluster

Disturbance = Callable[[Cluster, random.Random], bool]


def kill_worker(cluster: Cluster, chance: random.Random) -> bool:
    workers = [worker for server in cluster.servers for worker in server.workers()]
    if not workers:
        return False
    with suppress(psutil.NoSuchProcess):
        chance.choice(workers).kill()
    return True


def kill_server(cluster: Cluster, chance: random.Random) -> bool:
    server = chance.choice(cluster.servers)
    server.kill()
    time.sleep(chance.uniform(0, 1))
    server.start()
    return True


def kill_both(cluster: Cluster, chance: random.Random) -> bool:
    server = chance.choice(cluster.servers)
    for worker in server.workers():
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    server.kill()
    time.sleep(chance.uniform(0, 1))
    server.start()
    return True


def pause_worker(cluster: Cluster, chance: random.Random) -> bool:
    workers = [worker for server in cluster.servers for worker in server.workers()]
    if not workers:
        return False
    _paused(chance.choice(workers), chance.uniform(0.5, 3))
    return True


def pause_server(cluster: Cluster, chance: random.Random) -> bool:
    """Longer than a lease, now and then: a server that wakes up must find itself replaced."""
    _paused(psutil.Process(chance.choice(cluster.servers).pid), chance.uniform(1, 8))
    return True


def fill_disk(cluster: Cluster, chance: random.Random) -> bool:
    """Only where the data directory has a small file system of its own."""
    ballast = cluster.data.parent / "ballast"
    free = os.statvfs(ballast.parent)
    left = chance.choice([0, 4096, 100_000])
    try:
        with ballast.open("wb") as writer:
            with suppress(OSError):
                os.posix_fallocate(writer.fileno(), 0, max(1, free.f_bavail * free.f_frsize - left))
            time.sleep(chance.uniform(0.5, 3))
    finally:
        ballast.unlink()
    return True


def lock_store(cluster: Cluster, chance: random.Random) -> bool:
    """Sometimes for longer than the server waits."""
    seconds = chance.choice([0.5, 1, 2, 4, 12])
    if not cluster.database:
        with closing(sqlite3.connect(cluster.data / "mho.sqlite", timeout=30)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        return True
    engine = sa.create_engine(cluster.database)
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        time.sleep(seconds)
        connection.rollback()
    engine.dispose()
    return True


def _paused(process: psutil.Process, seconds: float) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)


def kinds(*, small_disk: bool, servers: int) -> dict[str, tuple[Disturbance, int]]:
    """Name -> disturbance and its weight."""
    return {
        "worker killed": (kill_worker, 8),
        "server killed": (kill_server, 5),
        "server and workers killed": (kill_both, 4),
        "worker stopped and continued": (pause_worker, 2),
        **({"disk full": (fill_disk, 3)} if small_disk else {}),
        "store locked": (lock_store, 2),
        **({"server stopped and continued": (pause_server, 3)} if servers > 1 else {}),
    }


def small_disk_at(folder: Path, megabytes: int) -> bool:
    """Mount a small file system at ``folder``; False where this user may not."""
    return not os.system(f"mount -t tmpfs -o size={megabytes}m tmpfs '{folder}' 2>/dev/null")


def unmounted(folder: Path) -> None:
    os.system(f"umount -l '{folder}'")
