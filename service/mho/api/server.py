"""The gRPC server: put together, started, drained, stopped."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import signal
import socket
import time
from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mho.api.access import Access
from mho.api.attributions import Attributions
from mho.api.authentication import Authentication
from mho.api.blobs import Blobs
from mho.api.catalog import Methods
from mho.api.datasets import Datasets
from mho.api.guard import Guard
from mho.api.jobs import Jobs
from mho.api.limits import SERVER_OPTIONS
from mho.api.models import Models
from mho.api.threads import Threads
from mho.api.watchers import Watchers
from mho.config import Settings
from mho.errors import InvalidOption
from mho.jobs.control import Control
from mho_client.v1 import (
    attributions_pb2_grpc,
    blobs_pb2_grpc,
    catalog_pb2_grpc,
    datasets_pb2_grpc,
    jobs_pb2_grpc,
    models_pb2_grpc,
)

SERVICES = (
    "mho.v1.Blobs",
    "mho.v1.Models",
    "mho.v1.Datasets",
    "mho.v1.Jobs",
    "mho.v1.Methods",
    "mho.v1.Attributions",
)

_LAST_PORT = 65535

_log = logging.getLogger("mho.api")


class Server:
    """Serves ``control`` at ``settings.host`` and ``settings.port``.

    It neither starts nor drains nor closes the control; ``serve`` does that in the right order.
    """

    def __init__(self, control: Control, settings: Settings) -> None:
        self._control = control
        self._settings = settings
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._threads = Threads()
        self._watchers: Watchers | None = None
        self._stopped = asyncio.Event()

    async def start(self) -> int:
        """Listen; the port, which for a setting of 0 is one that was free.

        InvalidOption where the host is no loopback address, or the port is taken.
        """
        host = loopback(self._settings.host)
        authentication = Authentication(self._settings)
        self._watchers = Watchers(self._control.subscribe)
        server = grpc.aio.server(
            interceptors=[Access(), Guard(), authentication], options=SERVER_OPTIONS
        )
        blobs_pb2_grpc.add_BlobsServicer_to_server(Blobs(self._control, self._threads), server)
        models_pb2_grpc.add_ModelsServicer_to_server(Models(self._control, self._threads), server)
        datasets_pb2_grpc.add_DatasetsServicer_to_server(
            Datasets(self._control, self._threads), server
        )
        jobs_pb2_grpc.add_JobsServicer_to_server(
            Jobs(self._control, self._threads, self._watchers), server
        )
        catalog_pb2_grpc.add_MethodsServicer_to_server(Methods(self._control), server)
        attributions_pb2_grpc.add_AttributionsServicer_to_server(
            Attributions(self._control, self._threads, self._settings.serving_seconds), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._settings.reflection:
            names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        try:
            port = server.add_insecure_port(f"{host}:{self._settings.port}")
        except RuntimeError as error:
            self._watchers.close()
            raise _port_taken(host, self._settings.port) from error
        await server.start()
        self._server = server
        for service in ("", *SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        _log.info("listening on %s:%d", host, port)
        return port

    async def stop(self, grace: float | None = None) -> None:
        """NOT_SERVING, end the watches, let calls finish for ``grace`` seconds, then end them.

        grace: default half of ``settings.drain_seconds``; the other half is for the jobs.
        """
        if self._server is None or self._watchers is None:
            return
        grace = self._settings.drain_seconds / 2 if grace is None else grace
        await self._health.enter_graceful_shutdown()
        # Ended before stop(), which would wait for them until the grace is over.
        self._watchers.close()
        await self._server.stop(grace)
        self._threads.close()
        self._stopped.set()

    async def wait(self) -> None:
        """Until ``stop`` has done its work."""
        await self._stopped.wait()


def _ignored(port: int) -> None:
    del port


async def serve(
    settings: Settings, control: Control, *, on_ready: Callable[[int], None] = _ignored
) -> None:
    """Start the control and the server, serve until SIGTERM or SIGINT, then drain both.

    on_ready: called with the port once calls are answered. A second signal ends the process at
    once, which loses nothing but the work since the last checkpoints.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        asked.set()

    server = Server(control, settings)
    await asyncio.to_thread(control.start)
    try:
        port = await server.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        on_ready(port)
        await asked.wait()
        _log.info("draining")
        until = time.monotonic() + settings.drain_seconds
        await server.stop()
        await asyncio.to_thread(control.drain, max(0.0, until - time.monotonic()))
    finally:
        await asyncio.to_thread(control.close)


def run(
    settings: Settings,
    control: Control | None = None,
    *,
    on_ready: Callable[[int], None] = _ignored,
) -> None:
    """``serve`` for those who have no event loop; makes the control where none is given."""
    asyncio.run(
        serve(settings, Control(settings) if control is None else control, on_ready=on_ready)
    )


def check_address(settings: Settings) -> None:
    """InvalidOption where ``Server.start`` would refuse the host or the port.

    Worth calling before a control is made. Another program may still take the port in between.
    """
    host = loopback(settings.host)
    if not 0 <= settings.port <= _LAST_PORT:
        raise InvalidOption(
            f"port is {settings.port}; it must lie between 0 (any free one) and {_LAST_PORT}",
            subject="port",
        )
    family, kind, _, _, address = socket.getaddrinfo(
        host.strip("[]"), settings.port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind) as probe:
        if os.name != "nt":  # there the option would share a port that is taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise _port_taken(host, settings.port) from error


def _port_taken(host: str, port: int) -> InvalidOption:
    return InvalidOption(
        f"port {port} of {host} cannot be had, most likely because another server listens there; "
        "choose another (setting port, or MHO_PORT), or 0 for any",
        subject="port",
    )


def loopback(host: str) -> str:
    """``host`` as gRPC wants it, where every address it stands for is of this machine alone.

    InvalidOption otherwise: there is neither TLS nor authentication yet, so anyone who reached the
    port could read and delete everything.
    """
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host or None, None)} if host else set()
    except OSError as error:
        raise InvalidOption(
            f"host is '{host}', which stands for no address ({error}); use 127.0.0.1",
            subject="host",
        ) from error
    if not found or not all(ipaddress.ip_address(address).is_loopback for address in found):
        raise InvalidOption(
            f"host is '{host}', which others can reach, and without TLS and authentication the "
            "server listens on loopback addresses only; use 127.0.0.1, and an SSH tunnel or a "
            "proxy that authenticates for access from elsewhere",
            subject="host",
        )
    return f"[{host}]" if ":" in host else host
