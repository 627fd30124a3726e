"""Tools over the ways that trainers and older clients take: lists, calls, outcomes and the tokens of agents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.e2e.living import DEADLINE_S
from tests.unit.session.tool_worlds import AwaitedTools, Plain, Tools
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from openenv import create_app
from openenv.environment import Isolation
from openenv.errors import InputNeeded
from openenv.record import journal_events
from openenv.testing import serving
from openenv.tools import CallToolAction, CallToolObservation

pytestmark = pytest.mark.e2e

LIST = {"type": "list_tools"}
KINDS: list[tuple[type[Tools], Isolation]] = [(Tools, "inline"), (Tools, "process"), (AwaitedTools, "thread")]
every_kind = pytest.mark.parametrize(("cls", "isolation"), KINDS)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "call_tool", "tool_name": name, "arguments": arguments}


class Talk:
    """A connection of protocol v2 with one session."""

    def __init__(self, socket: ClientConnection, form: str) -> None:
        self._socket, self._form, self._id = socket, form, 0
        self.hello = self._take()
        self.opened = self.say(type="open", nonce="n" * 32)
        self.session = self.opened["session"]

    def say(self, **frame: Any) -> dict[str, Any]:
        self.send(frame)
        return self._take()

    def ask(self, type: str, **more: Any) -> dict[str, Any]:
        self._id += 1
        return self.say(type=type, session=self.session, id=self._id, ack=self._id - 1, **more)

    def again(self, type: str, **more: Any) -> dict[str, Any]:
        """The last request once more, as after a break."""
        return self.say(type=type, session=self.session, id=self._id, ack=self._id - 1, **more)

    def step(self, **action: Any) -> dict[str, Any]:
        return self.ask("step", action=action)

    def send(self, frame: Any) -> None:
        self._socket.send(json.dumps(frame) if self._form == "json" else msgspec.msgpack.encode(frame))

    def _take(self) -> dict[str, Any]:
        text = self._socket.recv(DEADLINE_S)
        found: dict[str, Any] = json.loads(text) if isinstance(text, str) else msgspec.msgpack.decode(text)
        return found

    def take_all(self, count: int) -> list[dict[str, Any]]:
        """So many replies, of one frame or of several."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            one: Any = self._take()
            found += one if isinstance(one, list) else [one]
        return found


@contextmanager
def talking(url: str, form: str = "json") -> Iterator[Talk]:
    with connect(f"ws{url[4:]}/ws", subprotocols=[Subprotocol(f"openenv.v2.{form}")]) as socket:
        yield Talk(socket, form)


@every_kind
@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_a_trainer_lists_calls_and_counts(cls: type[Tools], isolation: Isolation, form: str) -> None:
    with serving(create_app(cls, isolation=isolation)) as url, talking(url, form) as talk:
        assert {"outcome", "agent"} <= {*talk.hello["features"]}
        fresh = talk.step(**LIST)
        assert "add" in {one["name"] for one in fresh["observation"]["tools"]}
        assert talk.step(**call("add"))["code"] == "RESET_NEEDED"
        assert talk.ask("outcome")["phase"] == "fresh"
        talk.ask("reset", seed=3, episode_id="E")
        first = talk.step(**call("add", by=1))
        assert (first["observation"]["result"]["data"], first["reward"], first["done"]) == (1, 1.0, False)
        assert talk.again("step", action=call("add", by=1)) == first
        assert talk.step(**LIST)["observation"] == fresh["observation"]
        assert talk.again("step", action=LIST)["observation"] == fresh["observation"]
        asked = talk.step(**call("ask"))
        assert asked["code"] == InputNeeded.code
        assert asked["details"]["requests"]["name"]["method"] == "elicitation/create"
        wrong = talk.step(**call("nothing"))
        assert wrong["observation"]["error"]["error_type"] == "tool_not_found"
        told = talk.ask("outcome")
        assert (told["steps"], told["total_reward"], told["phase"], told["episode_id"]) == (2, 1.0, "running", "E")
        done = talk.step(**call("add", by=2))
        assert (done["reward"], done["done"], done["terminated"]) == (2.5, True, True)
        assert talk.step(**call("add"))["code"] == "EPISODE_DONE"
        assert talk.step(**LIST)["observation"] == fresh["observation"]
        told = talk.ask("outcome")
        assert (told["steps"], told["total_reward"], told["phase"], told["done"]) == (3, 3.5, "done", True)


def test_an_agents_token_is_given_with_the_session_and_for_each_episode() -> None:
    with serving(create_app(Tools)) as url, talking(url) as talk:
        granted = talk.ask("grant_agent")
        assert granted["mcp_url"] == talk.opened["mcp_url"] == f"/sessions/{talk.session}/mcp"
        assert granted["token"] == talk.opened["agent_token"]
        talk.ask("reset")
        assert talk.ask("grant_agent")["token"] == granted["token"]
        talk.ask("reset")
        assert talk.ask("grant_agent")["token"] != granted["token"]


@every_kind
def test_lists_and_calls_of_one_frame_come_in_order(cls: type[Tools], isolation: Isolation) -> None:
    with serving(create_app(cls, isolation=isolation)) as url, talking(url) as talk:
        talk.ask("reset")
        actions = [call("add"), LIST, call("add"), LIST, LIST, call("speak", words=2)]
        talk.send(
            [
                {"type": "step", "session": talk.session, "id": 2 + n, "ack": 1, "action": a}
                for n, a in enumerate(actions)
            ]
        )
        found = talk.take_all(len(actions))
        assert [one["id"] for one in found] == [*range(2, 2 + len(actions))]
        assert ["tools" in one["observation"] for one in found] == [action is LIST for action in actions]
        assert talk.say(type="outcome", session=talk.session, id=20, ack=7)["steps"] == 3


@every_kind
def test_an_older_client_lists_and_calls(cls: type[Tools], isolation: Isolation) -> None:
    with serving(create_app(cls, isolation=isolation)) as url, connect(f"ws{url[4:]}/ws") as socket:

        def say(type: str, data: Any = None) -> dict[str, Any]:
            socket.send(json.dumps({"type": type, "data": data or {}}))
            found: dict[str, Any] = json.loads(socket.recv(DEADLINE_S))
            return found["data"] if found["type"] != "error" else found

        listed = say("step", LIST)
        assert "add" in {one["name"] for one in listed["observation"]["tools"]}
        assert (listed["reward"], listed["done"]) == (None, False)
        say("reset")
        called = say("step", call("add", by=2))
        assert (called["observation"]["tool_name"], called["observation"]["result"]["data"]) == ("add", 2)
        assert called["observation"]["error"] is None
        rpc = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"by": 1}}}
        assert say("mcp", rpc)["result"]["data"] == 3
        rpc = {"jsonrpc": "2.0", "id": "x", "method": "tools/list"}
        told = say("mcp", rpc)
        assert (told["id"], len(told["result"]["tools"])) == ("x", len(listed["observation"]["tools"]))
        assert say("mcp", {"jsonrpc": "2.0", "id": 2, "method": "nonsense"})["error"]["code"] == -32601


@every_kind
def test_plain_requests_list_before_any_reset(cls: type[Tools], isolation: Isolation) -> None:
    with serving(create_app(cls, isolation=isolation)) as url, httpx.Client(base_url=url, timeout=DEADLINE_S) as http:
        assert http.post("/step", json={"action": call("add")}).status_code == 409
        listed = http.post("/step", json={"action": LIST})
        assert listed.status_code == 200
        assert "add" in {one["name"] for one in listed.json()["observation"]["tools"]}
        assert http.post("/step", json={"action": call("add")}).status_code == 409
        http.post("/reset")
        called = http.post("/step", json={"action": call("add", by=2)}).json()
        assert (called["observation"]["result"]["data"], called["reward"]) == (2, 2.0)
        assert http.post("/step", json={"action": {"type": "call_tool"}}).status_code == 422
        assert "list_tools" not in json.dumps(http.get("/state").json())


def test_it_is_served_as_existing_environments_are() -> None:
    for env in (Tools, lambda: Tools()):  # noqa: PLW0108 - as authors write
        with serving(create_app(env, CallToolAction, CallToolObservation, "counting")) as url:
            schema = httpx.get(f"{url}/schema").json()
            assert schema["action"]["properties"]["tool_name"]["type"] == "string"
            assert httpx.post(f"{url}/step", json={"action": LIST}).status_code == 200


def test_two_who_call_at_once_are_both_recorded(tmp_path: Path) -> None:
    times = 20
    with serving(create_app(Tools, journal=tmp_path)) as url, httpx.Client(base_url=url, timeout=DEADLINE_S) as http:
        headers = {"X-OpenEnv-Session": http.post("/sessions").json()["session_id"]}
        http.post("/reset", headers=headers)
        with ThreadPoolExecutor(2) as two:
            ways = [call("speak", words=1), call("nothing")] * times
            posts = [two.submit(http.post, "/step", json={"action": way}, headers=headers) for way in ways]
            assert {one.result().status_code for one in posts} == {200}
        listed = http.post("/step", json={"action": LIST}, headers=headers)
        assert listed.status_code == 200
        assert http.get("/state", headers=headers).json()["step_count"] == 2 * times
    events = [event for event in journal_events(tmp_path) if event.kind == "step"]
    assert [event.index for event in events] == [*range(1, 2 * times + 1)]
    names = [event.request["action"]["tool_name"] for event in events]
    assert (names.count("speak"), names.count("nothing")) == (times, times)


def test_an_environment_without_tools_has_an_outcome_too() -> None:
    with serving(create_app(Plain)) as url, talking(url) as talk:
        talk.ask("reset")
        for steps in (1, 2, 3):
            talk.step(by=1)
            told = talk.ask("outcome")
            assert (told["steps"], told["total_reward"], told["done"]) == (steps, steps / 2, steps == 3)
        assert talk.step(**LIST)["code"] == "EPISODE_DONE"  # to it, an action like any other


async def test_a_client_may_ask_who_waits_for_a_call() -> None:
    """An outcome that comes behind a step tells of it."""
    with serving(create_app(AwaitedTools)) as url, talking(url) as talk:
        talk.ask("reset")
        address = {"session": talk.session, "ack": 1}
        talk.send({"type": "step", "id": 2, "action": call("speak_elsewhere", words=50), **address})
        talk.send({"type": "outcome", "id": 3, **address})
        found = await asyncio.to_thread(talk.take_all, 2)
        assert [one["type"] for one in found] == ["observation", "outcome"]
        assert found[1]["steps"] == 1
