"""Random values that fit a JSON Schema."""

from __future__ import annotations

import math
import random
import string
from contextlib import suppress
from typing import Any

from openenv.errors import ConfigurationError

__all__ = ["sample"]

_SPAN = 100  # how far from a bound numbers are drawn where the schema has only one, or none
_MOST_ITEMS = 4  # how much more than the least is drawn where a schema does not say
_DEEP = 8  # from here on, lists, mappings and models get no more than they must
_DEEPEST = 24  # a recursion that goes on here has no end that can be drawn
_TRIES = 100  # for another item where items must differ
_SAYS_NOTHING = {"title", "description", "default", "examples", "deprecated"}  # about which values fit


def sample(schema: dict[str, Any], rng: random.Random) -> Any:
    """A random value that fits a schema.

    Understood are the schemas that pydantic makes of models, enums, literals, unions, numbers with bounds, text,
    lists, sets, tuples and mappings. Text is 1 to 8 lowercase letters, within ``minLength`` and ``maxLength``; where
    anything fits, an integer is drawn. Fields that are not required are drawn too, except for free-form ``metadata``,
    which every action has and none is about, those that cannot be drawn, and those deep in a recursion.

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
                return self._one_of(schema[key], depth)
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
            case None if schema.keys() <= _SAYS_NOTHING:
                return self._rng.randint(0, _SPAN)
        raise ConfigurationError(f"a random agent cannot draw a value for the schema {schema!r}; write an agent")

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        fields = schema.get("properties", {})
        drawn = {name: self.draw(fields.get(name, {}), depth + 1) for name in schema.get("required", ())}
        for name, field in fields.items() if depth < _DEEP else ():
            if name in drawn or (name == "metadata" and _is_free_form(field)):
                continue
            with suppress(ConfigurationError):  # it is left to its default
                drawn[name] = self.draw(field, depth + 1)
        names, values = schema.get("propertyNames", {"type": "string"}), schema.get("additionalProperties", {})
        for _ in range(_TRIES):
            if len(drawn) >= schema.get("minProperties", 0):
                return drawn
            name = self.draw(names, depth + 1)
            if name not in drawn:
                drawn[name] = self.draw({} if values is True else values, depth + 1)
        raise ConfigurationError(f"a random agent found too few names for the schema {schema!r}; write an agent")

    def _one_of(self, options: list[dict[str, Any]], depth: int) -> Any:
        """One of the options that can be drawn; deep down, the one that ends a recursion."""
        why = None
        for option in self._rng.sample(options, len(options)):
            try:
                return self.draw(option, depth + 1)
            except ConfigurationError as error:
                why = error
        raise why or ConfigurationError("the schema has an empty list of options")

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        drawn = [self.draw(item, depth + 1) for item in schema.get("prefixItems", ())]
        if "items" not in schema or schema["items"] is False:
            return drawn
        least = max(schema.get("minItems", 0), len(drawn))
        more = _MOST_ITEMS if depth < _DEEP else 0
        most = max(least, min(schema.get("maxItems", least + more), least + more))
        wanted = self._rng.randint(least, most)
        if schema.get("uniqueItems"):
            return self._different(schema["items"], least, wanted, depth)
        return drawn + [self.draw(schema["items"], depth + 1) for _ in range(wanted - len(drawn))]

    def _different(self, items: dict[str, Any], least: int, wanted: int, depth: int) -> list[Any]:
        drawn: list[Any] = []
        for _ in range(_TRIES):
            if len(drawn) == wanted:
                return drawn
            item = self.draw(items, depth + 1)
            if item not in drawn:
                drawn.append(item)
        if len(drawn) < least:
            raise ConfigurationError(f"a random agent found fewer than {least} different items for {items!r}")
        return drawn

    def _text(self, schema: dict[str, Any]) -> str:
        if "pattern" in schema or "format" in schema:
            what = schema.get("pattern") or schema["format"]
            raise ConfigurationError(f"a random agent cannot draw text of the form {what!r}; write an agent")
        least = schema.get("minLength", min(1, schema.get("maxLength", 1)))
        most = max(least, min(schema.get("maxLength", least + 7), least + 7))
        return "".join(self._rng.choices(string.ascii_lowercase, k=self._rng.randint(least, most)))

    def _integer(self, schema: dict[str, Any]) -> int:
        step = schema.get("multipleOf", 1)
        low, high = _bounds(schema)
        return int(self._rng.randint(*_multiples(schema, low, high, step)) * step)

    def _number(self, schema: dict[str, Any]) -> float:
        low, high = _bounds(schema)
        if "multipleOf" in schema:
            return float(self._rng.randint(*_multiples(schema, low, high, schema["multipleOf"])) * schema["multipleOf"])
        if low == schema.get("exclusiveMinimum"):
            low = math.nextafter(low, math.inf)
        if high == schema.get("exclusiveMaximum"):
            high = math.nextafter(high, -math.inf)
        if low > high:
            raise ConfigurationError(f"no number fits the schema {schema!r}")
        share = self._rng.random()  # weighed, not low + share * (high - low): the span may be over the largest float
        return min(max(low * (1 - share) + high * share, low), high)


def _is_free_form(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "object" and "properties" not in schema and schema.get("additionalProperties") is True


def _bounds(schema: dict[str, Any]) -> tuple[float, float]:
    """The least and the greatest value of a number, exclusive bounds included."""
    lows = [schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [schema[key] for key in ("maximum", "exclusiveMaximum") if key in schema]
    high = min(highs) if highs else None
    low = max(lows) if lows else 0 if high is None else min(0, high - _span_at(high))
    return low, low + _span_at(low) if high is None else high


def _span_at(bound: float) -> float:
    return max(_SPAN, abs(bound))  # for a huge float, one more is the same number


def _multiples(schema: dict[str, Any], low: float, high: float, step: float) -> tuple[int, int]:
    """The first and the last factor of ``step`` that stay within the bounds."""
    first, last = -int(-low // step), int(high // step)
    if first * step == schema.get("exclusiveMinimum"):
        first += 1
    if last * step == schema.get("exclusiveMaximum"):
        last -= 1
    if first > last:
        raise ConfigurationError(f"no multiple of {step} fits the schema {schema!r}")
    return first, last
