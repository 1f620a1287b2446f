"""The gRPC server: put together, started, drained, stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mho.api import departures, tls
from mho.api.access import Access
from mho.api.address import check_address, listening_host, port_taken
from mho.api.admission import Admission
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
from mho.jobs.control import Control
from mho.tenants_file import TenantsFile
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

        InvalidOption where the server may not listen there, the port is taken, or a file of
        certificates, keys or tenants cannot be used.
        """
        host = listening_host(self._settings)
        departures.leave_out_of_the_log()
        authentication = Authentication(self._settings, self._control.tenants)
        credentials = (
            tls.server_credentials(self._settings) if tls.is_configured(self._settings) else None
        )
        self._watchers = Watchers(self._control.subscribe)
        server = grpc.aio.server(
            interceptors=[
                Access(),
                Guard(),
                authentication,
                Admission(self._settings, self._control.quota),
            ],
            options=SERVER_OPTIONS,
        )
        blobs_pb2_grpc.add_BlobsServicer_to_server(
            Blobs(self._control, self._threads, self._settings.stalled_seconds), server
        )
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
            address = f"{host}:{self._settings.port}"
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            self._watchers.close()
            raise port_taken(host, self._settings.port) from error
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


def check(settings: Settings) -> None:
    """InvalidOption where ``Server.start`` would refuse the settings or the files they name.

    Worth calling before a control is made.
    """
    check_address(settings)
    tenants = TenantsFile(settings)
    Authentication(settings, lambda: tenants.tenants)
    if tls.is_configured(settings):
        tls.read(settings)


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
