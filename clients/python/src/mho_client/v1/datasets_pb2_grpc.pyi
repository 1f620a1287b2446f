from typing import Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from mho_client.v1 import datasets_pb2

class DatasetsStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    CreateDataset: grpc.UnaryUnaryMultiCallable[datasets_pb2.CreateDatasetRequest, datasets_pb2.Dataset]
    GetDataset: grpc.UnaryUnaryMultiCallable[datasets_pb2.GetDatasetRequest, datasets_pb2.Dataset]
    ListDatasets: grpc.UnaryUnaryMultiCallable[datasets_pb2.ListDatasetsRequest, datasets_pb2.ListDatasetsResponse]
    DeleteDataset: grpc.UnaryUnaryMultiCallable[datasets_pb2.DeleteDatasetRequest, empty_pb2.Empty]

class DatasetsServicer:
    def CreateDataset(self, request: datasets_pb2.CreateDatasetRequest, context: Any) -> Any: ...
    def GetDataset(self, request: datasets_pb2.GetDatasetRequest, context: Any) -> Any: ...
    def ListDatasets(self, request: datasets_pb2.ListDatasetsRequest, context: Any) -> Any: ...
    def DeleteDataset(self, request: datasets_pb2.DeleteDatasetRequest, context: Any) -> Any: ...

def add_DatasetsServicer_to_server(
    servicer: DatasetsServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...
