"""Whether a JSON value fits a JSON Schema."""

from __future__ import annotations

import math
import operator
import re
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

__all__ = ["misfit"]

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
}

_BOUNDS = {
    "minimum": (operator.ge, "below"),
    "maximum": (operator.le, "above"),
    "exclusiveMinimum": (operator.gt, "not above"),
    "exclusiveMaximum": (operator.lt, "not below"),
}


def misfit(schema: Any, value: Any, *, where: str = "", root: Any = None) -> str | None:
    """Where and why a JSON value does not fit a schema; ``None`` if it does.

    Looked at are types, enums, constants, references, ``anyOf``, ``oneOf``, ``allOf``, the parts of objects and arrays,
    bounds, lengths and patterns. What else a schema says is taken as kept, and so is all of one that is none itself.

    Args:
        schema: From anywhere.
        value: As JSON has it.
        where: What the value is called.
        root: The schema that references point into, if it is another.
    """
    try:
        return _misfit(schema, value, where, schema if root is None else root)
    except (TypeError, ValueError, AttributeError, RecursionError):  # the schema is none, or refers to itself for ever
        return None


def _misfit(schema: Any, value: Any, where: str, root: Any) -> str | None:
    if schema is True or not isinstance(schema, dict):
        return None if schema is not False else f"{where or 'it'} must not be there"
    if "$ref" in schema:
        return _misfit(_target(str(schema["$ref"]), root), value, where, root)
    said = (
        _kind(schema, value)
        or _options(schema, value, root)
        or _number(schema, value)
        or (_text(schema, value) if isinstance(value, str) else None)
    )
    if said is not None:
        return f"{where or 'it'} {said}"
    for one in schema.get("allOf", ()):
        said = _misfit(one, value, where, root)
        if said is not None:
            return said
    if isinstance(value, dict):
        return _object(schema, value, where, root)
    return _array(schema, value, where, root) if isinstance(value, list | tuple) else None


def _target(reference: str, root: Any) -> Any:
    found = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part.replace("~1", "/").replace("~0", "~"), True) if isinstance(found, dict) else True
    return found


def _kind(schema: dict[str, Any], value: Any) -> str | None:
    kinds = schema.get("type")
    if kinds is None:
        return None
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return None if any(_is_kind(kind, value) for kind in kinds) else f"is {value!r:.60}, and no {' or '.join(kinds)}"


def _is_kind(kind: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "number":
        return is_number
    if kind == "integer":
        return is_number and (isinstance(value, int) or value.is_integer())
    return kind not in _KINDS or isinstance(value, _KINDS[kind])


def _options(schema: dict[str, Any], value: Any, root: Any) -> str | None:
    if "const" in schema and schema["const"] != value:
        return f"is {value!r:.60}, and not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"is {value!r:.60}, and none of {schema['enum']!r:.200}"
    for key in ("anyOf", "oneOf"):
        if key in schema and all(_misfit(one, value, "", root) is not None for one in schema[key]):
            return f"is {value!r:.60}, which fits none of its options"
    return None


def _number(schema: dict[str, Any], value: Any) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    for key, (is_kept, words) in _BOUNDS.items():
        if key in schema and not is_kept(value, schema[key]):
            return f"is {value}, which is {words} {schema[key]}"
    return None


def _text(schema: dict[str, Any], value: str) -> str | None:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
        return f"has {len(value)} characters"
    if "pattern" in schema and not _has(schema["pattern"], value):
        return f"is {value!r:.60}, and not of the form {schema['pattern']}"
    return None


def _has(pattern: str, text: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.search(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """JSON Schema's patterns are not quite Python's; what Python cannot read, or warns of, is taken as kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return re.compile(pattern)
        except (re.error, Warning):
            return None


def _object(schema: dict[str, Any], value: dict[str, Any], where: str, root: Any) -> str | None:
    fields, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{where or 'it'} has no {', '.join(missing)}"
    for name, part in value.items():
        own = [fields[name]] if name in fields else []
        own += [one for pattern, one in patterns.items() if _has(pattern, name)]
        for one in own or [schema.get("additionalProperties", True)]:
            said = _misfit(one, part, _place(where, name), root)
            if said is not None:
                return said
    return None


def _array(schema: dict[str, Any], value: Sequence[Any], where: str, root: Any) -> str | None:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        return f"{where or 'it'} has {len(value)} items"
    first = schema.get("prefixItems", [])
    for index, part in enumerate(value):
        expected = first[index] if index < len(first) else schema.get("items", True)
        said = _misfit(expected, part, _place(where, str(index)), root)
        if said is not None:
            return said
    return None


def _place(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
