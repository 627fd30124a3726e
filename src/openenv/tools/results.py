"""What a tool returns, as the content, the structured value and the data of a result."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from openenv.types import AudioContent, FileContent, ImageContent, TextContent

__all__ = ["CallResult", "NoJSONForm", "ToolResult", "block_of", "json_form", "result_of", "told_result"]

_BLOCKS = (TextContent, ImageContent, AudioContent, FileContent)


class NoJSONForm(TypeError):
    """What a tool returned cannot be written as JSON."""


@dataclass
class ToolResult:
    """A result with more to say than one value.

    Attributes:
        content: What the model reads: content blocks, texts, or blocks as MCP has them; or one of these.
        structured_content: The same for programs: a JSON object.
        is_error: Whether the tool failed in a way that the model is to know of.
        meta: MCP's ``_meta``.
        data: The value itself; by default ``structured_content``.
    """

    content: Sequence[Any] | Mapping[str, Any] | TextContent | ImageContent | AudioContent | FileContent = ()
    structured_content: dict[str, Any] | None = None
    is_error: bool = False
    meta: dict[str, Any] | None = None
    data: Any = field(default=None)


class CallResult(dict[str, Any]):
    """The ``result`` of a ``CallToolObservation`` as the environment gives it: a dict whose keys are attributes too.

    Code for OpenEnv 0.10 reads ``result.data`` and ``result.content[0].text``.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a result has no {name}; it has {', '.join(self)}") from None

    @classmethod
    def of(cls, result: dict[str, Any]) -> CallResult:
        """A result and its content blocks, with their keys as attributes."""
        return cls({**result, "content": [cls(block) for block in result.get("content") or ()]})


def result_of(returned: Any, *, has_schema: bool, wraps: bool) -> dict[str, Any]:
    """The ``result`` of a ``CallToolObservation``, as its keys.

    They are ``content``, ``structured_content``, ``meta``, ``data`` and ``is_error``.

    Args:
        returned: What the tool returned.
        has_schema: Whether the tool has an output schema.
        wraps: Whether that is of an object with the value under ``result``.

    Raises:
        NoJSONForm: It has none, or what is said to be its structured content is no object.
    """
    if isinstance(returned, ToolResult):
        return _said(returned)
    if returned is None and not has_schema:
        return told_result([], None, None)
    if isinstance(returned, str) and not has_schema:
        text = json_form(returned)
        return told_result([{"type": "text", "text": text}], None, text)
    blocks = [returned] if isinstance(returned, _BLOCKS) else returned
    if isinstance(blocks, list | tuple) and any(isinstance(one, _BLOCKS) for one in blocks):
        content = [block_of(one) for one in blocks]
        return told_result(content, None, content)
    value = json_form(returned)
    structured = {"result": value} if wraps else value if isinstance(value, dict) else None
    text = value if isinstance(value, str) else _written(value)
    return told_result([{"type": "text", "text": text}], structured, value)


def _said(returned: ToolResult) -> dict[str, Any]:
    """What a tool says of its result itself."""
    is_one = isinstance(returned.content, (*_BLOCKS, str, Mapping))
    content = [returned.content] if is_one else returned.content
    structured = json_form(returned.structured_content)
    if not isinstance(structured, dict | None):
        raise NoJSONForm(
            f"structured_content of type {type(structured).__name__}, which is no object; write "
            'structured_content={"result": ...}'
        )
    data = structured if returned.data is None else json_form(returned.data)
    return told_result(
        [block_of(one) for one in content], structured, data, returned.is_error, json_form(returned.meta)
    )


def block_of(value: Any) -> dict[str, Any]:
    """A content block as MCP has it, of a block, a text, a mapping that is one already, or else a JSON value as text.

    Raises:
        NoJSONForm: It has none.
    """
    match value:
        case str():
            return {"type": "text", "text": value}
        case TextContent():
            return {"type": "text", "text": value.text}
        case ImageContent() | AudioContent() if value.data is not None:
            return {"type": value.type, "data": base64.b64encode(value.data).decode(), "mimeType": value.mime_type}
        case ImageContent() | AudioContent() | FileContent():
            return _file(value)
        case Mapping() if isinstance(value.get("type"), str):
            found: dict[str, Any] = json_form(value)
            return found
    return {"type": "text", "text": _written(json_form(value))}


def _file(block: ImageContent | AudioContent | FileContent) -> dict[str, Any]:
    """A file as MCP has it: a link, or a resource with what it holds."""
    name = block.name or "file"
    if block.data is None:
        return {"type": "resource_link", "uri": block.url, "name": name, "mimeType": block.mime_type}
    resource: dict[str, Any] = {"uri": f"file:///{name}", "mimeType": block.mime_type}
    try:
        if not block.mime_type.startswith("text/"):
            raise ValueError
        resource["text"] = block.data.decode()
    except ValueError:
        resource["blob"] = base64.b64encode(block.data).decode()
    return {"type": "resource", "resource": resource}


def told_result(
    content: list[dict[str, Any]], structured: Any, data: Any, is_error: bool = False, meta: Any = None
) -> dict[str, Any]:
    """A ``result`` as of a ``CallToolObservation``, of values that JSON has."""
    return {
        "content": content,
        "structured_content": structured,
        "meta": meta,
        "data": data,
        "is_error": is_error,
    }


def _written(value: Any) -> str:
    """A JSON value as text."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError as error:
        raise NoJSONForm(f"a value of type {type(value).__name__} that has no JSON form: {error}") from error


def json_form(value: Any) -> Any:
    """A value as JSON has it.

    Raises:
        NoJSONForm: It has none.
    """
    kind = type(value)
    if value is None or kind in (bool, int):
        return value
    try:
        if kind is str:
            if not value.isascii():
                value.encode()  # half a character, as names of files may have, is none in JSON
            return value
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json", by_alias=True)  # as its schema tells its fields
        if dataclasses.is_dataclass(value):
            return TypeAdapter(kind).dump_python(value, mode="json", by_alias=True)
        return to_jsonable_python(value, inf_nan_mode="null", fallback=_listed)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise NoJSONForm(f"a value of type {kind.__name__} that has no JSON form: {why}") from error


def _listed(value: Any) -> Any:
    """Arrays and their scalars, of whichever library, as lists and numbers; raises ``TypeError`` for all else."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(
        f"return JSON values, models or arrays, or for bytes and pictures a FileContent or ImageContent, no "
        f"{type(value).__name__}"
    )
