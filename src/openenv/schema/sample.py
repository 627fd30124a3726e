"""Random values that fit a JSON Schema."""

from __future__ import annotations

import math
import random
import string
from typing import Any

from openenv.errors import ConfigurationError

__all__ = ["sample"]

_SPAN = 100  # how far from a bound numbers are drawn where the schema has only one, or none
_MOST_ITEMS = 4  # how much more than the least is drawn where a schema does not say
_DEEPEST = 8  # recursive schemas stop here


def sample(schema: dict[str, Any], rng: random.Random) -> Any:
    """A random value that fits a schema.

    Understood are the schemas that pydantic makes of models, enums, literals, unions, numbers with bounds, text,
    lists, tuples and mappings. Text is 1 to 8 lowercase letters, within ``minLength`` and ``maxLength``;
    fields that are not required are left to their default.

    Args:
        schema: A JSON Schema, with ``$defs`` at its root if it refers to any.
        rng: Where randomness comes from; the same state gives the same value.

    Raises:
        ConfigurationError: The schema asks for what cannot be drawn, such as a text pattern.
    """
    return _Sampler(schema.get("$defs", {}), rng).draw(schema, 0)


class _Sampler:
    def __init__(self, definitions: dict[str, Any], rng: random.Random) -> None:
        self._definitions = definitions
        self._rng = rng

    def draw(self, schema: dict[str, Any], depth: int) -> Any:
        if depth > _DEEPEST:
            raise ConfigurationError("the action schema refers to itself too deeply for a random agent; write one")
        if "$ref" in schema:
            return self.draw(self._definitions[schema["$ref"].rsplit("/", 1)[-1]], depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self.draw(self._rng.choice(schema[key]), depth + 1)
        if len(schema.get("allOf", ())) == 1:
            return self.draw(schema["allOf"][0], depth + 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = self._rng.choice(kind)
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._text(schema)
            case "integer":
                return self._integer(schema)
            case "number":
                return self._number(schema)
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
        raise ConfigurationError(f"a random agent cannot draw a value for the schema {schema!r}; write an agent")

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        fields = schema.get("properties", {})
        return {name: self.draw(fields.get(name, {}), depth + 1) for name in schema.get("required", ())}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        drawn = [self.draw(item, depth + 1) for item in schema.get("prefixItems", ())]
        if "items" not in schema or schema["items"] is False:
            return drawn
        least = max(schema.get("minItems", 0), len(drawn))
        most = max(least, min(schema.get("maxItems", least + _MOST_ITEMS), least + _MOST_ITEMS))
        wanted = self._rng.randint(least, most)
        return drawn + [self.draw(schema["items"], depth + 1) for _ in range(wanted - len(drawn))]

    def _text(self, schema: dict[str, Any]) -> str:
        if "pattern" in schema or "format" in schema:
            what = schema.get("pattern") or schema["format"]
            raise ConfigurationError(f"a random agent cannot draw text of the form {what!r}; write an agent")
        least = schema.get("minLength", 1)
        most = max(least, min(schema.get("maxLength", least + 7), least + 7))
        return "".join(self._rng.choices(string.ascii_lowercase, k=self._rng.randint(least, most)))

    def _integer(self, schema: dict[str, Any]) -> int:
        step = schema.get("multipleOf", 1)
        low, high = self._bounds(schema, 1)
        first, last = math.ceil(low / step), math.floor(high / step)
        if first > last:
            raise ConfigurationError(f"no integer fits the schema {schema!r}")
        return int(self._rng.randint(first, last) * step)

    def _number(self, schema: dict[str, Any]) -> float:
        low, high = self._bounds(schema, 0)
        value = self._rng.uniform(low, high)
        while value in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
            value = self._rng.uniform(low, high)
        return value

    def _bounds(self, schema: dict[str, Any], step: int) -> tuple[float, float]:
        """The least and the greatest value; ``step`` is the distance from an exclusive bound, 0 for reals."""
        low = schema.get("minimum", schema["exclusiveMinimum"] + step if "exclusiveMinimum" in schema else None)
        high = schema.get("maximum", schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else None)
        if low is None:
            low = min(0, high - _SPAN) if high is not None else 0
        if high is None:
            high = low + _SPAN
        return low, high
