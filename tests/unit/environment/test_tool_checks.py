"""What is checked of a call and of what comes of it: arguments, results, exceptions, and ``visible``."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, Field
from tests.unit.environment.tool_worlds import Odd, call, error_of, plain, refused, world

from openenv import prompt, resource, resource_template, tool
from openenv.environment.toolbox import VisibleFailed
from openenv.tools import BadArguments


@pytest.mark.parametrize("mark", [tool, prompt, partial(resource, "a://b"), partial(resource_template, "a://{x}")])
def test_what_says_whether_it_is_there_is_not_awaited(mark: Any) -> None:
    async def is_open(self: Any) -> bool:
        return False

    refused(" look: visible is not awaited; make it a function of the environment", look=mark(visible=is_open)(plain))
    refused(" look: visible must be a function of the environment", look=mark(visible=True)(plain))


@pytest.mark.parametrize(
    ("mark", "ask", "name"),
    [
        (tool, "tools/list", "the tool look"),
        (prompt, "prompts/list", ""),
        (partial(resource, "a://b"), "resources/list", ""),
    ],
)
def test_nor_is_what_it_returns(mark: Any, ask: str, name: str) -> None:
    class Door:
        async def is_open(self) -> bool:
            return False

    environment = world(look=mark(visible=lambda self: Door().is_open())(plain))()
    environment.reset()
    with pytest.raises(VisibleFailed, match=f"visible of {name}.*returns what is to be awaited, where a bool is"):
        environment.offer(ask, {})


def test_arguments_fit_a_schema_of_the_authors_own() -> None:
    """It is what agents are told, so it holds for them."""
    schema = {
        "type": "object",
        "properties": {"x": {"type": "integer", "maximum": 5}, "y": {"type": "array"}},
        "additionalProperties": False,
        "anyOf": [{"required": ["x"]}, {"required": ["y"]}],
    }

    def look(self: Any, x: int = 1, y: Any = None, z: int = 0) -> int:
        return x

    environment = world(look=tool(input_schema=schema)(look))()
    environment.reset()
    assert call(environment, "look", x=5).result["data"] == 5
    assert call(environment, "look", y=[]).result["data"] == 1
    for given, said in (
        ({}, "it is {}, which fits none of its options"),
        ({"x": 6}, "x is 6, which is above 5"),
        ({"y": 3}, "y is 3, and no array"),
        ({"x": 1, "z": 1}, "z must not be there"),
    ):
        kind, message = error_of(call(environment, "look", **given))
        assert (kind, message) == ("invalid_args", f"{said}. Its arguments: x, y.")
    with pytest.raises(BadArguments, match="x is 6, which is above 5"):
        environment.callables()["look"](x=6)
    assert environment.callables()["look"](y=np.zeros(2)) == 1  # code has values that JSON has not
    assert environment.callables()["look"](x=3, y=Odd()) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no file \ud800", r"ValueError: no file \ud800"),
        ("x" * 30_000, f"ValueError: {'x' * 19_988}... and 10012 more characters"),
    ],
)
def test_what_is_told_of_an_exception_can_be_sent_and_read(text: str, expected: str) -> None:
    def look(self: Any) -> None:
        raise ValueError(text)

    environment = world(look=tool(look))()
    environment.reset()
    assert error_of(call(environment, "look")) == ("execution_error", expected)


def test_a_model_with_aliases_is_returned_by_them() -> None:
    class Priced(BaseModel):
        unit_price: int = Field(alias="unitPrice")

    def look(self: Any):  # type: ignore[no-untyped-def]
        return Priced(unitPrice=3)

    look.__annotations__["return"] = Priced
    environment = world(look=tool(look))()
    environment.reset()
    assert call(environment, "look").result["structured_content"] == {"unitPrice": 3}


def test_a_list_of_texts_is_a_value() -> None:
    def look(self: Any) -> list[str]:
        return ["a", "b"]

    environment = world(look=tool(look))()
    environment.reset()
    result = call(environment, "look").result
    assert (result.structured_content, result.data) == ({"result": ["a", "b"]}, ["a", "b"])
    assert [block.text for block in result.content] == ['["a","b"]']
