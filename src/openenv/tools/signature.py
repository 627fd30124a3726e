"""From a function to the JSON Schemas of what it takes and returns, and to a check of what it is given."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_json

from openenv.errors import ConfigurationError
from openenv.tools.context import ToolContext
from openenv.tools.docstrings import read_docstring
from openenv.tools.results import ToolResult
from openenv.types import AudioContent, FileContent, ImageContent, TextContent

__all__ = ["BadArguments", "Signature", "TypeNotKnown"]

_CONTENT = (TextContent, ImageContent, AudioContent, FileContent, ToolResult)


class TypeNotKnown(ConfigurationError):
    """A type is named that is not known, or not yet."""


class BadArguments(Exception):
    """Arguments that do not fit; the message says which and why, for a model to act on."""


@dataclass(frozen=True)
class Signature:
    """What a function takes and returns.

    Attributes:
        description: Its docstring without what that says of the arguments.
        input_schema: JSON Schema of its arguments, an object.
        output_schema: JSON Schema of its structured result, if its return type tells one.
        wraps: Whether that is of an object with the value under ``result``.
        context: Name of the parameter that gets the ``ToolContext``, if there is one.
        arguments: Checks arguments; its fields are those of the function.
    """

    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    wraps: bool
    context: str | None
    arguments: type[BaseModel]

    @staticmethod
    def of(function: Callable[..., Any], *, skip: int = 0) -> Signature:
        """The signature of a function.

        Args:
            function: Its parameters have types; those that have none take anything.
            skip: Leading parameters that are not of the caller, such as ``self``.

        Raises:
            TypeNotKnown: A type is named that is not known where the function is, or not yet.
            ConfigurationError: A type has no JSON Schema, a default is not of its type, or a parameter has no name
                of its own.
        """
        name = getattr(function, "__name__", "tool")
        hints = _hints(function, name)
        description, told = read_docstring(inspect.getdoc(function) or "")
        fields: dict[str, Any] = {}
        context = None
        for parameter in _parameters(function, name, skip):
            hint = hints.get(parameter.name, Any)
            if hint is ToolContext or ToolContext in typing.get_args(hint):
                context = parameter.name
            elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise ConfigurationError(f"tool {name}: {parameter} has no name to call it by; name every argument")
            else:
                fields[parameter.name] = (
                    _with_none(hint, parameter),
                    _field(parameter, hint, told.get(parameter.name)),
                )
        try:
            # the names of the fields are ours, since pydantic keeps some for itself; the author's are their aliases
            safe: dict[str, Any] = {f"argument_{index}": field for index, field in enumerate(fields.values())}
            arguments = create_model(f"{name}_arguments", __config__=_STRICT, **safe)
            schema = arguments.model_json_schema(by_alias=True, schema_generator=_Quiet)
            output, wraps = _output(hints.get("return", inspect.Signature.empty))
        except _NO_SCHEMA as error:
            raise ConfigurationError(_without_schema(name, hints, context) or f"tool {name}: {error.message}") from None
        for own, (hint, field) in fields.items():
            said = None if field.is_required() else _unfit(hint, field.default)
            if said is not None:
                raise ConfigurationError(
                    f"tool {name}: the default of argument {own} is {field.default!r:.60}, which is not of its type: "
                    f"{said}"
                )
        return Signature(description, _untitled(schema), output, wraps, context, arguments)

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call, as the types of the function.

        Raises:
            BadArguments: They do not fit.
        """
        try:
            found = self.arguments.model_validate(dict(given))
        except ValidationError as error:
            raise BadArguments(_told(error, self.arguments)) from None
        by_alias = {own.alias: getattr(found, name) for name, own in type(found).model_fields.items()}
        return {str(name): value for name, value in by_alias.items()}


_WRAPS = "x-fastmcp-wrap-result"
"""What clients of FastMCP look for, to give their callers the value itself."""

_NO_SCHEMA = (PydanticSchemaGenerationError, PydanticUserError)


class _Quiet(GenerateJsonSchema):
    """Says nothing of a default without a JSON form: the schema leaves it out, and the function has it."""

    ignored_warning_kinds = GenerateJsonSchema.ignored_warning_kinds | {"non-serializable-default"}


_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=False, protected_namespaces=())


def _parameters(function: Callable[..., Any], name: str, skip: int) -> list[inspect.Parameter]:
    """What a caller gives; raises ``ConfigurationError`` for a method that does not take its environment first."""
    found = list(inspect.signature(function).parameters.values())
    for index in range(skip):
        first = found[index] if index < len(found) else None
        is_plain = first is not None and first.annotation is first.empty and first.default is first.empty
        if first is None or not (is_plain or first.name == "self"):
            raise ConfigurationError(f"{name} is a method that takes no self; write def {name}(self, ...)")
    return found[skip:]


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        known = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
        with suppress(NameError):
            return typing.get_type_hints(function, localns=known, include_extras=True)
        raise TypeNotKnown(
            f"tool {name}: {error}; define or import the type in the module itself, not in a function or for type "
            "checkers alone"
        ) from None
    except TypeError:  # what is written there is no type
        return {}


def _without_schema(name: str, hints: Mapping[str, Any], context: str | None) -> str | None:
    """Which of a function's types has no JSON Schema, and what to do."""
    for place, hint in hints.items():
        try:
            TypeAdapter(Any if place == context else hint).json_schema(schema_generator=_Quiet)
        except _NO_SCHEMA as error:
            what = "what it returns" if place == "return" else f"argument {place}"
            if error.code == "typed-dict-version":
                return (
                    f"tool {name}: {what} is of a typing.TypedDict, which tells too little before Python 3.12; use "
                    "typing_extensions.TypedDict"
                )
            return (
                f"tool {name}: {what} is of type {getattr(hint, '__name__', hint)}, which has no JSON Schema; use JSON "
                "types, a dataclass or a pydantic model" + (", or no type" if place == "return" else "")
            )
    return None


def _with_none(hint: Any, parameter: inspect.Parameter) -> Any:
    """The type of a parameter; ``x: int = None`` is the older form of ``x: int | None = None``."""
    if parameter.default is None:
        with suppress(*_NO_SCHEMA):
            return hint if _unfit(hint, None) is None else typing.Optional[hint]  # noqa: UP045 - of any hint
    return hint


def _unfit(hint: Any, default: Any) -> str | None:
    """Why a default is not of its type: neither as it is, nor as its JSON form, which callers are told."""
    if isinstance(default, FieldInfo):
        return "write Annotated[..., Field(...)] before the default"
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    with suppress(ValidationError):
        adapter.validate_python(default, strict=True)
        return None
    try:
        adapter.validate_json(to_json(default), strict=True)
    except ValidationError as error:
        return error.errors(include_url=False)[0]["msg"]
    except ValueError:  # it has no JSON form
        return f"it is of class {type(default).__name__}"
    return None


def _field(parameter: inspect.Parameter, hint: Any, description: str | None) -> Any:
    has_own = any(isinstance(one, FieldInfo) and one.description for one in typing.get_args(hint)[1:])
    more: dict[str, Any] = {"alias": parameter.name}
    if description is not None and not has_own:
        more["description"] = description
    return Field(**more) if parameter.default is parameter.empty else Field(default=parameter.default, **more)


def _output(hint: Any) -> tuple[dict[str, Any] | None, bool]:
    """The schema of what is returned, if it is a value for programs, and whether it is to be wrapped."""
    if hint in (inspect.Signature.empty, Any, None, type(None)) or _is_text(hint) or _is_content(hint):
        return None, False
    schema = _untitled(TypeAdapter(hint).json_schema(mode="serialization"))
    if schema.get("type") == "object":
        return schema, False
    defs = schema.pop("$defs", None)
    wrapped = {"type": "object", "properties": {"result": schema}, "required": ["result"], _WRAPS: True}
    return (wrapped if defs is None else {**wrapped, "$defs": defs}), True


def _is_text(hint: Any) -> bool:
    """Whether it is, or may be, plain text; a list of texts is a value like any other."""
    if isinstance(hint, type):
        return issubclass(hint, str)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _is_text(arguments[0])
    return origin in (typing.Union, types.UnionType) and any(_is_text(one) for one in arguments)


def _is_content(hint: Any) -> bool:
    if isinstance(hint, type):
        return issubclass(hint, _CONTENT)
    arguments = [one for one in typing.get_args(hint) if one is not type(None) and one is not Ellipsis]
    if typing.get_origin(hint) is typing.Annotated:
        arguments = arguments[:1]
    return any(_is_content(one) for one in arguments) if typing.get_origin(hint) is not dict else False


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes up, which only take a model's attention."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    names = ("properties", "$defs")
    return {
        key: {name: _untitled(one) for name, one in value.items()} if key in names else _untitled(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def _told(error: ValidationError, model: type[BaseModel]) -> str:
    lines = []
    for one in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in one["loc"]) or "arguments"
        given = "" if one["type"] in ("missing", "extra_forbidden") else f" (got {_short(one['input'])})"
        lines.append(f"{place}: {one['msg'].removeprefix('Value error, ')}{given}")
    known = ", ".join(str(field.alias) for field in model.model_fields.values()) or "none"
    return f"{'; '.join(lines)}. Its arguments: {known}."


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
