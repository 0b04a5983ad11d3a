"""What messages of all services are made of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from pinakes import results
from pinakes.v1 import error_reason_pb2, stage_timing_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor
    from google.protobuf.timestamp_pb2 import Timestamp

_E = TypeVar("_E", bound=results.WireEnum)


def enum_of(cls: type[_E], wire: EnumDescriptor, number: int) -> _E:
    """The member of the wire's name; UNSPECIFIED for a number that this client is too old to know."""
    known = wire.values_by_number.get(number)
    name = known.name.removeprefix(_prefix(wire)) if known else ""
    return cls[name] if name in cls.__members__ else cls["UNSPECIFIED"]


def enum_number(wire: EnumDescriptor, member: results.WireEnum) -> int:
    """The wire's number of a member."""
    return wire.values_by_name[_prefix(wire) + member.name].number


def _prefix(wire: EnumDescriptor) -> str:
    return wire.values_by_number[0].name.removesuffix("UNSPECIFIED")


def reason(number: int) -> str:
    """An ErrorReason's name without its prefix; its number if this client is too old to know it."""
    wire = error_reason_pb2.ErrorReason.DESCRIPTOR
    known = wire.values_by_number.get(number)
    return known.name.removeprefix(_prefix(wire)) if known else str(number)


def timings(wire: Iterable[stage_timing_pb2.StageTiming]) -> tuple[results.StageTiming, ...]:
    return tuple(results.StageTiming(t.stage, t.duration.ToNanoseconds() / 1e9) for t in wire)


def time(wire: Timestamp) -> datetime:
    return wire.ToDatetime(tzinfo=UTC)
