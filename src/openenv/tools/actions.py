"""What tools look like as actions and observations: the same on every transport, and as in older versions."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_serializer, model_serializer

from openenv.types import Action, Observation

__all__ = [
    "CallToolAction",
    "CallToolObservation",
    "ListToolsAction",
    "ListToolsObservation",
    "ToolError",
    "ToolErrorType",
    "ToolInfo",
]


class ToolErrorType(StrEnum):
    """Why a call has no result of its tool's own."""

    EXECUTION_ERROR = "execution_error"
    INVALID_ARGS = "invalid_args"
    TRANSPORT_ERROR = "transport_error"
    TOOL_NOT_FOUND = "tool_not_found"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class ToolError(BaseModel):
    """Why a call has no result, with a message that a model can act on."""

    error_type: ToolErrorType
    message: str

    @field_serializer("error_type")
    def _as_text(self, error_type: ToolErrorType) -> str:
        return error_type.value  # plain text on every transport, not the enum that protocol v2 would keep


class ToolInfo(BaseModel):
    """One tool as ``list_tools`` tells it.

    Attributes:
        name: What it is called by.
        description: What it does; may be empty.
        input_schema: JSON Schema of its arguments, an object.
        output_schema: JSON Schema of its structured result, if it has one.
        annotations: MCP's hints, such as ``{"readOnlyHint": True}``.
    """

    model_config = ConfigDict(extra="allow")

    name: str
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    title: str | None = None
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None

    @model_serializer(mode="wrap")
    def _without_blanks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = handler(self)
        return {name: value for name, value in told.items() if value is not None}


class ListToolsAction(Action):
    """Ask which tools there are. It is legal at any time and is no step."""

    type: Literal["list_tools"] = "list_tools"


class CallToolAction(Action):
    """Call a tool.

    Attributes:
        tool_name: Which.
        arguments: By name, as its ``input_schema`` says.
        inputs: Answers to what the tool asked when it was called before; see ``InputNeeded``.
        capabilities: What else the caller can be asked, by MCP's names, such as ``{"elicitation": {}}``.
    """

    type: Literal["call_tool"] = "call_tool"
    tool_name: str = Field(min_length=1, description="Name of the tool.")
    arguments: dict[str, Any] = Field(default_factory=dict, description="Its arguments, by name.")
    inputs: dict[str, Any] = Field(default_factory=dict, description="Answers to what the tool asked before.")
    capabilities: dict[str, Any] = Field(default_factory=dict, description="What the caller can be asked.")

    @model_serializer(mode="wrap")
    def _without_blanks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = handler(self)
        for name in ("inputs", "capabilities"):  # which older servers do not know
            if not told.get(name):
                told.pop(name, None)
        return told


class ListToolsObservation(Observation):
    """The tools that there are now."""

    tools: list[ToolInfo] = Field(default_factory=list)


class CallToolObservation(Observation):
    """What came of a call.

    Attributes:
        tool_name: What was called.
        result: ``content``, ``structured_content``, ``meta``, ``data`` and ``is_error``; ``None`` after an error.
        error: Why there is no result.
    """

    tool_name: str = ""
    result: Any = None
    error: ToolError | None = None
