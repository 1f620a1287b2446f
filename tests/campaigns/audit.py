"""What must hold once a campaign is over: of every job, of the disk, of the processes."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from cluster import Cluster
from ledger import Ledger, history_faults
from mho_client import Client
from users import User


def check_jobs(user: User, client: Client, tenant: str, ledger: Ledger) -> None:
    """Every accepted job of the tenant is there, has ended as it should, and there are no others.
    Waits for those that are still to run."""
    there = {job.name for job in user.insist("jobs", lambda: list(client.jobs()))}
    mine = {name: job for name, job in ledger.accepted.items() if job.tenant == tenant}
    for name in there - mine.keys():
        ledger.fault(f"{name} was made, but nobody was told")
    for name, accepted in mine.items():
        if accepted.deleted:
            if name in there:
                ledger.fault(f"{name} was deleted, and is there again")
            continue
        if name not in there:
            ledger.fault(f"{name} was accepted, and is lost")
            continue
        job = client.job(name)
        events = user.insist("watch", lambda job=job: list(job.watch(timeout=600)))
        for sentence in history_faults(accepted, events):
            ledger.fault(sentence)
        if not accepted.verified:
            user.verify(job, accepted)


def check_disk(cluster: Cluster, ledger: Ledger) -> None:
    """Nothing lies in the data directory that no row of the database stands for. Servers are
    down."""
    engine = sa.create_engine(cluster.database or f"sqlite:///{cluster.data / 'mho.sqlite'}")
    with engine.connect() as connection:
        states = dict(connection.execute(sa.text("select id, state from jobs")).tuples().all())
        rows = {
            table: set(connection.execute(sa.text(f"select {column} from {table}")).scalars())
            for table, column in (("models", "id"), ("datasets", "id"), ("blobs", "sha256"))
        }
    engine.dispose()
    data = cluster.data
    for folder in ("staging", "nowhere"):
        for path in (data / folder).iterdir():
            ledger.fault(f"left behind: {folder}/{path.name}")
    for path in (data / "uploads").glob("*/*"):
        ledger.fault(f"left behind: upload {path.name} of {path.stat().st_size} bytes")
    blobs = {path.name for path in (data / "blobs").glob("*/*")}
    _compare("blobs", blobs, rows["blobs"], ledger)
    for table in ("models", "datasets"):
        _compare(table, _names(data / table), rows[table], ledger)
    kept = {job for job, state in states.items() if state == "SUCCEEDED"}
    _compare("jobs", _names(data / "jobs"), kept, ledger)
    for folder in (data / "jobs").iterdir():
        names = _names(folder)
        if len(names) != 1 or not min(names).startswith("result-"):
            ledger.fault(f"left behind: jobs/{folder.name} holds {sorted(names)}")
    for path in data.rglob("*.new"):
        ledger.fault(f"left behind: {path.relative_to(data)}")


def check_processes(cluster: Cluster, statuses: list[int], ledger: Ledger) -> None:
    """The servers ended well, and nothing that they started is left."""
    for server, status in zip(cluster.servers, statuses, strict=True):
        if status:
            ledger.fault(f"server {server.number} drained with exit status {status}")
    for process in cluster.left():
        ledger.fault(f"process {process.pid} is left: {process.cmdline()}")


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _compare(what: str, on_disk: set[str], in_rows: set[str], ledger: Ledger) -> None:
    for name in on_disk - in_rows:
        ledger.fault(f"left behind: {what}/{name}, of which the database knows nothing")
    for name in in_rows - on_disk:
        ledger.fault(f"lost: {what}/{name}, of which the database knows")
