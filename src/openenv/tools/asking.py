"""What a tool may ask whoever calls it: an answer from its user, words of its model, the roots it works in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel

from openenv.errors import ConfigurationError, InputNeeded

__all__ = ["Elicit", "ListRoots", "Question", "Sample", "asked"]


class Question(Protocol):
    """Something to ask.

    Attributes:
        method: MCP's name for it.
        capability: What a caller has to be able to, by MCP's name.
    """

    method: str
    capability: str

    def params(self) -> dict[str, Any]:
        """What is asked, as MCP has it."""


class Elicit:
    """A question to the user behind the agent.

    The answer is ``{"action": "accept", "content": {...}}``, or ``decline`` or ``cancel`` without content.

    Args:
        message: What is asked.
        schema: What is wanted: a flat pydantic model, or a JSON Schema of an object.
    """

    method = "elicitation/create"
    capability = "elicitation"

    def __init__(self, message: str, schema: type[BaseModel] | Mapping[str, Any]) -> None:
        self.message = message
        self.schema = dict(schema) if isinstance(schema, Mapping) else schema.model_json_schema()

    def params(self) -> dict[str, Any]:
        """What is asked, as MCP has it."""
        return {"message": self.message, "requestedSchema": self.schema}


class Sample:
    """A question to the agent's model. The answer: ``{"role", "content", "model", "stopReason"}``.

    Args:
        messages: A text, or messages as MCP has them: ``{"role": "user", "content": {"type": "text", "text": ...}}``.
        max_tokens: Most tokens of the answer, 1 or more.
        **more: Whatever else MCP takes, such as ``systemPrompt`` or ``temperature``.
    """

    method = "sampling/createMessage"
    capability = "sampling"

    def __init__(self, messages: str | Sequence[Mapping[str, Any]], max_tokens: int = 1000, **more: Any) -> None:
        if max_tokens < 1:
            raise ConfigurationError("max_tokens must be 1 or more")
        if isinstance(messages, str):
            messages = [{"role": "user", "content": {"type": "text", "text": messages}}]
        self.messages, self.max_tokens, self.more = [dict(one) for one in messages], max_tokens, more

    def params(self) -> dict[str, Any]:
        """What is asked, as MCP has it."""
        return {"messages": self.messages, "maxTokens": self.max_tokens, **self.more}


class ListRoots:
    """Which directories the agent works in. The answer: ``{"roots": [{"uri", "name"}, ...]}``."""

    method = "roots/list"
    capability = "roots"

    def params(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def asked(
    questions: Mapping[str, Question], inputs: Mapping[str, Any], capabilities: Mapping[str, Any]
) -> dict[str, Any]:
    """The answers to questions, by name.

    Args:
        questions: What is asked.
        inputs: The answers that are there, among others.
        capabilities: What the caller can be asked.

    Raises:
        InputNeeded: Some are not there. ``details["requests"]`` holds them; ``details["missing_capabilities"]``, if it
            is not empty, what the caller would have to be able to, by MCP's names.
    """
    open_ones = {name: one for name, one in questions.items() if not isinstance(inputs.get(name), Mapping)}
    if not open_ones:
        return {name: inputs[name] for name in questions}
    missing: dict[str, Any] = {one.capability: {} for one in open_ones.values() if one.capability not in capabilities}
    raise InputNeeded(
        "it asks first: " + ", ".join(f"{name} ({one.method})" for name, one in open_ones.items()),
        details={
            "requests": {name: {"method": one.method, "params": one.params()} for name, one in open_ones.items()},
            "missing_capabilities": missing,
        },
    )
