"""Tool environments whose agents write code."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from openenv.sandbox import Guarantee, probe
from openenv.tools import CallToolAction, CallToolObservation, Elicit, ToolContext, ToolResult, tool
from openenv.types import ImageContent, Observation
from openenv_coding.server.code_mode import CodeModeEnvironment


class Item(BaseModel):
    name: str
    cents: int


CONTAINED = [
    finding.level.value
    for finding in probe()
    if finding.available and finding.guarantees >= {Guarantee.NO_HOST_FILES, Guarantee.PROCESSES}
]
"""Levels at which code may be run that is meant to do harm."""

SANDBOXES = CONTAINED or [pytest.param("", marks=pytest.mark.skip(reason="apt-get install bubblewrap"))]
BOTH = pytest.mark.parametrize("kind", [*SANDBOXES, "inline"])
SANDBOX = pytest.mark.parametrize("kind", SANDBOXES)
INLINE = pytest.mark.parametrize("kind", ["inline"])

PRICES = {"lamp": 500, "rug": 700, "vase": 300}


class Shop(CodeModeEnvironment):
    """A shop where the cheapest item is to be bought."""

    deterministic = True

    def __init__(self) -> None:  # without super().__init__(), as authors may
        self.sold: list[str] = []
        self.thing: object = None

    def reset(self, seed: int | None = None) -> Observation:
        self.sold.clear()
        return self.begin_with("Buy the cheapest item and pay.")

    @tool
    def items(self, context: ToolContext) -> list[Item]:
        """What is for sale."""
        context.progress(1, 2)
        return [Item(name=name, cents=cents) for name, cents in PRICES.items()]

    @tool
    def price(self, item: str, many: Annotated[int, Field(ge=1)] = 1) -> int:
        """The price of an item.

        Args:
            item: Which.
            many: How many.
        """
        if item not in PRICES:
            raise ValueError(f"no {item} here")
        return PRICES[item] * many

    @tool
    def buy(self, item: str) -> None:
        """Put an item into the bag."""
        self.award(0.25)
        self.sold.append(item)

    @tool(visible=lambda self: bool(self.sold))
    def pay(self) -> str:
        """Pay, and leave."""
        self.end(reward=1.0)
        return "goodbye"

    @tool(visible=lambda self: "vase" not in self.sold)
    def admire(self) -> str:
        """Look at the vase, as long as it is there."""
        return "lovely"

    @tool
    def ask(self, context: ToolContext) -> str:
        """Ask the customer."""
        return str(context.ask(name=Elicit("Who?", {"type": "object", "properties": {}})))

    @tool
    def refuse(self) -> ToolResult:
        """Never works."""
        return ToolResult(["sold out"], is_error=True)

    @tool(name="to-do.list")
    def odd_name(self) -> str:
        """A name that Python does not have."""
        return "nothing"

    @tool
    def picture(self) -> ImageContent:
        """A picture."""
        return ImageContent(data=b"png", mime_type="image/png")

    @tool
    def thousands(self, count: int) -> str:
        """A long text."""
        return "x" * count

    @tool
    def formless(self) -> Any:
        """What has no JSON form."""
        self.thing = object()
        return self.thing

    @tool
    def takes(self, value: Any) -> bool:
        """Whether it is what formless() made."""
        return value is self.thing


class AwaitedShop(CodeModeEnvironment):
    """The same, awaited."""

    def reset(self, seed: int | None = None) -> Observation:
        self.begun = asyncio.Event()
        return self.begin_with("Wait.")

    @tool
    async def double(self, number: int) -> int:
        """Twice a number."""
        self.begun.set()
        await asyncio.sleep(0)
        return number * 2

    @tool
    def plain(self, number: int) -> int:
        """A number, in the loop."""
        asyncio.get_running_loop()
        return number


class Player:
    """Runs code in an environment."""

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self.notes: list[Any] = []
        environment.note_sink = self.notes.append
        environment.reset(seed=1)

    def run(self, code: str, **arguments: Any) -> CallToolObservation:
        action = CallToolAction(tool_name="run_code", arguments={"code": code, **arguments})
        seen = self.environment.step(action)
        assert seen.error is None, seen.error
        return seen

    def value(self, code: str) -> str | None:
        result = self.run(code).result
        assert result["structured_content"]["exit_code"] == 0, result["structured_content"]["stderr"]
        return result["structured_content"]["value"]

    def stderr(self, code: str, **arguments: Any) -> str:
        return self.run(code, **arguments).result["structured_content"]["stderr"]
