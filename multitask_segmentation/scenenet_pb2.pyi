from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Trajectories(_message.Message):
    __slots__ = ("trajectories",)
    TRAJECTORIES_FIELD_NUMBER: _ClassVar[int]
    trajectories: _containers.RepeatedCompositeFieldContainer[Trajectory]
    def __init__(
        self, trajectories: _Optional[_Iterable[_Union[Trajectory, _Mapping]]] = ...
    ) -> None: ...

class Trajectory(_message.Message):
    __slots__ = ("instances", "views", "render_path")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    RENDER_PATH_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    views: _containers.RepeatedCompositeFieldContainer[View]
    render_path: str
    def __init__(
        self,
        instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ...,
        views: _Optional[_Iterable[_Union[View, _Mapping]]] = ...,
        render_path: _Optional[str] = ...,
    ) -> None: ...

class View(_message.Message):
    __slots__ = ("frame_num",)
    FRAME_NUM_FIELD_NUMBER: _ClassVar[int]
    frame_num: int
    def __init__(self, frame_num: _Optional[int] = ...) -> None: ...

class Instance(_message.Message):
    __slots__ = ("instance_id", "semantic_wordnet_id", "semantic_english", "instance_type")
    class InstanceType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BACKGROUND: _ClassVar[Instance.InstanceType]
        LAYOUT_OBJECT: _ClassVar[Instance.InstanceType]
        LIGHT_OBJECT: _ClassVar[Instance.InstanceType]
        RANDOM_OBJECT: _ClassVar[Instance.InstanceType]

    BACKGROUND: Instance.InstanceType
    LAYOUT_OBJECT: Instance.InstanceType
    LIGHT_OBJECT: Instance.InstanceType
    RANDOM_OBJECT: Instance.InstanceType
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_WORDNET_ID_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_ENGLISH_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    instance_id: int
    semantic_wordnet_id: str
    semantic_english: str
    instance_type: Instance.InstanceType
    def __init__(
        self,
        instance_id: _Optional[int] = ...,
        semantic_wordnet_id: _Optional[str] = ...,
        semantic_english: _Optional[str] = ...,
        instance_type: _Optional[_Union[Instance.InstanceType, str]] = ...,
    ) -> None: ...
