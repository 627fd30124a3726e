"""What a tool is: its schemas, the check of its arguments, its results, and how all that looks on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.tools.actions import (
        CallToolAction,
        CallToolObservation,
        ListToolsAction,
        ListToolsObservation,
        ToolError,
        ToolErrorType,
        ToolInfo,
    )
    from openenv.tools.asking import Elicit, ListRoots, Sample
    from openenv.tools.context import CallCancelled, ToolContext
    from openenv.tools.definition import RESERVED_NAMES, Tool
    from openenv.tools.exports import as_anthropic_tools, as_openai_tools
    from openenv.tools.marking import completion, prompt, resource, resource_template, tool
    from openenv.tools.modes import Mode
    from openenv.tools.notes import Changed, Logged, Note, Progressed
    from openenv.tools.results import NoJSONForm, ToolResult, block_of, result_of
    from openenv.tools.signature import BadArguments, Signature
    from openenv.tools.toolset import Toolset

_HOME = {
    "RESERVED_NAMES": "openenv.tools.definition",
    "BadArguments": "openenv.tools.signature",
    "CallCancelled": "openenv.tools.context",
    "CallToolAction": "openenv.tools.actions",
    "CallToolObservation": "openenv.tools.actions",
    "Changed": "openenv.tools.notes",
    "Elicit": "openenv.tools.asking",
    "ListRoots": "openenv.tools.asking",
    "ListToolsAction": "openenv.tools.actions",
    "ListToolsObservation": "openenv.tools.actions",
    "Logged": "openenv.tools.notes",
    "Mode": "openenv.tools.modes",
    "NoJSONForm": "openenv.tools.results",
    "Note": "openenv.tools.notes",
    "Progressed": "openenv.tools.notes",
    "Sample": "openenv.tools.asking",
    "Signature": "openenv.tools.signature",
    "Tool": "openenv.tools.definition",
    "ToolContext": "openenv.tools.context",
    "ToolError": "openenv.tools.actions",
    "ToolErrorType": "openenv.tools.actions",
    "ToolInfo": "openenv.tools.actions",
    "ToolResult": "openenv.tools.results",
    "Toolset": "openenv.tools.toolset",
    "as_anthropic_tools": "openenv.tools.exports",
    "as_openai_tools": "openenv.tools.exports",
    "block_of": "openenv.tools.results",
    "completion": "openenv.tools.marking",
    "prompt": "openenv.tools.marking",
    "resource": "openenv.tools.marking",
    "resource_template": "openenv.tools.marking",
    "result_of": "openenv.tools.results",
    "tool": "openenv.tools.marking",
}

__all__ = [
    "RESERVED_NAMES",
    "BadArguments",
    "CallCancelled",
    "CallToolAction",
    "CallToolObservation",
    "Changed",
    "Elicit",
    "ListRoots",
    "ListToolsAction",
    "ListToolsObservation",
    "Logged",
    "Mode",
    "NoJSONForm",
    "Note",
    "Progressed",
    "Sample",
    "Signature",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolErrorType",
    "ToolInfo",
    "ToolResult",
    "Toolset",
    "as_anthropic_tools",
    "as_openai_tools",
    "block_of",
    "completion",
    "prompt",
    "resource",
    "resource_template",
    "result_of",
    "tool",
]

__getattr__ = on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
