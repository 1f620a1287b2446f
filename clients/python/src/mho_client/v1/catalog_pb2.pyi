from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Method(_message.Message):
    __slots__ = ("name", "summary", "options")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    summary: str
    options: _containers.RepeatedCompositeFieldContainer[Option]
    def __init__(self, name: _Optional[str] = ..., summary: _Optional[str] = ..., options: _Optional[_Iterable[_Union[Option, _Mapping]]] = ...) -> None: ...

class Option(_message.Message):
    __slots__ = ("name", "help", "type", "default_value", "choices", "free", "file_kind", "minimum", "maximum", "metavar", "used")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[Option.Type]
        TYPE_STRING: _ClassVar[Option.Type]
        TYPE_STRING_LIST: _ClassVar[Option.Type]
        TYPE_INTEGER: _ClassVar[Option.Type]
        TYPE_NUMBER: _ClassVar[Option.Type]
        TYPE_BOOL: _ClassVar[Option.Type]
    TYPE_UNSPECIFIED: Option.Type
    TYPE_STRING: Option.Type
    TYPE_STRING_LIST: Option.Type
    TYPE_INTEGER: Option.Type
    TYPE_NUMBER: Option.Type
    TYPE_BOOL: Option.Type
    class FileKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FILE_KIND_UNSPECIFIED: _ClassVar[Option.FileKind]
        FILE_KIND_ARRAY: _ClassVar[Option.FileKind]
        FILE_KIND_DATA: _ClassVar[Option.FileKind]
        FILE_KIND_GROUPS: _ClassVar[Option.FileKind]
        FILE_KIND_SCORES: _ClassVar[Option.FileKind]
    FILE_KIND_UNSPECIFIED: Option.FileKind
    FILE_KIND_ARRAY: Option.FileKind
    FILE_KIND_DATA: Option.FileKind
    FILE_KIND_GROUPS: Option.FileKind
    FILE_KIND_SCORES: Option.FileKind
    NAME_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    FILE_KIND_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    METAVAR_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    name: str
    help: str
    type: Option.Type
    default_value: _struct_pb2.Value
    choices: _containers.RepeatedScalarFieldContainer[str]
    free: bool
    file_kind: Option.FileKind
    minimum: float
    maximum: float
    metavar: str
    used: bool
    def __init__(self, name: _Optional[str] = ..., help: _Optional[str] = ..., type: _Optional[_Union[Option.Type, str]] = ..., default_value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., choices: _Optional[_Iterable[str]] = ..., free: _Optional[bool] = ..., file_kind: _Optional[_Union[Option.FileKind, str]] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., metavar: _Optional[str] = ..., used: _Optional[bool] = ...) -> None: ...

class ListMethodsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMethodsResponse(_message.Message):
    __slots__ = ("methods", "next_page_token")
    METHODS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    methods: _containers.RepeatedCompositeFieldContainer[Method]
    next_page_token: str
    def __init__(self, methods: _Optional[_Iterable[_Union[Method, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
