"""The service Datasets."""

from __future__ import annotations

from typing import Any

from google.protobuf.empty_pb2 import Empty

from mho.api.convert import dataset_message, file_ref
from mho.api.names import child_of, sibling_of, tenant_of
from mho.api.paging import page
from mho.api.threads import Threads
from mho.jobs.control import Control
from mho_client.v1 import datasets_pb2, datasets_pb2_grpc


class Datasets(datasets_pb2_grpc.DatasetsServicer):
    def __init__(self, control: Control, threads: Threads) -> None:
        self._control = control
        self._threads = threads

    async def CreateDataset(  # noqa: N802 the names of calls are the proto's
        self, request: datasets_pb2.CreateDatasetRequest, context: Any
    ) -> datasets_pb2.Dataset:
        del context
        tenant = tenant_of(request.parent)
        wanted = request.dataset
        inputs = file_ref(wanted.inputs, "dataset.inputs")
        labels = file_ref(wanted.labels, "dataset.labels") if wanted.HasField("labels") else None
        record = await self._threads.call_slow(
            self._control.create_dataset,
            tenant,
            display_name=wanted.display_name or inputs.name,
            model=sibling_of(wanted.model, "models", tenant, field="dataset.model"),
            inputs=inputs,
            labels=labels,
            preprocess=wanted.preprocess or None,
            validate_only=request.validate_only,
        )
        return dataset_message(record)

    async def GetDataset(  # noqa: N802
        self, request: datasets_pb2.GetDatasetRequest, context: Any
    ) -> datasets_pb2.Dataset:
        del context
        tenant, dataset = child_of(request.name, "datasets")
        return dataset_message(await self._threads.call(self._control.get_dataset, tenant, dataset))

    async def ListDatasets(  # noqa: N802
        self, request: datasets_pb2.ListDatasetsRequest, context: Any
    ) -> datasets_pb2.ListDatasetsResponse:
        del context
        tenant = tenant_of(request.parent)
        datasets, token = await page(
            lambda size: self._threads.call(
                self._control.list_datasets, tenant, page_size=size, page_token=request.page_token
            ),
            dataset_message,
            request.page_size,
        )
        return datasets_pb2.ListDatasetsResponse(datasets=datasets, next_page_token=token)

    async def DeleteDataset(  # noqa: N802
        self, request: datasets_pb2.DeleteDatasetRequest, context: Any
    ) -> Empty:
        del context
        tenant, dataset = child_of(request.name, "datasets")
        await self._threads.call(self._control.delete_dataset, tenant, dataset)
        return Empty()
