from typing import Any

import grpc
import grpc.aio
from mho_client.v1 import blobs_pb2

class BlobsStub:
    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None: ...
    QueryMissingBlobs: grpc.UnaryUnaryMultiCallable[blobs_pb2.QueryMissingBlobsRequest, blobs_pb2.QueryMissingBlobsResponse]
    GetUpload: grpc.UnaryUnaryMultiCallable[blobs_pb2.GetUploadRequest, blobs_pb2.Upload]
    UploadBlob: grpc.StreamUnaryMultiCallable[blobs_pb2.UploadBlobRequest, blobs_pb2.Upload]

class BlobsServicer:
    def QueryMissingBlobs(self, request: blobs_pb2.QueryMissingBlobsRequest, context: Any) -> Any: ...
    def GetUpload(self, request: blobs_pb2.GetUploadRequest, context: Any) -> Any: ...
    def UploadBlob(self, request: Any, context: Any) -> Any: ...

def add_BlobsServicer_to_server(
    servicer: BlobsServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...
