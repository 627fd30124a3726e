"""Tools on the wire, by their older path, and the JSON-RPC messages that older clients send."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer

from openenv.tools import (
    RESERVED_NAMES,
    CallToolAction,
    CallToolObservation,
    ListToolsAction,
    ListToolsObservation,
    ToolError,
    ToolErrorType,
)
from openenv.tools import ToolInfo as Tool

__all__ = [
    "RESERVED_TOOL_NAMES",
    "CallToolAction",
    "CallToolObservation",
    "JsonRpcError",
    "JsonRpcErrorCode",
    "JsonRpcRequest",
    "JsonRpcResponse",
    "ListToolsAction",
    "ListToolsObservation",
    "McpMethod",
    "Tool",
    "ToolError",
    "ToolErrorType",
    "WSMCPMessage",
    "WSMCPResponse",
]

RESERVED_TOOL_NAMES = RESERVED_NAMES


class JsonRpcErrorCode(IntEnum):
    """Codes of JSON-RPC's errors."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    SERVER_ERROR = -32000


class McpMethod(str, Enum):  # noqa: UP042 - an older client may rely on how it prints
    """Methods that older clients call."""

    TOOLS_LIST = "tools/list"
    TOOLS_CALL = "tools/call"


_WORDS = {
    JsonRpcErrorCode.PARSE_ERROR: "Parse error",
    JsonRpcErrorCode.INVALID_REQUEST: "Invalid Request",
    JsonRpcErrorCode.METHOD_NOT_FOUND: "Method not found",
    JsonRpcErrorCode.INVALID_PARAMS: "Invalid params",
    JsonRpcErrorCode.INTERNAL_ERROR: "Internal error",
}


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class JsonRpcError(_Message):
    """Why there is no result."""

    code: int
    message: str
    data: Any = None

    @classmethod
    def from_code(cls, code: JsonRpcErrorCode, message: str | None = None, data: Any = None) -> JsonRpcError:
        """An error of a code, with its usual words unless others are given."""
        return cls(code=int(code), message=message or _WORDS.get(code, "Server error"), data=data)


class JsonRpcRequest(_Message):
    """A request, or without an id a notification."""

    jsonrpc: Literal["2.0"]
    method: str
    params: dict[str, Any] = Field(default_factory=dict)
    id: str | int | None = None


class JsonRpcResponse(_Message):
    """An answer: it has a result or an error, and is written without the other."""

    jsonrpc: Literal["2.0"] = "2.0"
    result: Any = None
    error: JsonRpcError | None = None
    id: str | int | None = None

    @model_serializer
    def _one_of_both(self) -> dict[str, Any]:
        told: dict[str, Any] = {"jsonrpc": self.jsonrpc, "id": self.id}
        if self.error is None:
            return {**told, "result": self.result}
        return {**told, "error": self.error.model_dump(exclude_none=True)}

    @classmethod
    def success(cls, result: Any, request_id: str | int | None = None) -> JsonRpcResponse:
        """An answer with a result."""
        return cls(result=result, id=request_id)

    @classmethod
    def error_response(
        cls,
        code: JsonRpcErrorCode,
        message: str | None = None,
        data: Any = None,
        request_id: str | int | None = None,
    ) -> JsonRpcResponse:
        """An answer with an error."""
        return cls(error=JsonRpcError.from_code(code, message, data), id=request_id)


class WSMCPMessage(_Message):
    """A JSON-RPC message in a frame of ``/ws``."""

    type: Literal["mcp"] = "mcp"
    data: dict[str, Any]


class WSMCPResponse(_Message):
    """Its answer."""

    type: str = "mcp"
    data: dict[str, Any]
