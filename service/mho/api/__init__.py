"""gRPC: servicers convert, call ``mho.jobs.control``, and convert back. The only grpc."""
