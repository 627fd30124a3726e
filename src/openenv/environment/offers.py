"""What MCP asks beside calls, answered by the methods of an environment in MCP's shapes."""

from __future__ import annotations

import base64
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

from openenv.environment.offered import Method, Offered, offered_by
from openenv.environment.tool_book import book_of
from openenv.environment.toolbox import VisibleFailed
from openenv.errors import InvalidRequest
from openenv.tools import BadArguments, ToolContext, block_of, result_of

__all__ = ["TASK_URI", "announce_changes", "answered", "lists_of"]

TASK_URI = "episode://task"
"""Where an agent reads what is to be done."""

_MOST_VALUES = 100  # of a completion, by MCP's rule
_ABOUT_TASK = {
    "uri": TASK_URI,
    "name": "task",
    "description": "What is to be done in this episode.",
    "mimeType": "text/plain",
}


async def answered(environment: Any, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a tool environment to everything but ``tools/list``.

    Raises:
        InvalidRequest: There is no such thing.
        InputNeeded: Something is asked first.
    """
    answer = _ANSWERS.get(method)
    if answer is None:
        raise InvalidRequest(f"{method} is nothing that an environment answers; it answers {', '.join(_ANSWERS)}")
    found = answer(environment, params)
    return await found if inspect.isawaitable(found) else found


def lists_of(environment: Any) -> dict[str, Any]:
    """What can change of the lists of an environment, by the names of the lists; of one that cannot be had, why."""
    offered, toolbox = _offered(environment), book_of(environment).toolbox
    lists: dict[str, Any] = {"tools": toolbox.version}
    if toolbox.can_change:
        lists["tools"] = (
            toolbox.version,
            _seen(lambda: [one.tool.name for one in toolbox.there(environment, environment.serving_mode)]),
        )
    if toolbox.toolsets:  # which may have other tools, or others of the same names, after a reset
        lists["tools"] = lists["tools"], [tuple(one.tools()) for one in toolbox.toolsets]
    if offered.can_change:
        lists["prompts"] = _seen(lambda: [one.name for one in offered.prompts if _is_there(environment, one)])
        both = (*offered.resources, *offered.templates)
        lists["resources"] = _seen(lambda: [one.uri for one in both if _is_there(environment, one)])
    return lists


def _seen(names: Callable[[], list[str]]) -> list[str] | str:
    try:
        return names()
    except VisibleFailed as error:  # the call, or the reset, has been all the same: who lists is told
        return str(error)


def announce_changes(environment: Any, before: Mapping[str, Any]) -> None:
    """Tell which lists are others than they were."""
    for what, names in lists_of(environment).items():
        if before.get(what) != names:
            environment.announce(what)


def _about(environment: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    offered = _offered(environment)
    capabilities = {
        "resources": bool(offered.resources or offered.templates or environment.task is not None),
        "prompts": bool(offered.prompts),
        "completions": bool(offered.completers),
    }
    told = [one for one in (environment.instructions, environment.task) if one]  # few agents read resources
    return {"instructions": "\n\n".join(told) or None, "capabilities": capabilities}


def _resources(environment: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    found = [_listed(one, "uri") for one in _offered(environment).resources if _is_there(environment, one)]
    if environment.task is not None and all(one["uri"] != TASK_URI for one in found):
        found.insert(0, dict(_ABOUT_TASK))
    return {"resources": found}


def _templates(environment: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    there = [one for one in _offered(environment).templates if _is_there(environment, one)]
    return {"resourceTemplates": [_listed(one, "uriTemplate") for one in there]}


async def _read(environment: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    uri = params.get("uri")
    if not isinstance(uri, str):
        raise InvalidRequest("resources/read needs the uri of a resource")
    offered = _offered(environment)
    for one in offered.resources:
        if one.uri == uri and _is_there(environment, one):
            return _contents(uri, one, await _given(environment, one, {}, params))
    if uri == TASK_URI and environment.task is not None:
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": environment.task}]}
    for one in offered.templates:
        match = _pattern(one.uri).fullmatch(uri)
        if match is not None and _is_there(environment, one):
            arguments = {name: unquote(value) for name, value in match.groupdict().items()}
            return _contents(uri, one, await _given(environment, one, arguments, params))
    raise InvalidRequest(f"there is no resource {uri}", details={"uri": uri})


def _contents(uri: str, one: Method, returned: Any) -> dict[str, Any]:
    if isinstance(returned, dict) and "contents" in returned:
        return returned
    mime_type = one.told.get("mime_type")
    if isinstance(returned, bytes | bytearray | memoryview):
        blob = base64.b64encode(returned).decode()
        return {"contents": [{"uri": uri, "mimeType": mime_type or "application/octet-stream", "blob": blob}]}
    is_text = isinstance(returned, str)
    text = returned if is_text else result_of(returned, has_schema=True, wraps=False)["content"][0]["text"]
    default = "text/plain" if is_text else "application/json"
    return {"contents": [{"uri": uri, "mimeType": mime_type or default, "text": text}]}


def _prompts(environment: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "prompts": [
            {**_listed(one, None), "arguments": _arguments(one)}
            for one in _offered(environment).prompts
            if _is_there(environment, one)
        ]
    }


def _arguments(one: Method) -> list[dict[str, Any]]:
    schema = one.signature.input_schema
    return [
        {
            "name": name,
            **({"description": told["description"]} if "description" in told else {}),
            "required": name in schema.get("required", ()),
        }
        for name, told in schema.get("properties", {}).items()
    ]


async def _prompt(environment: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    one = _prompt_named(environment, params.get("name"))
    returned = await _given(environment, one, params.get("arguments") or {}, params)
    messages = returned if isinstance(returned, list | tuple) else [returned]
    answer: dict[str, Any] = {"messages": [_message(message) for message in messages]}
    if one.told.get("description"):
        answer["description"] = one.told["description"]
    return answer


def _prompt_named(environment: Any, name: Any) -> Method:
    there = [one for one in _offered(environment).prompts if _is_there(environment, one)]
    for one in there:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in there) or "none"
    raise InvalidRequest(f"there is no prompt {name!r}; there are: {known}")


def _message(message: Any) -> dict[str, Any]:
    if isinstance(message, Mapping) and "role" in message:
        return {"role": message["role"], "content": block_of(message.get("content", ""))}
    return {"role": "user", "content": block_of(message)}


async def _complete(environment: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    reference, argument, context = (_object(params, name) for name in ("ref", "argument", "context"))
    offered = _offered(environment)
    if reference.get("type") == "ref/prompt":
        target = _prompt_named(environment, reference.get("name")).name
    else:
        target = _shown_uri(str(reference.get("uri")))
        if target not in {_shown_uri(one.uri) for one in (*offered.templates, *offered.resources)}:
            raise InvalidRequest(f"there is no resource template {target!r} to complete")
    values: list[str] = []
    for one in offered.completers:
        if target in (one.target, _shown_uri(one.target)) and one.argument == argument.get("name"):
            known = _object(context, "arguments")
            more = (known,) if one.takes_known else ()
            values = [
                str(value) for value in await _awaited(one.function, environment, str(argument.get("value", "")), *more)
            ]
    shown = values[:_MOST_VALUES]
    return {"completion": {"values": shown, "total": len(values), "hasMore": len(values) > len(shown)}}


def _object(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = params.get(name) or {}
    if not isinstance(found, Mapping):
        raise InvalidRequest(f"{name!r} must be an object")
    return found


async def _given(environment: Any, one: Method, arguments: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """What a method returns for arguments that are all text.

    Raises:
        InvalidRequest: They do not fit.
    """
    try:
        checked = one.signature.checked(arguments)
    except BadArguments as error:
        raise InvalidRequest(f"{one.name}: {error}") from None
    if one.signature.context is not None:
        inputs, capabilities = params.get("inputs"), params.get("capabilities")
        checked[one.signature.context] = ToolContext(
            inputs, capabilities, environment.note_sink, environment.is_cancelled
        )
    return await _awaited(one.function, environment, **checked)


def _offered(environment: Any) -> Offered:
    return offered_by(type(environment))


def _is_there(environment: Any, one: Method) -> bool:
    return book_of(environment).toolbox.shows(one.name, lambda: one.is_there(environment))


async def _awaited(function: Callable[..., Any], *positional: Any, **keywords: Any) -> Any:
    returned = function(*positional, **keywords)
    return await returned if inspect.isawaitable(returned) else returned


def _listed(one: Method, address: str | None) -> dict[str, Any]:
    told = {
        "uri": one.told.get("uri") if address == "uri" else None,
        "uriTemplate": _shown_uri(one.uri) if address == "uriTemplate" else None,
        "name": one.name,
        "title": one.told.get("title"),
        "description": one.told.get("description"),
        "mimeType": one.told.get("mime_type"),
    }
    return {key: value for key, value in told.items() if value is not None}


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """What the URIs of a family look like: ``{name}`` is a part without slashes, ``{name*}`` may have some."""
    parts = re.split(r"\{(\+?\w+)\}", _shown_uri(template))
    pattern = re.escape(parts[0])
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        pattern += f"(?P<{name.lstrip('+')}>{'.+' if name[0] == '+' else '[^/]+'}){re.escape(text)}"
    return re.compile(pattern, re.DOTALL)


def _shown_uri(template: str) -> str:
    """A template as MCP has it, where what may have slashes is written ``{+name}``."""
    return re.sub(r"\{(\w+)\*\}", r"{+\1}", template)


_ANSWERS: dict[str, Callable[[Any, Mapping[str, Any]], dict[str, Any] | Awaitable[dict[str, Any]]]] = {
    "about": _about,
    "resources/list": _resources,
    "resources/templates/list": _templates,
    "resources/read": _read,
    "prompts/list": _prompts,
    "prompts/get": _prompt,
    "completion/complete": _complete,
}
