"""What an operator sees: logs, metrics, traces. The only room that knows Prometheus, OpenTelemetry
and psutil; it knows nothing of jobs or calls."""
