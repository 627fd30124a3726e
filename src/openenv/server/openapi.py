"""The HTTP endpoints as FastAPI has them, with what its pages say of their bodies and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI, Response
from starlette.types import Receive, Scope, Send

from openenv.schema import json_schema
from openenv.server.exchange import Endpoint
from openenv.session import EnvironmentSpec

__all__ = ["add_endpoints"]

_HERE, _SHARED = b'"#/$defs/', b'"#/components/schemas/'
_ANSWERS = {
    "/reset": "observation, reward, done, metadata; of a strict class also the seed and episode_id really used",
    "/step": "observation, reward, done, metadata",
}


def add_endpoints(app: FastAPI, endpoints: Sequence[Endpoint], spec: EnvironmentSpec) -> None:
    """Add them to an application, described on its pages."""
    bodies = {"/reset": _reset_schema(), "/step": _step_schema(spec)}
    for one in endpoints:
        extra: dict[str, Any] = {}
        if one.path in bodies:
            extra["requestBody"] = {"content": {"application/json": {"schema": bodies[one.path]}}}
            answer = {"type": "object", "description": _ANSWERS[one.path]}
            extra["responses"] = {"200": {"content": {"application/json": {"schema": answer}}}}
        app.add_api_route(
            one.path,
            _passing(one),
            methods=[one.method],
            name=one.name,
            summary=one.says,
            openapi_extra=extra,
            response_class=Response,
        )
    _describe_action(app, spec)


class _Passed(Response):
    """The answer of an endpoint, which sends it itself."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoint(scope, receive, send)


def _passing(endpoint: Endpoint) -> Callable[[], Awaitable[Response]]:
    async def passed() -> Response:
        return _Passed(endpoint)

    return passed


def _reset_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"seed": {"type": "integer", "minimum": 0}, "episode_id": {"type": "string", "maxLength": 255}},
        "additionalProperties": True,
    }


def _step_schema(spec: EnvironmentSpec) -> dict[str, Any]:
    """It refers to models inside the action as ``_describe_action`` names them."""
    action = _action_schema(spec)
    action.pop("$defs", None)
    return {
        "type": "object",
        "properties": {"action": action, "timeout_s": {"type": "number", "exclusiveMinimum": 0}},
        "required": ["action"],
    }


def _describe_action(app: FastAPI, spec: EnvironmentSpec) -> None:
    """Put the models inside the action where an OpenAPI document keeps the models that it refers to."""
    models, document_of = _action_schema(spec).get("$defs", {}), app.openapi

    def openapi() -> dict[str, Any]:
        document = document_of()
        if models:
            document.setdefault("components", {}).setdefault("schemas", {}).update(models)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # the way FastAPI documents


def _action_schema(spec: EnvironmentSpec) -> dict[str, Any]:
    text = msgspec.json.encode(json_schema(spec.action_type)).replace(_HERE, _SHARED)
    schema: dict[str, Any] = msgspec.json.decode(text)
    return schema
