"""Code that calls tools: in every sandbox of this machine, and in the process of the environment."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from envs.coding.tests.tool_worlds import BOTH, INLINE, PRICES, SANDBOX, Player, Shop
from pydantic import BaseModel

from openenv.testing import EnvironmentContract
from openenv.tools import CallToolAction, ListToolsAction, Progressed, tool
from openenv_coding import CodingAction
from openenv_coding.server.calls import Kept
from openenv_coding.server.linking import listed, offered


@BOTH
def test_one_action_and_many_calls(shop: Player) -> None:
    name = "item.name" if shop.environment.sandbox == "inline" else "item['name']"
    seen = shop.run(f"total = 0\nfor item in items():\n    total += price({name}, many=2)\ntotal")
    told = seen.result["structured_content"]
    assert (told["value"], told["exit_code"], told["stderr"]) == ("3000", 0, "")
    assert seen.result["content"] == [{"type": "text", "text": "3000\n"}]
    assert "calls" not in told, "agents are not told"
    calls = seen.result["data"]["calls"]
    assert calls[0]["tool_name"] == "items"
    assert calls[0]["result"][0] == {"name": "lamp", "cents": 500}
    assert calls[1:] == [
        {"tool_name": "price", "arguments": {"item": name, "many": 2}, "result": cents * 2}
        for name, cents in PRICES.items()
    ]
    assert seen.result["data"]["calls_left_out"] == 0
    assert (seen.reward, seen.done, shop.environment.state.step_count) == (None, False, 1)
    assert Progressed(1.0, 2.0) in shop.notes
    json.dumps(seen.model_dump(mode="json"))


@BOTH
def test_variables_stay_for_the_episode(shop: Player) -> None:
    shop.run("kept = price('lamp')")
    assert shop.value("kept") == "500"
    shop.environment.reset(seed=2)
    assert "NameError" in shop.stderr("kept")


@BOTH
def test_functions_tell_what_they_take(shop: Player) -> None:
    text = shop.run("help(price)").result["structured_content"]["stdout"]
    assert "price(item: " in text
    assert "many: " in text
    assert "= 1)" in text
    assert "The price of an item." in text
    names = shop.value("[one['name'] for one in list_tools()]")
    assert names is not None
    assert "'price'" in names
    assert "run_code" not in names
    assert shop.value("[one['input_schema']['required'] for one in list_tools() if one['name'] == 'price']") == (
        "[['item']]"
    )
    assert shop.value("[one['function'] for one in list_tools() if 'function' in one]") == "['to_do_list']"
    assert shop.value("to_do_list()") == "'nothing'"


@BOTH
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("price('x')", "ToolError: price: ValueError: no x here"),
        ("price(5)", "ToolError: price: item: Input should be a valid string (got 5). Its arguments: item, many."),
        ("price('lamp', 0)", "ToolError: price: many: Input should be greater than or equal to 1 (got 0)"),
        ("ask()", "ToolError: ask: it asks its caller something first"),
        ("pay", "NameError"),
        ("run_code", "NameError"),
    ],
)
def test_a_call_that_fails_raises(shop: Player, code: str, said: str) -> None:
    seen = shop.run(f"try:\n    {code}\nfinally:\n    print('after')")
    told = seen.result["structured_content"]
    assert said in told["stderr"]
    assert told["stdout"] == "after\n"
    assert told["exit_code"] == 1
    assert "openenv" not in told["stderr"], "frames that are not of the code"
    assert (seen.error, seen.result["is_error"]) == (None, False)
    assert shop.value("1 + 1") == "2"


@BOTH
def test_a_failed_call_can_be_caught_and_is_noted(shop: Player) -> None:
    seen = shop.run("try:\n    price('x')\nexcept ToolError as error:\n    print(error)")
    assert seen.result["structured_content"]["stdout"] == "price: ValueError: no x here\n"
    (call,) = seen.result["data"]["calls"]
    assert call["arguments"] == {"item": "x"}
    assert "no x here" in call["error"]
    assert "result" not in call


@BOTH
def test_tools_come_and_go_within_a_run(shop: Player) -> None:
    there = "['pay' in dir(), 'admire' in dir()]"
    assert shop.value(f"before = {there}\nbuy('vase')\nbefore + {there}") == "[False, True, True, False]"
    assert shop.value(there) == "[True, False]"
    shop.environment.reset(seed=1)
    assert shop.value("'pay' in dir()") == "False"


@BOTH
def test_rewards_and_the_end_are_those_of_the_step(shop: Player) -> None:
    seen = shop.run(
        "buy('vase')\nbuy('rug')\nprint(pay())\ntry:\n    price('lamp')\nexcept ToolError as error:\n    print(error)"
    )
    assert (seen.reward, seen.done, seen.terminated, seen.truncated) == (1.5, True, True, False)
    out = seen.result["structured_content"]["stdout"].splitlines()
    assert out[0] == "goodbye"
    assert "the episode has ended" in out[1]
    assert [one["tool_name"] for one in seen.result["data"]["calls"]] == ["buy", "buy", "pay"]
    assert seen.result["data"]["calls"][0]["result"] is None


@BOTH
def test_what_code_puts_over_a_tool_is_its_own(shop: Player) -> None:
    shop.run("price = 3\nbuy('vase')")
    assert shop.value("price") == "3"
    shop.run("del price")
    assert shop.value("price('rug')") == "700"
    shop.run("globals().clear()")
    assert shop.value("price('rug')") == "700"


@BOTH
def test_nothing_but_code(shops: Callable[..., Player]) -> None:
    player = shops(only_code=True)
    listed = player.environment.step(ListToolsAction())
    assert [one.name for one in listed.tools] == ["run_code"]
    assert [one["name"] for one in player.environment.offer("tools/list", {})["tools"]] == ["run_code"]
    refused = player.environment.step(CallToolAction(tool_name="price", arguments={"item": "lamp"}))
    assert (refused.tool_name, refused.result) == ("price", None)
    assert refused.error is not None
    assert "run_code" in refused.error.message
    assert player.environment.state.step_count == 1
    assert player.value("price('lamp')") == "500"


@BOTH
def test_long_records_are_cut(shops: Callable[..., Player]) -> None:
    player = shops(max_calls_bytes=2000)
    data = player.run("len(thousands(100_000))").result["data"]
    assert data["value"] == "100000"
    (call,) = data["calls"]
    assert call["result"]["chars"] == 100_002
    assert len(json.dumps(call)) < 2000
    data = player.run("for n in range(1, 100): price('rug', n)").result["data"]
    assert 10 < len(data["calls"]) < 99
    assert len(data["calls"]) + data["calls_left_out"] == 99
    assert len(json.dumps(data["calls"])) < 2100
    assert len(player.environment.code_calls) == len(data["calls"]) + 1, "what is left out is not kept"


@BOTH
def test_an_episode_replays_the_same(shop: Player) -> None:
    codes = [
        "x = [price(n) for n in sorted({'lamp', 'rug'})]\nx",
        "price('none')",
        "buy('rug')\nlist({'a', 'b'}) and x",
        "pay()",
    ]
    episodes = []
    for _ in range(2):
        shop.environment.reset(seed=5)
        episodes.append([shop.run(code).model_dump() for code in codes])
    assert episodes[0] == episodes[1]


# In the process of the environment ------------------------------------------------------------------


@INLINE
def test_any_object_goes_from_tool_to_tool(shop: Player) -> None:
    seen = shop.run("thing = formless()\ntakes(thing), takes(object())")
    assert seen.result["structured_content"]["value"] == "(True, False)"
    assert list(seen.result["data"]["calls"][0]["result"]) == ["repr"]
    assert isinstance(shop.environment.code_desk, object)
    assert shop.value("items()[0].name") == "'lamp'"


@INLINE
def test_time_is_up_at_the_next_call(shop: Player) -> None:
    seen = shop.run("while True: price('rug')", timeout_s=0.2)
    told = seen.result["structured_content"]
    assert told["timed_out"]
    assert "the time of this call of run_code is up" in told["stderr"]


@INLINE
@pytest.mark.parametrize(
    ("code", "exit_code", "stderr"),
    [
        ("import sys\nsys.exit(7)", 7, ""),
        ("raise SystemExit('why')", 1, "why\n"),
        ("x = (", 1, "SyntaxError: '(' was never closed\n"),
        ("def f():\n    1 / 0\nf()", 1, 'File "<step 1>", line 2, in f\n    1 / 0\n'),
    ],
)
def test_errors_read_like_pythons_own(shop: Player, code: str, exit_code: int, stderr: str) -> None:
    told = shop.run(code).result["structured_content"]
    assert told["exit_code"] == exit_code
    assert stderr in told["stderr"]


@INLINE
def test_output_is_caught_for_each_by_itself(shops: Callable[..., Player], capsys: pytest.CaptureFixture[str]) -> None:
    both = threading.Barrier(2, timeout=20)

    def meet(self: Any) -> None:
        """Wait for the other."""
        both.wait()

    marked = tool(meet)
    players = [shops(meet=marked), shops(meet=marked)]
    seen: dict[int, str] = {}

    def play(number: int) -> None:
        told = players[number].run(f"print({number})\nmeet()\nprint({number})\nmeet()")
        seen[number] = told.result["structured_content"]["stdout"]

    threads = [threading.Thread(target=play, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == {0: "0\n0\n", 1: "1\n1\n"}
    print("mine")
    assert capsys.readouterr().out == "mine\n"


# Parts ----------------------------------------------------------------------------------------------


def test_names_of_functions_are_names() -> None:
    names = ["a-b", "a_b", "class", "list_tools", "ToolError"]
    told = json.loads(offered([{"name": name} for name in names], 10))["tools"]
    assert [one["function"] for one in told] == ["a_b_2", "a_b", "class_", "list_tools_", "ToolError_"]
    assert [one.get("function") for one in listed([{"name": name} for name in names])] == [
        "a_b_2", None, "class_", "list_tools_", "ToolError_",
    ]  # fmt: skip


def test_a_schema_cannot_put_code_into_a_function() -> None:
    evil = "x): __import__('os').abort() #"
    tool = {"name": "t", "description": '"""', "inputSchema": {"properties": {evil: {}, "class": {}, "ok": {}}}}
    (one,) = json.loads(offered([tool], 10))["tools"]
    given: list[Any] = []
    scope: dict[str, Any] = {"_call": lambda name, arguments: given.append((name, arguments)), "_default_0": None}
    exec(one["source"], scope)
    scope["t"](ok=1, **{evil: 2, "class": 3})
    assert given == [("t", {"ok": 1, evil: 2, "class": 3})]


def test_records_of_anything_are_json() -> None:
    class Model(BaseModel):
        x: int = 1

    calls: list[dict[str, Any]] = []
    kept = Kept(calls, 10_000)
    calls += [{"tool_name": "t", "arguments": {"a": object(), "b": {1, 2}}, "result": Model()}, {"error": "no"}]
    told = kept.take()
    json.dumps(told)
    assert kept.left_out == 0
    assert list(told[0]["arguments"]["a"]) == ["repr"]
    assert (told[0]["arguments"]["b"], told[0]["result"], told[1]) == ([1, 2], {"x": 1}, {"error": "no"})


class TestShopInline(EnvironmentContract):
    environment = type("InlineShop", (Shop,), {"sandbox": "inline", "__module__": Shop.__module__})

    def make_action(self, rng: Any) -> CallToolAction:
        codes = ("x = price('lamp')", "x", "buy('rug')", "1 / 0", "pay()", "price('none')")
        return CallToolAction(tool_name="run_code", arguments={"code": rng.choice(codes)})


def test_the_coding_environment_knows_no_tools(level: str) -> None:
    from openenv_coding.server.environment import CodingEnvironment

    environment = CodingEnvironment(level)
    try:
        environment.reset(seed=1)
        assert "NameError" in environment.step(CodingAction(code="list_tools()")).stderr
    finally:
        environment.close()


def test_calls_are_kept_within_bounds_while_the_code_runs() -> None:
    calls: list[dict[str, Any]] = [{"tool_name": "before"}]
    kept = Kept(calls, 1000)
    for number in range(100):
        calls.append({"tool_name": "t", "arguments": {"text": "x" * 100_000}})  # it runs
        calls[-1]["result"] = number
        kept.take()
        assert len(json.dumps(calls)) < 1200
    told = kept.take(is_last=True)
    assert told == calls[1:]
    assert len(told) + kept.left_out == 100


def test_a_call_without_an_end_is_kept_at_last() -> None:
    calls: list[dict[str, Any]] = []
    kept = Kept(calls, 1000)
    calls.append({"tool_name": "t", "arguments": {}})
    assert kept.take() == []
    assert kept.take(is_last=True) == [{"tool_name": "t", "arguments": {}}]


@SANDBOX
def test_code_that_calls_for_ever_does_not_fill_the_memory_of_the_host(shops: Callable[..., Player]) -> None:
    most: list[int] = []

    def echo(self: Any, text: str) -> str:
        most.append(len(json.dumps(self.code_calls[:-1])))
        return text

    seen = shops(echo=tool(echo)).run("for _ in range(20):\n    echo('x' * 500_000)")
    assert max(most) < 300_000
    assert len(seen.result["data"]["calls"]) + seen.result["data"]["calls_left_out"] == 20


def test_agents_see_run_code_beside_the_search() -> None:
    class Many(Shop):
        search_tools = True

    environment = Many()
    environment.reset()
    listed: Any = environment.offer("tools/list", {})
    assert [one["name"] for one in listed["tools"]] == ["search_tools", "call_tool", "run_code"]
    environment.close()


@INLINE
def test_what_a_tool_gives_inline_is_not_read_before_the_code_has(shops: Callable[..., Player]) -> None:
    def numbers(self: Any) -> Any:
        return (number for number in range(5))

    assert shops(numbers=tool(numbers)).value("found = numbers()\nitems()\nsum(found)") == "10"
