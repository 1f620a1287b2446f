"""The service Methods: the registry, as clients see it."""

from __future__ import annotations

from dataclasses import Field
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Value

from mho.api import schema
from mho.api.paging import slice_of
from mho.jobs.control import Control
from mho.method import Method, Option, options_of
from mho_client.v1 import catalog_pb2, catalog_pb2_grpc

_TYPES = {
    "repeated string": catalog_pb2.Option.TYPE_STRING_LIST,
    "optional string": catalog_pb2.Option.TYPE_STRING,
    "optional int64": catalog_pb2.Option.TYPE_INTEGER,
    "optional double": catalog_pb2.Option.TYPE_NUMBER,
    "optional bool": catalog_pb2.Option.TYPE_BOOL,
}


class Methods(catalog_pb2_grpc.MethodsServicer):
    def __init__(self, control: Control) -> None:
        self._control = control

    async def ListMethods(  # noqa: N802 the name of the call is the proto's
        self, request: catalog_pb2.ListMethodsRequest, context: Any
    ) -> catalog_pb2.ListMethodsResponse:
        del context
        kinds = list(schema.methods().values())
        methods, token = slice_of(
            kinds,
            _method,
            request.page_size,
            request.page_token,
            self._control.page_tokens,
            ("methods",),
        )
        return catalog_pb2.ListMethodsResponse(methods=methods, next_page_token=token)


def _method(kind: type[Method[Any, Any]]) -> catalog_pb2.Method:
    return catalog_pb2.Method(
        name=schema.field_name(kind.name),
        summary=kind.summary,
        options=[_option(kind, entry, described) for entry, described in options_of(kind)],
    )


def _option(
    kind: type[Method[Any, Any]], entry: Field[Any], described: Option
) -> catalog_pb2.Option:
    return catalog_pb2.Option(
        name=entry.name,
        help=described.help,
        type=_TYPES[schema.field_type(entry.default)],
        default_value=_default(entry.default),
        choices=described.choices,
        free=described.free,
        file_kind=f"FILE_KIND_{described.file.upper() or 'UNSPECIFIED'}",
        minimum=described.minimum,
        maximum=described.maximum,
        metavar=described.metavar,
        used=schema.is_used(kind, entry.name),
    )


def _default(default: Any) -> Value:
    if isinstance(default, tuple):
        return Value(list_value=ListValue(values=[Value(string_value=item) for item in default]))
    if isinstance(default, bool):
        return Value(bool_value=default)
    if isinstance(default, str):
        return Value(string_value=default)
    return Value(number_value=default)
