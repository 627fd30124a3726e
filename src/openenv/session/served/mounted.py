"""Environments with outside MCP servers mounted, which whoever serves them has named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openenv.environment.plan import class_of_factory
from openenv.errors import ConfigurationError

if TYPE_CHECKING:
    from openenv.mounts import OutsideServer

__all__ = ["mounting"]


def mounting(factory: Callable[[], Any], servers: Sequence[Mapping[str, Any]]) -> Callable[[], Any]:
    """What builds the same environments with outside servers mounted.

    Args:
        factory: A class of tool environments, or a function that makes one.
        servers: Each as ``ServerDescription.of`` takes it, and its ``name``.

    Returns:
        A class, where one is given; of a function, it is seen to be one of tool environments when it is called.

    Raises:
        ConfigurationError: It is no tool environment, or a server cannot be described so.
    """
    from openenv.environment import with_toolsets
    from openenv.mounts import OutsideServer, ServerDescription  # here: most servers mount none

    names = [str(one["name"]) for one in servers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"two MCP servers are named {', '.join(twice)}; name one otherwise")
    toolsets = [
        OutsideServer.of(ServerDescription.of(name, {key: value for key, value in one.items() if key != "name"}))
        for name, one in zip(names, servers, strict=True)
    ]
    if isinstance(factory, type):
        return with_toolsets(factory, toolsets)
    known = class_of_factory(factory)
    classes: dict[type[Any], type[Any]] = {}

    def build() -> Any:
        made = factory()
        cls = type(made)
        if cls not in classes:
            classes[cls] = with_toolsets(cls, toolsets)
        return _mounted(made, classes[cls], toolsets)

    if known is not None:  # as the factory tells it
        build.__annotations__["return"] = classes.setdefault(known, with_toolsets(known, toolsets))
    return build


def _mounted(made: Any, cls: type[Any], toolsets: Sequence[OutsideServer]) -> Any:
    """An environment that was made already, as one of the class with the toolsets."""
    from openenv.environment.tool_book import book_of

    made.__class__ = cls
    toolbox = book_of(made).toolbox
    there = {one.name for one in toolbox.toolsets}
    toolbox.toolsets.extend(
        one.fresh() for one in toolsets if one.name not in there
    )  # its constructor may have begun it
    return made
