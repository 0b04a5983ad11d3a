"""Messages with every field set, made from their descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from pinakes.v1 import (
    answer_service_pb2,
    audit_service_pb2,
    auth_service_pb2,
    conversation_service_pb2,
    document_service_pb2,
    encryption_service_pb2,
    error_reason_pb2,
    event_service_pb2,
    index_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    passage_pb2,
    privacy_service_pb2,
    query_pb2,
    quota_service_pb2,
    search_service_pb2,
    stage_timing_pb2,
    tenant_service_pb2,
)

FILES = [
    module.DESCRIPTOR
    for module in (
        answer_service_pb2,
        audit_service_pb2,
        auth_service_pb2,
        conversation_service_pb2,
        document_service_pb2,
        error_reason_pb2,
        event_service_pb2,
        index_service_pb2,
        inference_service_pb2,
        model_service_pb2,
        passage_pb2,
        privacy_service_pb2,
        encryption_service_pb2,
        tenant_service_pb2,
        query_pb2,
        quota_service_pb2,
        search_service_pb2,
        stage_timing_pb2,
    )
]

Path = tuple[str, ...]


def filled(descriptor: Descriptor, skip: frozenset[str] = frozenset(), within: frozenset[str] = frozenset()) -> Any:
    """A message whose fields all differ from their defaults, recursively. Of a oneof the last member stays; `skip`
    names members (full names) that must not be set. A message within one of its own type (`within`) stays empty."""
    message = GetMessageClass(descriptor)()
    if descriptor.full_name not in within:
        for field in descriptor.fields:
            if field.full_name not in skip:
                _fill(message, field, skip, within | {descriptor.full_name})
    return message


def variants(descriptor: Descriptor) -> Iterator[Any]:
    """`filled` once for each member of each oneof that occurs in the message, so that every field is set in one."""
    choices = [oneof for d in _reachable(descriptor) for oneof in d.oneofs if len(oneof.fields) > 1]
    for oneof in choices:
        members = {member.full_name for member in oneof.fields}
        for chosen in sorted(members):
            yield filled(descriptor, frozenset(members - {chosen}))
    if not choices:
        yield filled(descriptor)


def without_each(message: Message) -> Iterator[tuple[Path, Any]]:
    """Copies of the message, each with one set field cleared, at any depth; with the field's path."""
    for field, value in message.ListFields():
        copy = type(message)()
        copy.CopyFrom(message)
        copy.ClearField(field.name)
        yield (field.name,), copy
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        inner = value[0] if field.is_repeated else value
        for path, changed in without_each(inner):
            copy = type(message)()
            copy.CopyFrom(message)
            target = getattr(copy, field.name)
            (target[0] if field.is_repeated else target).CopyFrom(changed)
            yield (field.name, *path), copy


def _fill(message: Any, field: FieldDescriptor, skip: frozenset[str], within: frozenset[str]) -> None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        inner = filled(_message_type(field), skip, within)
        if field.is_repeated:
            getattr(message, field.name).append(inner)
        else:
            getattr(message, field.name).CopyFrom(inner)
    elif field.is_repeated:
        getattr(message, field.name).append(_scalar(field))
    else:
        setattr(message, field.name, _scalar(field))


def _scalar(field: FieldDescriptor) -> object:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return b"\x01" if field.type == FieldDescriptor.TYPE_BYTES else f"a {field.name}"
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_ENUM:
            assert field.enum_type
            return field.enum_type.values[1].number
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return 0.25
        case _:
            return 7_000  # as nanoseconds, 7 microseconds: what a datetime can hold


def _reachable(descriptor: Descriptor) -> list[Descriptor]:
    found: list[Descriptor] = []
    waiting = [descriptor]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.append(here)
            waiting += [_message_type(f) for f in here.fields if f.type == FieldDescriptor.TYPE_MESSAGE]
    return found


def _message_type(field: FieldDescriptor) -> Descriptor:
    assert field.message_type
    return field.message_type
