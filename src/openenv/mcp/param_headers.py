"""``Mcp-Param-*``: arguments of a tool that are repeated in headers, so that what lies between can route by them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from openenv.mcp.messages import HEADER_MISMATCH, McpError, RequestId

__all__ = ["check_params", "decoded_value", "encoded_value", "param_headers", "wrong_annotation"]

_KEY = "x-mcp-header"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_WRAPPED = re.compile(r"=\?base64\?(.*)\?=", re.DOTALL)
_DECIMAL = re.compile(r"(-?[0-9]+)(?:\.0*)?")
_TYPES = ("string", "integer", "boolean")


def encoded_value(value: str) -> str:
    """A text as the value of a header: as it is where that is safe, and else in ``=?base64?…?=``."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not _WRAPPED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decoded_value(value: str) -> str | None:
    """The text in the value of a header; ``None`` if it claims to be base64 and is not."""
    found = _WRAPPED.fullmatch(value)
    if found is None:
        return value
    try:
        raw = base64.b64decode(found[1], validate=True)
        return raw.decode() if base64.b64encode(raw).decode() == found[1] else None
    except (binascii.Error, ValueError):
        return None


def wrong_annotation(input_schema: Mapping[str, Any]) -> str | None:
    """What is wrong with the ``x-mcp-header`` annotations of a schema; ``None`` if they are right, or there are none.

    Each has to name a header of its own, on a property of type string, integer or boolean. Those that are not reached
    through ``properties`` alone are not looked at.
    """
    seen: set[str] = set()
    for path, schema in _annotated(input_schema):
        where, token = ".".join(path), schema[_KEY]
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return f"{where}: {_KEY} must be a token that a header's name may hold"
        if schema.get("type") not in _TYPES:
            return f"{where}: {_KEY} may stand on a string, an integer or a boolean"
        if token.lower() in seen:
            return f"{where}: {_KEY} {token!r} is there twice"
        seen.add(token.lower())
    return None


def param_headers(input_schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The headers that a call of a tool with this schema carries, as names and values."""
    if wrong_annotation(input_schema) is not None:
        return []
    found = []
    for path, schema in _annotated(input_schema):
        text = _as_text(_at(arguments, path))
        if text is not None:
            found.append((f"Mcp-Param-{schema[_KEY]}", encoded_value(text)))
    return found


def check_params(
    params: Mapping[str, str],
    input_schema: Mapping[str, Any],
    arguments: Mapping[str, Any],
    id: RequestId | None = None,
) -> None:
    """Whether the ``Mcp-Param-*`` headers of a call repeat its arguments.

    Args:
        params: Their values, by the rest of the name in lower case, as ``PostHeaders.params`` has them.
        input_schema: Of the tool. Where its annotations are wrong, nothing is checked.
        arguments: Of the call.
        id: Of the request, for the error.

    Raises:
        McpError: One is missing, or says something else (-32020, status 400).
    """
    if wrong_annotation(input_schema) is not None:
        return
    for path, schema in _annotated(input_schema):
        name, where = f"Mcp-Param-{schema[_KEY]}", ".".join(path)
        raw, value = params.get(schema[_KEY].lower()), _at(arguments, path)
        text = _as_text(value)
        if raw is None:
            if text is not None:
                raise McpError(HEADER_MISMATCH, f"{name} header is missing, but the argument '{where}' is there", id=id)
            continue
        decoded = decoded_value(raw)
        if text is None or decoded is None or not _same(schema["type"], value, text, decoded):
            raise McpError(HEADER_MISMATCH, f"{name} header does not match the argument '{where}'", id=id)


def _annotated(input_schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The properties with an annotation, each with the names on the way to it."""
    pending: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), input_schema)]
    while pending:
        path, schema = pending.pop(0)
        if path and _KEY in schema:
            yield path, schema
        inner = schema.get("properties")
        if isinstance(inner, Mapping):
            pending += [((*path, name), part) for name, part in inner.items() if isinstance(part, Mapping)]


def _at(arguments: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = arguments
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _as_text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def _same(kind: str, value: object, text: str, decoded: str) -> bool:
    """Whether a header says the same; of an integer also as ``42.0``."""
    if decoded == text:
        return True
    number = _DECIMAL.fullmatch(decoded)
    if kind != "integer" or number is None or isinstance(value, bool):
        return False
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return isinstance(value, int) and number[1] == str(value)
