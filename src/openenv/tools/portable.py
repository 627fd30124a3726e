"""Schemas of arguments as the APIs of models take them, which refuse a request for one that is right but unusual."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from openenv.errors import ConfigurationError

__all__ = ["one_object", "with_items"]

Schema = dict[str, Any]

_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SCHEMAS = ("prefixItems", "anyOf", "oneOf", "allOf")
_SCHEMA = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_NOT_AT_THE_TOP = ("$ref", "anyOf", "oneOf", "allOf", "not", "enum", "const")
_SHAPE: dict[str, Any] = {"properties": Mapping, "required": list, "additionalProperties": (bool, Mapping)}
_OF_A_CONSTANT = {"const", "type", "title", "default"}


def one_object(schema: Mapping[str, Any], tool: str) -> Schema:
    """A schema of arguments as that of one object, without options at the top.

    It takes what any of the options takes: their properties together, and required is what all of them require. So
    it may say less than the schema did, which stays the one that a call has to fit.

    Args:
        schema: JSON Schema of the arguments of a tool.
        tool: Name of the tool.

    Raises:
        ConfigurationError: None of the options is an object.
    """
    least: Schema = {"type": "object", "properties": {}}  # both APIs want them, also where nothing is taken
    if schema.get("type", "object") == "object" and not any(key in schema for key in _NOT_AT_THE_TOP):
        return {**least, **schema}
    shape = _shape(schema, schema, ())
    if shape is None:
        raise ConfigurationError(f"tool {tool}: no object fits its input schema, and arguments are one")
    whole = {key: value for key, value in schema.items() if key not in (*_NOT_AT_THE_TOP, *_SHAPE)}
    return {**whole, **least, **shape}


def with_items(schema: Any) -> Any:
    """A schema in which every array says what its items are, as OpenAI wants it.

    Of a tuple that is what all its places may hold; that there are no more of them is said by ``maxItems``.
    """
    if not isinstance(schema, Mapping):
        return schema
    found: Schema = {key: _within(key, value) for key, value in schema.items()}
    kinds = found.get("type")
    if "array" not in (kinds if isinstance(kinds, list) else [kinds]) and "prefixItems" not in found:
        return found
    items, more = found.get("items"), found.pop("additionalItems", None)
    if isinstance(items, list):  # how tuples were written up to draft 7
        found["prefixItems"], items = items, more
    places = _listed(found.get("prefixItems"))
    if items is False:
        found["maxItems"] = min(len(places), found.get("maxItems", len(places)))
    if not isinstance(items, Mapping):
        has_no_more = places and found.get("maxItems", len(places) + 1) <= len(places)
        items = _either(places) if has_no_more else {}
    return {**found, "items": items}


def _within(key: str, value: Any) -> Any:
    """What a keyword of a schema says, with the schemas in it mended."""
    if key in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
        return {name: with_items(one) for name, one in value.items()}
    if (key in _SCHEMAS or key == "items") and isinstance(value, list):
        return [with_items(one) for one in value]
    return with_items(value) if key in (*_SCHEMA, "additionalItems") else value


def _shape(schema: Any, root: Mapping[str, Any], seen: tuple[str, ...]) -> Schema | None:
    """The properties of the objects that fit a schema, what is required of them, and whether they may have others;
    ``None`` where no object fits."""
    if not isinstance(schema, Mapping):
        return None if schema is False else {}
    kinds = schema.get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        return None
    own = {key: schema[key] for key, kind in _SHAPE.items() if isinstance(schema.get(key), kind)}
    if "patternProperties" in schema and schema is not root:  # which are told of the root alone
        own.pop("additionalProperties", None)
    parts: list[Schema | None] = [own]
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        parts.append(_shape(_target(reference, root), root, (*seen, reference)))
    for key in ("allOf", "anyOf", "oneOf"):
        shapes = [_shape(one, root, seen) for one in _listed(schema.get(key))]
        if key == "allOf":
            parts += shapes
        elif shapes:
            options = [shape for shape in shapes if shape is not None]
            parts.append(_of_any(options) if options else None)
    known = [part for part in parts if part is not None]
    return _of_all(known) if len(known) == len(parts) else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference points to; anything, where that is not in the schema itself."""
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    return found


def _of_all(shapes: list[Schema]) -> Schema:
    """What fits all of some shapes."""
    others = [one["additionalProperties"] for one in shapes if one.get("additionalProperties", True) is not True]
    required = [name for one in shapes for name in one.get("required", ())]
    return _made(shapes, _both, required, [False] if False in others else others)


def _of_any(shapes: list[Schema]) -> Schema:
    """What fits any of some shapes."""
    others = [one.get("additionalProperties", True) for one in shapes]
    required = [
        name for name in shapes[0].get("required", ()) if all(name in one.get("required", ()) for one in shapes)
    ]
    return _made(shapes, _either, required, others)


def _made(shapes: list[Schema], joined: Callable[[list[Any]], Any], required: list[str], others: list[Any]) -> Schema:
    """A shape of several. Of what else an object may have, only that is told which all of them say alike."""
    names = dict.fromkeys(name for one in shapes for name in one.get("properties", ()))
    properties = {
        name: joined([one["properties"][name] for one in shapes if name in one.get("properties", ())]) for name in names
    }
    made: Schema = {"properties": properties} if properties else {}
    if required:
        made["required"] = list(dict.fromkeys(required))
    alike = _different(others)
    if len(alike) == 1 and alike[0] is not True:
        made["additionalProperties"] = alike[0]
    return made


def _both(schemas: list[Any]) -> Any:
    different = _different(schemas)
    return different[0] if len(different) == 1 else {"allOf": different}


def _either(schemas: list[Any]) -> Any:
    different = _different(schemas)
    if len(different) == 1:
        return different[0]
    if all(isinstance(one, Mapping) and "const" in one and one.keys() <= _OF_A_CONSTANT for one in different):
        kinds = _different(one.get("type") for one in different)  # such as what tells the options apart
        enum = {"enum": [one["const"] for one in different]}
        return enum if len(kinds) > 1 or kinds == [None] else {"type": kinds[0], **enum}
    return {"anyOf": different}


def _different(schemas: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for one in schemas:
        if one not in found:
            found.append(one)
    return found
