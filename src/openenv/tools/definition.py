"""A tool: a function with a name, schemas and a say in when it is there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from openenv.errors import ConfigurationError
from openenv.tools.marking import check_visible, is_visible
from openenv.tools.modes import Mode
from openenv.tools.signature import Signature

__all__ = ["RESERVED_NAMES", "Tool"]

RESERVED_NAMES = frozenset({"reset", "step", "state", "close"})
"""What controls an episode; no tool is called so."""

_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")


@dataclass(frozen=True)
class Tool:
    """A tool and what is told of it. ``Tool.of`` makes one of a function.

    Attributes:
        name: What it is called by.
        description: What it does; may be empty.
        input_schema: JSON Schema of its arguments, an object.
        output_schema: JSON Schema of its structured result, if it has one.
        wraps: Whether that is of an object with the value under ``result``.
        title: Its name for people.
        annotations: MCP's hints, such as ``{"readOnlyHint": True}``.
        meta: MCP's ``_meta``.
        mode: Where it is there; ``None``: in simulation and in production.
        visible: Given the environment, whether it is there now; ``None``: always.
        timeout_s: Seconds that a call may take; ``None``: any.
        signature: What its function takes, where it is one.
        function: What is called, by keyword; may be a coroutine function.
    """

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    output_schema: Mapping[str, Any] | None = None
    wraps: bool = False
    title: str | None = None
    annotations: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] | None = None
    mode: Mode | None = None
    visible: Callable[[Any], bool] | None = None
    timeout_s: float | None = None
    signature: Signature | None = None
    function: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"tool {self.name!r}: a name has 1 to 128 letters, digits and any of _ . / -, and nothing else"
            )
        if self.name in RESERVED_NAMES:
            raise ConfigurationError(f"a tool cannot be named {self.name}: that controls the episode; rename it")
        if self.timeout_s is not None and not (isinstance(self.timeout_s, int | float) and self.timeout_s > 0):
            raise ConfigurationError(f"tool {self.name}: timeout_s must be above 0, not {self.timeout_s!r}")
        if self.mode not in (None, *get_args(Mode)):
            raise ConfigurationError(f"tool {self.name}: mode must be 'simulation' or 'production', not {self.mode!r}")
        check_visible(f"tool {self.name}", self.visible)
        for what, given in (("annotations", self.annotations), ("meta", self.meta)):
            if given is not None and not isinstance(given, Mapping):
                raise ConfigurationError(f"tool {self.name}: {what} must be a dict, not {given!r}")

    @staticmethod
    def of(
        function: Callable[..., Any],
        *,
        skip: int = 0,
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
    ) -> Tool:
        """A tool of a function; what is not given is told by its signature and docstring.

        Args:
            function: With typed arguments; may be a coroutine function.
            skip: Leading parameters that are not of the caller, such as ``self``.
            **: As the attributes.

        Raises:
            ConfigurationError: A type has no JSON Schema, a default is not of its type, or the name is taken by what
                controls an episode.
        """
        for what, schema in (("input_schema", input_schema), ("output_schema", output_schema)):
            if schema is not None and not (isinstance(schema, Mapping) and schema.get("type") == "object"):
                own = name or getattr(function, "__name__", "tool")
                raise ConfigurationError(f'tool {own}: {what} must be a JSON Schema with "type": "object"')
        signature = Signature.of(function, skip=skip)
        return Tool(
            name=name or str(getattr(function, "__name__", "tool")),
            description=signature.description if description is None else description,
            input_schema=signature.input_schema if input_schema is None else input_schema,
            output_schema=signature.output_schema if output_schema is None else output_schema,
            wraps=signature.wraps and output_schema is None,
            title=title,
            annotations=annotations,
            meta=meta,
            mode=mode,
            visible=visible,
            timeout_s=timeout_s,
            signature=signature,
            function=function,
        )

    @property
    def is_async(self) -> bool:
        """Whether its function is to be awaited."""
        return inspect.iscoroutinefunction(self.function)

    def is_there(self, environment: Any, mode: Mode) -> bool:
        """Whether it can be called now."""
        return self.mode in (None, mode) and is_visible(self.visible, environment)

    def listed(self) -> dict[str, Any]:
        """The tool as MCP lists it."""
        told: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": dict(self.input_schema),
            "outputSchema": None if self.output_schema is None else dict(self.output_schema),
            "annotations": None if self.annotations is None else dict(self.annotations),
            "_meta": None if self.meta is None else dict(self.meta),
        }
        return {key: value for key, value in told.items() if value is not None}
