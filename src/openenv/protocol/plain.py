"""Which models can only hold plain JSON, and so can be written in one pass."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Union

from msgspec import Raw

from openenv.protocol.encoding import fields_beside, is_model
from openenv.protocol.lossy import has_lost
from openenv.types.forms import TAG

if TYPE_CHECKING:
    from pydantic import BaseModel, ConfigDict

__all__ = ["is_plain_model", "observation_text", "plain_json", "rich_fields"]

_KEY = f'"{TAG}"'.encode()
_PLAIN = {str, int, float, bool, type(None), None}
_rich_of: dict[type[Any], frozenset[str] | None] = {}  # by class, worked out once
_write_of: dict[type[Any], Callable[[Any], bytes] | None] = {}  # by observation class, worked out once


def rich_fields(cls: type[Any]) -> frozenset[str] | None:
    """The fields of a model that may hold more than plain JSON, told from their annotations.

    Plain are text, numbers, true, false, null, and lists, dicts and models of those. ``None`` is for a class of which
    this cannot be told, such as one with a serializer of its own. Fields that a class does not declare do not count.
    """
    if cls not in _rich_of:
        _rich_of[cls] = _rich(cls, ())
    return _rich_of[cls]


def is_plain_model(value: Any, exclude: Collection[str] = ()) -> bool:
    """Whether it is a model whose fields, but for the excluded ones, hold plain JSON; an empty dict is plain."""
    if not is_model(value) or (rich := rich_fields(type(value))) is None or value.__pydantic_extra__:
        return False
    return not rich or all(name in exclude or _is_empty(value.__dict__.get(name)) for name in rich)


def plain_json(value: Any, exclude: set[str] | None = None) -> bytes | None:
    """A plain model as JSON in one pass; ``None`` for others, and where a field holds what it was not made for."""
    if not is_plain_model(value, exclude or ()):
        return None
    try:
        text: bytes = value.__pydantic_serializer__.to_json(value, exclude=exclude, fallback=_refuse, warnings=False)
    except (TypeError, ValueError, RecursionError):  # the walk tells what is wrong, if anything is
        return None
    if _KEY in text or (b"null" in text and has_lost(value)):
        return None
    return text


def observation_text(observation: Any) -> bytes | None:
    """``plain_json`` of an observation, without the fields that travel beside it.

    Args:
        observation: An author's object, or its text as ``Raw``.
    """
    kind = type(observation)
    if kind is Raw:
        return bytes(observation)
    try:
        write = _write_of[kind]
    except KeyError:
        write = _write_of[kind] = _writer(kind)
    if write is None:
        return plain_json(observation, fields_beside(kind))
    try:
        text: bytes = write(observation)
    except (TypeError, ValueError, RecursionError):
        return None
    return None if _KEY in text or (b"null" in text and has_lost(observation)) else text


def _writer(kind: Any) -> Callable[[Any], bytes] | None:
    """Writes all instances of a class in one pass; ``None`` if each is to be looked at first."""
    beside = fields_beside(kind)
    if not hasattr(kind, "__pydantic_root_model__") or (rich := rich_fields(kind)) is None or not rich <= beside:
        return None
    if kind.model_config.get("extra") == "allow":
        return None
    return partial(kind.__pydantic_serializer__.to_json, exclude=beside, fallback=_refuse, warnings=False)


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__qualname__} is not plain")


def _is_empty(value: Any) -> bool:
    return type(value) is dict and not value


def _rich(cls: type[Any], inside: tuple[type[Any], ...]) -> frozenset[str] | None:
    if not hasattr(cls, "model_fields") or cls.__pydantic_root_model__ or _has_own_schema(cls):
        return None
    decorators = cls.__pydantic_decorators__
    if decorators.field_serializers or decorators.model_serializers or decorators.computed_fields:
        return None
    return frozenset(
        name
        for name, field in cls.model_fields.items()
        if not _plain_annotation(field.annotation, (*inside, cls)) or any(map(_has_schema, field.metadata))
    )


def _plain_model_class(cls: Any, inside: tuple[type[Any], ...]) -> bool:
    if cls in inside:  # it holds itself: its other fields tell
        return True
    if not isinstance(cls, type) or _rich(cls, inside) != frozenset():
        return False
    config: ConfigDict = cls.model_config  # type: ignore[attr-defined]  # a model, or it would not have been plain
    return config.get("extra") != "allow"


def _plain_annotation(kind: Any, inside: tuple[type[Any], ...]) -> bool:
    if kind in _PLAIN:
        return True
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is None:
        return _plain_model_class(kind, inside)
    if origin is Literal:
        return all(type(value) in _PLAIN for value in arguments)
    if origin is typing.Annotated:
        return _plain_annotation(arguments[0], inside) and not any(map(_has_schema, arguments[1:]))
    if origin in (Union, types.UnionType, list):
        return all(_plain_annotation(argument, inside) for argument in arguments)
    return origin is dict and arguments[0] is str and _plain_annotation(arguments[1], inside)


def _has_schema(annotation: Any) -> bool:
    """Whether an annotation such as ``PlainSerializer`` may change what comes out."""
    return hasattr(annotation, "__get_pydantic_core_schema__")


def _has_own_schema(cls: type[BaseModel]) -> bool:
    """Whether an author's class says itself how it is written."""
    method = "__get_pydantic_core_schema__"
    owner = next((base for base in cls.__mro__ if method in vars(base)), None)
    return owner is not None and owner.__module__.split(".")[0] not in ("pydantic", "openenv")
