"""The service Models."""

from __future__ import annotations

from typing import Any

from google.protobuf.empty_pb2 import Empty

from mho.api.convert import layer_message, model_files, model_message
from mho.api.names import child_of, tenant_of
from mho.api.paging import page, slice_of
from mho.api.threads import Threads
from mho.jobs.control import Control
from mho_client.v1 import models_pb2, models_pb2_grpc


class Models(models_pb2_grpc.ModelsServicer):
    def __init__(self, control: Control, threads: Threads) -> None:
        self._control = control
        self._threads = threads

    async def CreateModel(  # noqa: N802 the names of calls are the proto's
        self, request: models_pb2.CreateModelRequest, context: Any
    ) -> models_pb2.Model:
        del context
        tenant = tenant_of(request.parent)
        files, main = model_files(request.model)
        record = await self._threads.call_slow(
            self._control.create_model,
            tenant,
            display_name=request.model.display_name or main,
            files=files,
            main=main,
            validate_only=request.validate_only,
        )
        return model_message(record)

    async def GetModel(  # noqa: N802
        self, request: models_pb2.GetModelRequest, context: Any
    ) -> models_pb2.Model:
        del context
        tenant, model = child_of(request.name, "models")
        return model_message(await self._threads.call(self._control.get_model, tenant, model))

    async def ListModels(  # noqa: N802
        self, request: models_pb2.ListModelsRequest, context: Any
    ) -> models_pb2.ListModelsResponse:
        del context
        tenant = tenant_of(request.parent)
        models, token = await page(
            lambda size: self._threads.call(
                self._control.list_models, tenant, page_size=size, page_token=request.page_token
            ),
            model_message,
            request.page_size,
        )
        return models_pb2.ListModelsResponse(models=models, next_page_token=token)

    async def DeleteModel(  # noqa: N802
        self, request: models_pb2.DeleteModelRequest, context: Any
    ) -> Empty:
        del context
        tenant, model = child_of(request.name, "models")
        await self._threads.call(self._control.delete_model, tenant, model)
        return Empty()

    async def ListLayers(  # noqa: N802
        self, request: models_pb2.ListLayersRequest, context: Any
    ) -> models_pb2.ListLayersResponse:
        del context
        tenant, model = child_of(request.parent, "models", field="parent")
        record = await self._threads.call(self._control.get_model, tenant, model)
        layers, token = slice_of(
            record.summary.get("layers", ()),
            layer_message,
            request.page_size,
            request.page_token,
            self._control.page_tokens,
            ("layers", tenant, model),
        )
        return models_pb2.ListLayersResponse(layers=layers, next_page_token=token)
