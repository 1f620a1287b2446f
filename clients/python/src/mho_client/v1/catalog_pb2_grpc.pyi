from typing import Any

import grpc
import grpc.aio
from mho_client.v1 import catalog_pb2

class MethodsStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    ListMethods: grpc.UnaryUnaryMultiCallable[catalog_pb2.ListMethodsRequest, catalog_pb2.ListMethodsResponse]

class MethodsServicer:
    def ListMethods(self, request: catalog_pb2.ListMethodsRequest, context: Any) -> Any: ...

def add_MethodsServicer_to_server(
    servicer: MethodsServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...
