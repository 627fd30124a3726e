"""A first check of arguments against a JSON Schema; the server does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openenv.schema import misfit
from openenv.tools.signature import BadArguments

__all__ = ["check_arguments"]


def check_arguments(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Whether all that is required is there, nothing that is not allowed, and each as the schema describes it.

    Raises:
        BadArguments: Something does not fit; the message says all of it.
    """
    properties, required = schema.get("properties"), schema.get("required")
    properties = properties if isinstance(properties, Mapping) else {}
    names = required if isinstance(required, list) else []
    wrong = [f"{name}: Field required" for name in names if name not in arguments]
    for name, value in arguments.items():
        if name in properties:
            said = misfit(properties[name], value, where=name, root=schema)
            if said is not None:
                wrong.append(said)
        elif schema.get("additionalProperties") is False and "patternProperties" not in schema:
            wrong.append(f"{name}: there is no such argument")
    if wrong:
        known = ", ".join(map(str, properties)) or "none"
        raise BadArguments(f"{'; '.join(wrong)}. Its arguments: {known}.")
