"""How the page of the HTTP endpoints describes the bodies of ``/reset`` and ``/step``."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI

from openenv.schema import json_schema
from openenv.session import EnvironmentSpec

__all__ = ["describe_action", "reset_schema", "step_schema"]

_HERE, _SHARED = b'"#/$defs/', b'"#/components/schemas/'


def reset_schema() -> dict[str, Any]:
    """The body of ``/reset``."""
    return {
        "type": "object",
        "properties": {"seed": {"type": "integer", "minimum": 0}, "episode_id": {"type": "string", "maxLength": 255}},
        "additionalProperties": True,
    }


def step_schema(spec: EnvironmentSpec) -> dict[str, Any]:
    """The body of ``/step``. It refers to models inside the action as ``describe_action`` names them."""
    action = _action_schema(spec)
    action.pop("$defs", None)
    return {
        "type": "object",
        "properties": {"action": action, "timeout_s": {"type": "number", "exclusiveMinimum": 0}},
        "required": ["action"],
    }


def describe_action(app: FastAPI, spec: EnvironmentSpec) -> None:
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
