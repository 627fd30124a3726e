"""What a class offers by its decorated methods, read once per class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from openenv.errors import ConfigurationError
from openenv.tools import Signature, Tool
from openenv.tools.marking import Mark, check_visible, is_visible, marked

__all__ = ["Completer", "Method", "Offered", "has_awaited_methods", "offered_by"]


@dataclass(frozen=True)
class Method:
    """A resource, a family of them, or a prompt.

    Attributes:
        name: What it is called by.
        function: Called with the environment first.
        signature: What else it takes.
        told: What the decorator was given besides.
        visible: Given the environment, whether it is there now.
    """

    name: str
    function: Callable[..., Any]
    signature: Signature
    told: dict[str, Any]
    visible: Callable[[Any], bool] | None = None

    def is_there(self, environment: Any) -> bool:
        """Whether it can be asked for now."""
        return is_visible(self.visible, environment)

    @property
    def uri(self) -> str:
        """Of a resource."""
        return str(self.told["uri"])


@dataclass(frozen=True)
class Completer:
    """What completes an argument of a prompt or of a family of resources."""

    target: str
    argument: str
    function: Callable[..., Any]
    takes_known: bool


@dataclass
class Offered:
    """All that a class offers by methods, in the order in which they are written, base classes first."""

    tools: list[Tool] = field(default_factory=list)
    resources: list[Method] = field(default_factory=list)
    templates: list[Method] = field(default_factory=list)
    prompts: list[Method] = field(default_factory=list)
    completers: list[Completer] = field(default_factory=list)

    @property
    def can_change(self) -> bool:
        """Whether something beside tools is there at one time and not at another."""
        methods = (*self.resources, *self.templates, *self.prompts)
        return any(one.visible is not None for one in methods)


def has_awaited_methods(cls: type[Any]) -> bool:
    """Whether something that a class offers has to be awaited."""
    return any(inspect.iscoroutinefunction(function) for _, function, _ in _marked_methods(cls))


def offered_by(cls: type[Any]) -> Offered:
    """What a class offers by methods.

    Raises:
        TypeNotKnown: A type is named that is not known, or not yet.
        ConfigurationError: Something has no schema, or a name is taken.
    """
    found = _known.get(cls)
    if found is None:
        found = _known[cls] = _read(cls)
    return found


_known: WeakKeyDictionary[type[Any], Offered] = WeakKeyDictionary()


def _read(cls: type[Any]) -> Offered:
    offered = Offered()
    for name, function, mark in _marked_methods(cls):
        options = dict(mark.options)
        match mark.kind:
            case "tool":
                offered.tools.append(Tool.of(function, skip=1, **{"name": name, **options}))
            case "completion":
                takes = len(inspect.signature(function).parameters)
                offered.completers.append(Completer(options["target"], options["argument"], function, takes > 2))
            case kind:
                visible = options.pop("visible", None)
                signature = Signature.of(function, skip=1)
                own = options.pop("name", name)
                check_visible(f"{kind} {own}", visible)
                options.setdefault("description", signature.description or None)
                home = {"resource": offered.resources, "resource_template": offered.templates}.get(kind)
                (offered.prompts if home is None else home).append(Method(own, function, signature, options, visible))
    _no_clash([one.name for one in offered.prompts], f"prompts of {cls.__name__}", "name")
    _no_clash([one.uri for one in offered.resources], f"resources of {cls.__name__}", "URI")
    return offered


def _marked_methods(cls: type[Any]) -> Iterator[tuple[str, Callable[..., Any], Mark]]:
    """Names, functions and marks; a method that overrides a marked one without a mark has the mark of that."""
    names: dict[str, Mark] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            for one in (value, *(getattr(value, wrapped, None) for wrapped in _WRAPPED)):
                mark = marked(one)
                if mark is not None:
                    names[name] = mark
                    break
    for name, mark in names.items():
        function = inspect.getattr_static(cls, name)
        if function is None:  # name = None in a subclass takes it away
            continue
        if not inspect.isfunction(function):
            raise ConfigurationError(
                f"{cls.__name__}.{name} is marked as {mark.kind}, but it is no plain method; write it as "
                f"def {name}(self, ...)"
            )
        yield name, function, mark


_WRAPPED = ("__func__", "fget", "func")
"""Where static methods, class methods and properties have their function."""


def _no_clash(names: list[str], what: str, kind: str) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigurationError(f"two {what} have the {kind} {', '.join(sorted(twice))}; give one another {kind}")
