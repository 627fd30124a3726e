"""Decorators with which a class says what it offers besides its methods: tools, resources, prompts, completions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from openenv.errors import ConfigurationError
from openenv.tools.modes import Mode

__all__ = [
    "Mark",
    "check_visible",
    "completion",
    "is_visible",
    "marked",
    "prompt",
    "resource",
    "resource_template",
    "tool",
]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK = "__openenv_offer__"


@dataclass(frozen=True)
class Mark:
    """What a decorator noted on a function.

    Attributes:
        kind: ``tool``, ``resource``, ``resource_template``, ``prompt`` or ``completion``.
        options: What the decorator was given.
    """

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


def marked(function: Any) -> Mark | None:
    """The mark of a function, if it has one."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Mark) else None


def check_visible(what: str, visible: Any) -> None:
    """Whether an option ``visible`` is one; ``what`` names where it stands, such as ``tool open``.

    Raises:
        ConfigurationError: It is no function, or one that is awaited.
    """
    example = "a function of the environment, such as lambda self: self.is_open"
    if visible is not None and not callable(visible):
        raise ConfigurationError(f"{what}: visible must be {example}, not {visible!r}")
    if any(inspect.iscoroutinefunction(one) for one in (visible, getattr(visible, "__call__", None))):  # noqa: B004
        raise ConfigurationError(f"{what}: visible is not awaited; make it {example}, without async")


def is_visible(visible: Callable[[Any], bool] | None, environment: Any) -> bool:
    """Ask an option ``visible``.

    Raises:
        ConfigurationError: What it returns is to be awaited.
    """
    if visible is None:
        return True
    said: Any = visible(environment)
    if inspect.isawaitable(said):  # which would always be true
        if inspect.iscoroutine(said):
            said.close()
        raise ConfigurationError("it returns what is to be awaited, where a bool is needed")
    return bool(said)


_OPTIONS = {
    "tool": (
        "name", "title", "description", "annotations", "meta", "mode", "visible", "timeout_s", "input_schema",
        "output_schema",
    ),
    "prompt": ("name", "title", "description", "visible"),
}  # fmt: skip
"""What those decorators take that are written with and without options."""


def _marking(kind: str, **options: Any) -> Callable[[FunctionT], FunctionT]:
    def mark(function: FunctionT) -> FunctionT:
        if not (inspect.isfunction(function) or isinstance(function, staticmethod | classmethod)):
            raise ConfigurationError(
                f"@{kind} marks a method, not {function!r:.80}; write @{kind} right above def, and options by name: "
                f"@{kind}(name=...)"
            )
        unknown = [name for name in options if name not in _OPTIONS.get(kind, options)]
        if unknown:
            raise ConfigurationError(
                f"{kind} {function.__name__}: @{kind} has no option {', '.join(unknown)}; it has "
                f"{', '.join(_OPTIONS[kind])}"
            )
        setattr(function, _MARK, Mark(kind, {name: value for name, value in options.items() if value is not None}))
        return function

    return mark


@overload
def tool(function: FunctionT, /) -> FunctionT: ...
@overload
def tool(
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
    annotations: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    mode: Mode | None = None,
    visible: Callable[[Any], bool] | None = None,
    timeout_s: float | None = None,
    input_schema: Mapping[str, Any] | None = None,
    output_schema: Mapping[str, Any] | None = None,
) -> Callable[[FunctionT], FunctionT]: ...
def tool(function: Any = None, /, **options: Any) -> Any:
    """Make a method of a ``ToolEnvironment`` a tool. Types and docstring become its schema.

    The docstring may tell of arguments in the style of Google (``Args:``), NumPy (``Parameters`` above dashes) or
    Sphinx (``:param name:``).

    Args:
        name: What it is called by; the method's name if not given.
        title: Its name for people.
        description: What it does; else the docstring.
        annotations: MCP's hints, such as ``{"readOnlyHint": True}``.
        meta: MCP's ``_meta``.
        mode: ``simulation`` or ``production``, if it is there in one of them only.
        visible: Given the environment, whether the tool is there now.
        timeout_s: Seconds that a call may take, above 0.
        input_schema, output_schema: JSON Schemas instead of those that the types tell.
    """
    return _marking("tool", **options) if function is None else _marking("tool")(function)


def resource(
    uri: str,
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
    mime_type: str | None = None,
    visible: Callable[[Any], bool] | None = None,
) -> Callable[[FunctionT], FunctionT]:
    """Make a method a resource that clients can read: it returns text or bytes.

    Args:
        uri: What it is read by, such as ``episode://task``.
        name: Its name; the method's if not given.
        title: Its name for people.
        description: What it holds; else the docstring.
        mime_type: What it is; ``text/plain`` or ``application/octet-stream`` if not given.
        visible: Given the environment, whether it is there now.
    """
    return _marking(
        "resource", uri=uri, name=name, title=title, description=description, mime_type=mime_type, visible=visible
    )


def resource_template(
    uri: str,
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
    mime_type: str | None = None,
    visible: Callable[[Any], bool] | None = None,
) -> Callable[[FunctionT], FunctionT]:
    """Make a method the resources of a family: ``file:///{path}`` is read as the method with ``path``.

    Args:
        uri: With a name in braces for each argument of the method; ``{path*}`` takes slashes too.
        name, title, description, mime_type, visible: As of ``resource``.
    """
    return _marking(
        "resource_template",
        uri=uri,
        name=name,
        title=title,
        description=description,
        mime_type=mime_type,
        visible=visible,
    )


@overload
def prompt(function: FunctionT, /) -> FunctionT: ...
@overload
def prompt(
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
    visible: Callable[[Any], bool] | None = None,
) -> Callable[[FunctionT], FunctionT]: ...
def prompt(function: Any = None, /, **options: Any) -> Any:
    """Make a method a prompt: it returns a text, a content block, or messages ``{"role", "content"}``.

    Args:
        name: What it is asked for by; the method's name if not given.
        title: Its name for people.
        description: What it is for; else the docstring.
        visible: Given the environment, whether it is there now.
    """
    return _marking("prompt", **options) if function is None else _marking("prompt")(function)


def completion(target: str, argument: str) -> Callable[[FunctionT], FunctionT]:
    """Make a method what completes an argument: given what is typed so far, it returns texts that it may become.

    A second parameter, if it has one, gets the arguments that are known already, by name.

    Args:
        target: Name of a prompt, or URI of a resource template.
        argument: Name of its argument.
    """
    return _marking("completion", target=target, argument=argument)
