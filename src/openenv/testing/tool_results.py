"""What tools returned, held to what they say that they return."""

from __future__ import annotations

from openenv.schema import misfit
from openenv.testing.evidence import Evidence
from openenv.tools import CallToolObservation

__all__ = ["tool_fault"]


_OF_THE_AUTHORS_MAKING = ("has no JSON form", "does not fit its output schema")


def tool_fault(evidence: Evidence) -> str | None:
    """What is wrong with the first result that does not fit; ``None`` where all do."""
    schemas = {tool["name"]: tool.get("outputSchema") for tool in evidence.tools}
    for moment in evidence.moments:
        found = moment.observation
        if not isinstance(found, CallToolObservation):
            continue
        where = f"step {moment.steps} with seed {moment.seed}, a call of {found.tool_name}"
        if found.error is not None:
            if any(words in found.error.message for words in _OF_THE_AUTHORS_MAKING):
                return f"{where}: {found.error.message}"
            continue
        schema = schemas.get(found.tool_name)
        if schema is None or found.result is None or found.result.get("is_error"):
            continue
        structured = found.result.get("structured_content")
        said = "there is no structured content" if structured is None else misfit(schema, structured)
        if said is not None:
            return f"{where}: its result does not fit its output schema: {said}"
    return None
