"""What a connection may do, as gRPC options. Sizes are bytes, times milliseconds."""

from __future__ import annotations

_MIB = 1024 * 1024

SERVER_OPTIONS: list[tuple[str, int]] = [
    # Requests: the largest are synchronous calls, whose inputs are at most 4 MiB; those that are a
    # little too large get an error of ours. Answers stay under 4 MiB by themselves (paging).
    ("grpc.max_receive_message_length", 6 * _MIB),
    ("grpc.max_send_message_length", 4 * _MIB),
    # Beyond the soft limit requests are refused with a growing chance, beyond the hard one always.
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 1000),
    # A peer that is gone is noticed within a minute and a half, so that its watches end.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Clients may ping every ten seconds, also on a quiet watch.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # Two servers on one port would each get half of the calls, and nobody would know.
    ("grpc.so_reuseport", 0),
]
"""``grpc.maximum_concurrent_rpcs`` is left alone, because it would reject health checks as well."""
