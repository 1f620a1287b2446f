from typing import Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from mho_client.v1 import models_pb2

class ModelsStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    CreateModel: grpc.UnaryUnaryMultiCallable[models_pb2.CreateModelRequest, models_pb2.Model]
    GetModel: grpc.UnaryUnaryMultiCallable[models_pb2.GetModelRequest, models_pb2.Model]
    ListModels: grpc.UnaryUnaryMultiCallable[models_pb2.ListModelsRequest, models_pb2.ListModelsResponse]
    DeleteModel: grpc.UnaryUnaryMultiCallable[models_pb2.DeleteModelRequest, empty_pb2.Empty]
    ListLayers: grpc.UnaryUnaryMultiCallable[models_pb2.ListLayersRequest, models_pb2.ListLayersResponse]

class ModelsServicer:
    def CreateModel(self, request: models_pb2.CreateModelRequest, context: Any) -> Any: ...
    def GetModel(self, request: models_pb2.GetModelRequest, context: Any) -> Any: ...
    def ListModels(self, request: models_pb2.ListModelsRequest, context: Any) -> Any: ...
    def DeleteModel(self, request: models_pb2.DeleteModelRequest, context: Any) -> Any: ...
    def ListLayers(self, request: models_pb2.ListLayersRequest, context: Any) -> Any: ...

def add_ModelsServicer_to_server(
    servicer: ModelsServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...
