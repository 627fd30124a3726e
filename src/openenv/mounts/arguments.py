"""A first check of arguments against a JSON Schema; the server does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openenv.tools.signature import BadArguments

__all__ = ["check_arguments"]

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}
_SHOWN = 80


def check_arguments(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Whether all that is required is there, nothing that is not allowed, and each of its type and among its values.

    Only the properties of the schema itself are looked at, not what is inside them.

    Raises:
        BadArguments: Something does not fit; the message says all of it.
    """
    properties, required = schema.get("properties"), schema.get("required")
    properties = properties if isinstance(properties, Mapping) else {}
    wrong = [f"{name}: Field required" for name in required or () if name not in arguments]
    for name, value in arguments.items():
        one = properties.get(name)
        if isinstance(one, Mapping):
            said = _misfit(one, value)
            if said:
                wrong.append(f"{name}: {said} (got {_short(value)})")
        elif one is None and schema.get("additionalProperties") is False and "patternProperties" not in schema:
            wrong.append(f"{name}: there is no such argument")
    if wrong:
        known = ", ".join(map(str, properties)) or "none"
        raise BadArguments(f"{'; '.join(wrong)}. Its arguments: {known}.")


def _misfit(schema: Mapping[str, Any], value: Any) -> str:
    """What is wrong with a value; empty if nothing is."""
    allowed = schema.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        return f"must be one of {', '.join(map(_short, allowed))}"
    if "const" in schema and value != schema["const"]:
        return f"must be {_short(schema['const'])}"
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    if not names or any(_is(name, value) for name in names):
        return ""
    return f"must be {' or '.join(map(str, names))}"


def _is(kind: Any, value: Any) -> bool:
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        return True  # no type of JSON Schema's: the server knows what it means
    if isinstance(value, bool):
        return bool(kind == "boolean")
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, known)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
