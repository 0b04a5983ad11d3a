"""What a JSON Schema says of one value of a document that keeps to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_BRANCHES = ("allOf", "anyOf", "oneOf")
_CONDITIONALS = ("then", "else")


@dataclass(frozen=True, slots=True)
class SchemaField:
    """`description`: titles and descriptions of the value, in the order of the schema. `options`: the texts that it is
    chosen from; empty where any may stand."""

    name: str
    description: str = ""
    options: frozenset[str] = frozenset()


def field_at(schema: Mapping[str, Any], path: Sequence[str], name: str, value: Any) -> SchemaField:
    """The field of the value at `path`, whose keys are those of objects or places in lists. Of alternatives it may be
    any; what describes another constant than `value` is left out. schema: with no references but those that `referred`
    finds. Cost: as the parts of the schema."""
    nodes = _spoken_of(schema, [schema])
    for key in path:
        nodes = _spoken_of(schema, [inner for node in nodes for inner in _within(node, key)])
    own = [node for node in nodes if "const" not in node or node["const"] == value]
    told = [node[key] for node in own for key in ("title", "description") if isinstance(node.get(key), str)]
    offered = [each for node in nodes for each in (*_listed(node.get("enum")), node.get("const"))]
    options = frozenset(each for each in offered if isinstance(each, str))
    return SchemaField(name, " ".join(dict.fromkeys(told)), options)


def referred(schema: Any, reference: str) -> Any:
    """The part of the schema that `#` or `#/...` names. Raises LookupError, TypeError or ValueError for none."""
    for key in unquote(reference).split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        schema = schema[int(key)] if isinstance(schema, list) else schema[key]
    return schema


def _spoken_of(schema: Mapping[str, Any], nodes: Sequence[Any]) -> list[Mapping[str, Any]]:
    """The nodes and all others that speak of the same value, each once."""
    found: dict[int, Mapping[str, Any]] = {}
    waiting = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict) or id(node) in found:
            continue
        found[id(node)] = node
        beside = [node[key] for key in _CONDITIONALS if key in node]
        beside += [each for key in _BRANCHES for each in _listed(node.get(key))]
        if isinstance(node.get("$ref"), str):
            beside.append(referred(schema, node["$ref"]))
        waiting += reversed(beside)
    return list(found.values())


def _within(node: Mapping[str, Any], key: str) -> Iterator[Any]:
    """What speaks of the value at `key` of an object or a list: what names it, or else what is said of the rest."""
    named = node.get("properties")
    if isinstance(named, dict) and key in named:
        yield named[key]
    else:
        yield node.get("additionalProperties")
    if key.isdecimal():
        places = [*_listed(node.get("prefixItems")), *_listed(node.get("items"))]
        yield places[int(key)] if int(key) < len(places) else node.get("items")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
