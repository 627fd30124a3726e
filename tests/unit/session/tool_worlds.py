"""Environments with tools that do what they are told to, wherever they live."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from openenv.environment import Environment, Isolation, ToolEnvironment
from openenv.errors import ActionInvalid
from openenv.protocol import Observed, Reset, Step
from openenv.session import Call, EnvironmentSpec, JournalOptions, Session, SessionEngine
from openenv.tools import Changed, Elicit, Note, ToolContext, prompt, resource, tool
from openenv.types import Action, Observation, State

PATIENCE_S = 30
"""How long a test waits for what must come; only a broken build waits that long."""

WAIT_S = 0.001
"""Between two looks at whether a call was cancelled."""

ASKED = {"elicitation": {}}


class Jump(Action):
    by: int = 1


class Tools(ToolEnvironment[State]):
    """Counts."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True
    instructions = "Count up to three."

    def reset(self, seed: int | None = None) -> Observation:
        self.count = 0
        return self.begin_with("count")

    def step_other(self, action: Any, timeout_s: float | None = None, **options: Any) -> Observation:
        if not isinstance(action, Jump):
            raise ActionInvalid("jump")
        self.count += action.by
        return Observation(reward=0.25, metadata={"count": self.count})

    @tool
    def add(self, by: int = 1) -> int:
        """Add to the count."""
        self.count += by
        self.award(float(by))
        if self.count >= 3:
            self.end(reward=0.5)
        return self.count

    @tool
    def speak(self, words: int, context: ToolContext) -> str:
        """Say as many words."""
        for number in range(words):
            context.progress(number + 1, words)
        context.log({"said": words})
        self.announce("tools")
        return "spoken"

    @tool
    def speak_elsewhere(self, words: int, context: ToolContext) -> str:
        """The same on another thread."""
        thread = threading.Thread(target=self.speak, args=(words, context))
        thread.start()
        thread.join()
        return "spoken"

    @tool
    def hang(self, context: ToolContext) -> str:
        """Wait until the call is not wanted any more."""
        self.count += 1
        context.progress(0)
        while not context.is_cancelled:
            threading.Event().wait(WAIT_S)
        context.check()
        return "never"

    @tool
    def ask(self, context: ToolContext) -> str:
        """Ask for a name."""
        answer = context.ask(name=Elicit("Who?", {"type": "object", "properties": {"name": {"type": "string"}}}))
        self.count += 1
        return f"hello {answer['name']['content']['name']}"

    @resource("note://count")
    def counted(self) -> str:
        """The count."""
        return str(self.count)

    @resource("note://broken")
    def broken(self) -> str:
        """Cannot be read."""
        raise RuntimeError("boom")

    @prompt
    def greet(self, context: ToolContext) -> str:
        """Greets by name."""
        return str(context.ask(name=Elicit("Who?", {"type": "object", "properties": {}}))["name"]["content"])


class AwaitedTools(Tools):
    """The same, awaited."""

    @tool
    async def hang(self, context: ToolContext) -> str:
        """Wait until the call is not wanted any more."""
        self.count += 1
        context.progress(0)
        await asyncio.get_running_loop().create_future()
        return "never"

    @tool
    async def block(self, context: ToolContext) -> str:
        """The same without awaiting anything."""
        return super().hang(context)


class Plain(Environment[Jump, Observation, State]):
    """Jumps."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True

    def reset(self, seed: int | None = None) -> Observation:
        self.at = 0
        return Landed(at=0)

    def step(self, action: Jump) -> Observation:
        if action.by > 100:
            raise RuntimeError("too far")
        self.at += action.by
        return Landed(at=self.at, reward=0.5, done=self.at > 2, metadata={"secret": "of the trainer"})

    @property
    def state(self) -> State:
        return State(step_count=self.at)


class Landed(Observation):
    at: int


PLACES: list[tuple[type[Tools], Isolation]] = [
    (cls, isolation)
    for cls in (Tools, AwaitedTools)
    for isolation in ("thread", "inline", "process")
    if isolation != "process" or sys.platform == "linux"
]
"""Every kind of place that an environment can live in."""


@asynccontextmanager
async def playing(
    env: Any, isolation: Isolation | None = None, journal: Path | None = None, **equipment: Any
) -> AsyncIterator[Session]:
    """A session with a running episode."""
    async with serving(env, isolation, journal, **equipment) as engine:
        session = await engine.open(nonce="a secret nonce")
        await session.reset(Reset(seed=1))
        yield session


@asynccontextmanager
async def serving(
    env: Any, isolation: Isolation | None = None, journal: Path | None = None, **equipment: Any
) -> AsyncIterator[SessionEngine]:
    """An engine that has started, and ends with all it holds."""
    options = None if journal is None else JournalOptions(journal)
    engine = SessionEngine(EnvironmentSpec.of(env), isolation=isolation, journal=options)
    engine.equip(**equipment)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()


def call_of(name: str, inputs: dict[str, Any] | None = None, **arguments: Any) -> Step:
    """A call as it comes over the wire."""
    more = {"inputs": inputs} if inputs else {}
    action = {"type": "call_tool", "tool_name": name, "arguments": arguments, "capabilities": ASKED, **more}
    return Step(action=msgspec.Raw(msgspec.json.encode(action)))


LIST = msgspec.Raw(b'{"type":"list_tools"}')


def fields(answer: Observed) -> dict[str, Any]:
    """An observation as a dict, wherever it comes from."""
    found = answer.observation
    if isinstance(found, msgspec.Raw):
        decoded: dict[str, Any] = msgspec.json.decode(found)
        return decoded
    dumped: dict[str, Any] = found if isinstance(found, dict) else found.model_dump(mode="json")
    return dumped


def value_of(answer: Observed) -> Any:
    """What a tool returned."""
    return fields(answer)["result"]["data"]


def error_of(answer: Observed) -> str | None:
    """The kind of error that a call ended with, if it did."""
    error = fields(answer)["error"]
    return None if error is None else error["error_type"]


class Hearing:
    """A call whose notes are kept."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.begun = asyncio.Event()
        self.call = Call(self._heard)

    def _heard(self, note: Note) -> None:
        asyncio.get_running_loop()  # who listens may need it
        self.notes.append(note)
        self.begun.set()

    @property
    def changes(self) -> list[Changed]:
        return [note for note in self.notes if isinstance(note, Changed)]

    async def has_begun(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.begun.wait()


class Limited(Tools):
    """Has a tool that may take a moment only, and cannot be ended by itself."""

    gate: ClassVar[threading.Event]

    @tool(timeout_s=0.2)
    def wait(self, long: bool = True) -> str:
        """Wait for the gate."""
        if long:
            assert self.gate.wait(PATIENCE_S)
        return "waited"


Limited.gate = threading.Event()
