"""Where Prometheus scrapes: plain HTTP on a port of its own, in threads of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from mho.config import Settings
from mho.errors import InvalidOption
from mho.telemetry import metrics


@contextmanager
def exposed(settings: Settings) -> Iterator[int]:
    """Serve the metrics at ``metrics_host``:``metrics_port`` inside the block, unless that is 0.

    Gives the port. InvalidOption where the address cannot be had.
    """
    metrics.show_tenants(settings.metrics_tenants)
    if not settings.metrics_port:
        yield 0
        return
    with serving(settings.metrics_host, settings.metrics_port) as port:
        yield port


@contextmanager
def serving(host: str, port: int) -> Iterator[int]:
    """As ``exposed``; here port 0 takes a free one."""
    try:
        server, thread = start_http_server(port, host, metrics.REGISTRY)
    except (OSError, OverflowError) as error:
        raise InvalidOption(
            f"metrics cannot be served at {host}:{port} ({error}); choose another metrics_port, "
            "or 0 for none",
            subject="metrics_port",
        ) from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
