"""Tools as the APIs of models take them."""

from __future__ import annotations

from typing import Any

import pytest

from openenv import as_anthropic_tools, as_openai_tools
from openenv.errors import ConfigurationError
from openenv.tools import Tool, ToolInfo

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORMS: list[Any] = [
    ToolInfo(name="add", description="Adds.", input_schema=SCHEMA),
    Tool("add", "Adds.", SCHEMA),
    {"name": "add", "description": "Adds.", "input_schema": SCHEMA},
    {"name": "add", "description": "Adds.", "inputSchema": SCHEMA},
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_tool_is_taken(form: Any) -> None:
    function = {"name": "add", "description": "Adds.", "parameters": SCHEMA}
    assert as_openai_tools([form]) == [{"type": "function", "function": function}]
    assert as_openai_tools([form], api="responses") == [{"type": "function", **function}]
    assert as_anthropic_tools([form]) == [{"name": "add", "description": "Adds.", "input_schema": SCHEMA}]


def test_a_tool_that_says_little() -> None:
    assert as_anthropic_tools([{"name": "a", "description": None, "inputSchema": {"type": "object"}}]) == [
        {"name": "a", "description": "", "input_schema": {"type": "object", "properties": {}}}
    ]


def test_a_name_that_the_api_does_not_take_is_refused_or_mapped() -> None:
    tools = [{"name": "files/read.all"}, {"name": "files_read_all"}, {"name": "x" * 100}, {"name": "x" * 99}]
    with pytest.raises(ConfigurationError, match=r"files/read\.all"):
        as_openai_tools(tools)
    names: dict[str, str] = {}
    told = [one["name"] for one in as_anthropic_tools(tools, names=names)]
    assert told == ["files_read_all_2", "files_read_all", "x" * 64, "x" * 62 + "_2"]
    assert names == {"files_read_all_2": "files/read.all", "x" * 64: "x" * 100, "x" * 62 + "_2": "x" * 99}


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tools are named a"):
        as_openai_tools([{"name": "a"}, {"name": "a"}])


def test_an_api_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'chat' or 'responses'"):
        as_openai_tools([], api="other")  # type: ignore[arg-type]
