from typing import Any

import grpc
import grpc.aio
from mho_client.v1 import attributions_pb2

class AttributionsStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    Attribute: grpc.UnaryUnaryMultiCallable[attributions_pb2.AttributeRequest, attributions_pb2.AttributeResponse]

class AttributionsServicer:
    def Attribute(self, request: attributions_pb2.AttributeRequest, context: Any) -> Any: ...

def add_AttributionsServicer_to_server(
    servicer: AttributionsServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...
