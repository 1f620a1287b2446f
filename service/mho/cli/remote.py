"""Commands that talk to a server, through the Python client; and the server itself."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mho import config
from mho.artifacts.write import check_folder
from mho.cli import show, streams
from mho.cli.local import chosen
from mho.config import Settings
from mho.errors import MhoError, by_reason
from mho.method import Method, Progress
from mho.registry import entries

if TYPE_CHECKING:
    from mho_client import Client, Job, JobStatus


def serve(arguments: argparse.Namespace) -> None:
    """Serve until stopped; the first line on stdout tells the address."""
    _quiet_grpc()
    from mho.app import serve as run

    settings = served(arguments)

    def ready(port: int) -> None:
        streams.write(sys.stdout, f"mho serves at {settings.host}:{port}\n")

    run(settings, ready)


def served(arguments: argparse.Namespace) -> Settings:
    """The settings with which ``mho serve`` runs; InvalidOption as in ``config.load``."""
    settings = config.load(arguments.config)
    if arguments.port is not None:
        settings = replace(settings, port=arguments.port)
    if arguments.data_dir is not None:
        settings = replace(settings, data_dir=str(arguments.data_dir))
    return settings


def submit(arguments: argparse.Namespace) -> None:
    """Upload what the server does not have, create the job, and wait for it if asked to."""
    options, files = chosen(arguments)
    if arguments.out is not None:
        kind = entries("mho.methods", Method)[arguments.method]
        check_folder(arguments.out, model=kind.makes_model)
    with _connected(arguments) as client, show.progress(arguments.method) as bar:
        bar.message("uploading the model")
        model = client.upload_model(arguments.model, progress=bar.bytes)
        bar.message("uploading the data")
        dataset = client.upload_dataset(
            model,
            arguments.inputs,
            labels=arguments.labels,
            preprocess=arguments.preprocess,
            progress=bar.bytes,
        )
        job = client.submit(
            arguments.method,
            model,
            dataset,
            request_id=arguments.request_id or None,
            accept_cost=arguments.yes,
            priority=arguments.priority,
            deadline=arguments.deadline,
            labels=dict(arguments.label),
            **options,
            **files,
        )
        streams.write(sys.stdout, f"{job.name}\n")
        if arguments.out is not None or arguments.wait:
            _follow(job, bar)
        if arguments.out is not None:
            _fetch(job, arguments.out, bar)
    if arguments.out is not None:
        show.result(arguments.out)


def watch(arguments: argparse.Namespace) -> None:
    """Follow a job to its end; a failed job is an error."""
    with _connected(arguments) as client, show.progress("job") as bar:
        _follow(client.job(arguments.job), bar)
    streams.write(sys.stdout, "SUCCEEDED\n")


def fetch(arguments: argparse.Namespace) -> None:
    """Put a job's files into a folder."""
    check_folder(arguments.out)
    with _connected(arguments) as client, show.progress("fetch") as bar:
        _fetch(client.job(arguments.job), arguments.out, bar)
    show.result(arguments.out)


def cancel(arguments: argparse.Namespace) -> None:
    """Ask a job to stop."""
    with _connected(arguments) as client:
        status = client.job(arguments.job).cancel()
    streams.write(sys.stdout, f"{status.state}\n")


def list_jobs(arguments: argparse.Namespace) -> None:
    """The server's jobs, newest first."""
    with _connected(arguments) as client:
        found = list(client.jobs(labels=dict(arguments.label)))
    rows = [_described(job) for job in found]
    if arguments.json:
        show.json_text({"jobs": rows})
    else:
        show.jobs(rows)


def _described(job: JobStatus) -> dict[str, Any]:
    """What ``mho list`` tells of a job, as JSON."""
    return {
        "name": job.name,
        "method": job.method,
        "state": job.state,
        "cancelling": job.cancelling,
        "progress": None
        if job.progress is None
        else {**asdict(job.progress), "fraction": job.progress.fraction},
        "priority": job.priority,
        "deadline": None if job.deadline is None else job.deadline.isoformat(),
        "labels": dict(job.labels),
        "created": job.created.isoformat(),
        "error": None if job.error is None else asdict(job.error),
    }


@contextmanager
def _connected(arguments: argparse.Namespace) -> Iterator[Client]:
    """A client whose errors are those of this program."""
    _quiet_grpc()
    from mho_client import Client, MhoClientError

    try:
        with Client(
            arguments.server,
            tenant=arguments.tenant,
            ca=arguments.ca,
            certificate=arguments.cert,
            key=arguments.key,
            token=arguments.token,
            token_file=arguments.token_file,
        ) as client:
            yield client
    except MhoClientError as error:
        raise by_reason(error.reason or "NOT_REACHED")(
            error.message, subject=error.subject
        ) from error
    except OSError as error:
        name = error.filename or arguments.server
        raise MhoError(f"{name}: {error.strerror or error}") from error


def _quiet_grpc() -> None:
    """Keep gRPC's own lines off stderr: what they say, our errors say. Before grpc is imported."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def _follow(job: Job, bar: show.Bar) -> None:
    """Show a job's progress until it has ended; JobFailed where it failed."""

    def seen(reached: Any) -> None:
        bar.update(Progress(reached.done, reached.total, reached.unit, reached.message))

    bar.message("waiting for a worker")
    job.wait(seen)


def _fetch(job: Job, folder: Path, bar: show.Bar) -> None:
    bar.message("fetching the result")
    job.fetch(folder, bar.bytes)
