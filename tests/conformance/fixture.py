"""Everything the official MCP conformance suites call by name; README.md beside it has the table.

openenv serve tests/conformance/fixture.py
"""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, ClassVar

from pydantic import Field

from openenv import Observation
from openenv.environment import ToolEnvironment
from openenv.tools import (
    Elicit,
    ListRoots,
    Sample,
    ToolContext,
    ToolResult,
    completion,
    prompt,
    resource,
    resource_template,
    tool,
)
from openenv.types import AudioContent, ImageContent

# one red pixel, and eight samples of silence
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")
WAV = base64.b64decode("UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA==")
RED = ImageContent(data=PNG, mime_type="image/png")
SILENCE = AudioContent(data=WAV, mime_type="audio/wav")


def _object(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema of a flat object."""
    return {"type": "object", "properties": properties, "required": list(required)}


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}}


def _content(answer: dict[str, Any]) -> dict[str, Any]:
    """What a user filled in; nothing if they declined."""
    found = answer.get("content")
    return found if isinstance(found, dict) else {}


OK = _object(("ok",), ok={"type": "boolean"})
NAME = _object(("name",), name={"type": "string"})
USER = _object(
    ("username", "email"),
    username={"type": "string", "description": "User's response"},
    email={"type": "string", "description": "User's email address"},
)
DEFAULTS = _object(
    name={"type": "string", "default": "John Doe"},
    age={"type": "integer", "default": 30},
    score={"type": "number", "default": 95.5},
    status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    verified={"type": "boolean", "default": True},
)
_THREE = ["option1", "option2", "option3"]
_TITLED = [{"const": "value1", "title": "First Option"}, {"const": "value2", "title": "Second Option"}]
ENUMS = _object(
    untitledSingle={"type": "string", "enum": _THREE},
    titledSingle={"type": "string", "oneOf": _TITLED},
    legacyEnum={"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    untitledMulti={"type": "array", "items": {"type": "string", "enum": _THREE}},
    titledMulti={"type": "array", "items": {"anyOf": _TITLED}},
)
CONTACT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {
        "address": {"$anchor": "addressDef", **_object(street={"type": "string"}, city={"type": "string"})},
    },
    **_object(
        name={"type": "string"},
        address={"$ref": "#/$defs/address"},
        contactMethod={"type": "string", "enum": ["phone", "email"]},
        phone={"type": "string"},
        email={"type": "string"},
    ),
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


class ContentTools:
    """Tools that return content of each kind, and what they say while they run."""

    @tool
    def test_simple_text(self) -> str:
        """Return a text."""
        return "This is a simple text response for testing."

    @tool
    def test_image_content(self) -> ImageContent:
        """Return an image."""
        return RED

    @tool
    def test_audio_content(self) -> AudioContent:
        """Return a sound."""
        return SILENCE

    @tool
    def test_embedded_resource(self) -> ToolResult:
        """Return a resource."""
        return ToolResult([_embedded("test://embedded-resource", "This is an embedded resource content.")])

    @tool
    def test_multiple_content_types(self) -> ToolResult:
        """Return a text, an image and a resource."""
        data = json.dumps({"test": "data", "value": 123})
        resource = _embedded("test://mixed-content-resource", data, "application/json")
        return ToolResult(["Multiple content types test:", RED, resource])

    @tool
    def test_error_handling(self) -> str:
        """Fail."""
        raise ValueError("This tool intentionally returns an error for testing")

    @tool
    def test_tool_with_logging(self, context: ToolContext) -> str:
        """Log three lines."""
        for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            context.log(line)
        return "logged"

    @tool
    def test_logging_tool(self, context: ToolContext) -> str:
        """Log one line."""
        context.log("a line")
        return "logged"

    @tool
    async def test_tool_with_progress(self, context: ToolContext) -> str:
        """Report progress three times."""
        for done in (0, 50, 100):
            context.progress(done, 100)
        return "done"

    @tool
    def test_reconnection(self, context: ToolContext) -> str:
        """Answer after the stream was closed, where it can be."""
        context.log("Reconnection test completed")
        return "Reconnection test completed"

    @tool(input_schema=CONTACT)
    def json_schema_2020_12_tool(self, name: str = "", phone: str = "", email: str = "") -> str:
        """Take what a schema with many keywords describes."""
        return f"{name}: {phone or email}"

    @tool
    def test_custom_headers(
        self, region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})], query: str = ""
    ) -> str:
        """Take an argument that also comes as a header."""
        return f"{region}: {query}"


class AskingTools:
    """Tools that ask the client, its model or its user."""

    @tool
    def test_sampling(self, prompt: str, context: ToolContext) -> str:
        """Ask the client's model."""
        answer = context.ask(response=Sample(prompt, 100))["response"]
        return f"LLM response: {json.dumps(answer.get('content'))}"

    @tool
    def test_elicitation(self, message: str, context: ToolContext) -> str:
        """Ask the user."""
        return f"User response: {json.dumps(context.ask(user=Elicit(message, USER))['user'])}"

    @tool
    def test_elicitation_sep1034_defaults(self, context: ToolContext) -> str:
        """Ask with defaults."""
        return self._told(context.ask(form=Elicit("Please check these values", DEFAULTS))["form"])

    @tool
    def test_elicitation_sep1330_enums(self, context: ToolContext) -> str:
        """Ask with choices."""
        return self._told(context.ask(form=Elicit("Please choose", ENUMS))["form"])

    @staticmethod
    def _told(answer: dict[str, Any]) -> str:
        return f"Elicitation completed: action={answer.get('action')}, content={json.dumps(answer.get('content'))}"

    @tool
    def test_missing_capability(self, context: ToolContext) -> str:
        """Need a client with sampling."""
        return json.dumps(context.ask(words=Sample("Say something", 10))["words"])

    @tool
    def test_streaming_elicitation(self, context: ToolContext) -> str:
        """Report progress, then ask."""
        context.progress(1, 2)
        return json.dumps(context.ask(user=Elicit("What is your name?", NAME))["user"])

    @tool
    def test_input_required_result_elicitation(self, context: ToolContext) -> str:
        """Greet the user by name."""
        answer = context.ask(user_name=Elicit("What is your name?", NAME))["user_name"]
        return f"Hello, {_content(answer).get('name', 'nobody')}!"

    @tool
    def test_input_required_result_sampling(self, context: ToolContext) -> str:
        """Ask the client's model about France."""
        answer = context.ask(capital_question=Sample("What is the capital of France?", 100))["capital_question"]
        return json.dumps(answer.get("content"))

    @tool
    def test_input_required_result_list_roots(self, context: ToolContext) -> str:
        """Tell the client's roots."""
        return json.dumps(context.ask(client_roots=ListRoots())["client_roots"].get("roots"))

    @tool
    def test_input_required_result_request_state(self, context: ToolContext) -> str:
        """Tell that the state came back as it went."""
        answer = context.ask(confirm=Elicit("Please confirm", OK))["confirm"]
        return f"state-ok: {_content(answer).get('ok')}"

    @tool
    def test_input_required_result_multiple_inputs(self, context: ToolContext) -> str:
        """Ask three things at once."""
        name, greeting = Elicit("What is your name?", NAME), Sample("Generate a greeting", 50)
        return json.dumps(context.ask(user_name=name, greeting=greeting, client_roots=ListRoots()))

    @tool
    def test_input_required_result_multi_round(self, context: ToolContext) -> str:
        """Ask one thing after another."""
        first = context.ask(step1=Elicit("Step 1: What is your name?", NAME))["step1"]
        color = _object(("color",), color={"type": "string"})
        second = context.ask(step2=Elicit("Step 2: What is your favorite color?", color))["step2"]
        return f"{_content(first).get('name')} likes {_content(second).get('color')}"

    @tool
    def test_input_required_result_tampered_state(self, context: ToolContext) -> str:
        """Ask, with a state that must come back unchanged."""
        return json.dumps(context.ask(confirm=Elicit("Please confirm", OK))["confirm"])

    @tool
    def test_input_required_result_capabilities(self, context: ToolContext) -> str:
        """Ask only what the client can be asked."""
        questions = {"user_name": Elicit("What is your name?", NAME), "greeting": Sample("Generate a greeting", 50)}
        possible = {name: one for name, one in questions.items() if one.capability in context.capabilities}
        return json.dumps(context.ask(**possible))


class Resources:
    """What can be read, asked for and completed."""

    @resource("test://static-text", mime_type="text/plain")
    def static_text(self) -> str:
        """A text."""
        return "This is the content of the static text resource."

    @resource("test://static-binary", mime_type="image/png")
    def static_binary(self) -> bytes:
        """An image."""
        return PNG

    @resource("test://watched-resource", mime_type="text/plain")
    def watched_resource(self) -> str:
        """What can be subscribed to."""
        return "watched"

    @resource_template("test://template/{id}/data", mime_type="application/json")
    def template_data(self, id: str) -> str:
        """Data by id."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @prompt
    def test_simple_prompt(self) -> str:
        """A prompt without arguments."""
        return "This is a simple prompt for testing."

    @prompt
    def test_prompt_with_arguments(self, arg1: str, arg2: str) -> str:
        """A prompt with two arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @completion("test_prompt_with_arguments", "arg1")
    def arg1(self, typed: str) -> list[str]:
        """Places that begin as typed."""
        return [word for word in ("paris", "park", "party") if word.startswith(typed)]

    @prompt
    def test_prompt_with_embedded_resource(self, resourceUri: str) -> list[dict[str, Any]]:
        """A prompt that holds a resource."""
        resource = _embedded(resourceUri, "Embedded resource content for testing.")
        ask = {"type": "text", "text": "Please process the embedded resource above."}
        return [{"role": "user", "content": resource}, {"role": "user", "content": ask}]

    @prompt
    def test_prompt_with_image(self) -> list[dict[str, Any]]:
        """A prompt that holds an image."""
        ask = {"type": "text", "text": "Please analyze the image above."}
        return [{"role": "user", "content": RED}, {"role": "user", "content": ask}]

    @prompt
    def test_input_required_result_prompt(self, context: ToolContext) -> str:
        """A prompt that asks the user first."""
        schema = _object(("context",), context={"type": "string"})
        answer = context.ask(user_context=Elicit("What context should the prompt use?", schema))["user_context"]
        return f"Use this context: {_content(answer).get('context')}"


class Conformance(ContentTools, AskingTools, Resources, ToolEnvironment):
    """All of it, with lists that change."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True
    search_tools: ClassVar[bool | None] = False  # the suites look for their tools in the list, however long it is
    has_more_tools = has_more_prompts = False

    def reset(self, seed: int | None = None) -> Observation:
        self.has_more_tools = self.has_more_prompts = False
        return Observation()

    @tool
    def test_trigger_tool_change(self) -> str:
        """Add a tool, or take it away again."""
        self.has_more_tools = not self.has_more_tools
        return "the list of tools is another one"

    @tool
    def test_trigger_prompt_change(self) -> str:
        """Add a prompt, or take it away again."""
        self.has_more_prompts = not self.has_more_prompts
        return "the list of prompts is another one"

    @tool(visible=lambda environment: environment.has_more_tools)
    def added_tool(self) -> str:
        """Be there now and then."""
        return "here"

    @prompt(visible=lambda environment: environment.has_more_prompts)
    def added_prompt(self) -> str:
        """Be there now and then."""
        return "here"
