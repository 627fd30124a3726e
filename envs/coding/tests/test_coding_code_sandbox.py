"""Code that calls tools from a sandbox: plain data, time, deaths, threads, and calls that nobody should make."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from envs.coding.tests.tool_worlds import BOTH, SANDBOX, AwaitedShop, Player, Shop

from openenv import SyncMCPToolClient, create_app
from openenv.testing import EnvironmentContract, serving
from openenv.tools import CallToolAction, tool


@SANDBOX
def test_results_are_plain_data(shop: Player) -> None:
    assert shop.value("items()[0]") == "{'name': 'lamp', 'cents': 500}"
    assert shop.value("picture()[0]['type'], picture()[0]['mimeType']") == "('image', 'image/png')"
    assert "no JSON form" in shop.stderr("formless()")
    assert "ToolError: refuse: sold out" in shop.stderr("refuse()")
    assert "TypeError: takes takes plain data" in shop.stderr("takes({1, 2})")
    assert "missing 1 required positional argument: 'item'" in shop.stderr("price()")
    assert shop.value("takes(value={'a': [1, None]})") == "False"


@SANDBOX
def test_a_big_argument_and_a_big_result(shop: Player) -> None:
    assert shop.value("len(thousands(10_000_000))") == "10000000"
    assert shop.value("takes('x' * 4_000_000)") == "False"
    assert "at most" in shop.stderr("takes('x' * 5_000_000)")


@SANDBOX
def test_time_is_up_within_a_call(shops: Callable[..., Player]) -> None:
    late = threading.Event()

    def wait(self: Any) -> str:
        """Wait for a time that is longer than the code has."""
        late.wait(0.4)
        return "late"

    player = shops(wait=tool(wait))
    seen = player.run("try:\n    wait()\nfinally:\n    print('here')\nprint('not here')", timeout_s=0.2)
    told = seen.result["structured_content"]
    assert (told["timed_out"], told["restarted"], told["stdout"]) == (True, False, "here\n")
    assert told["stderr"].endswith("KeyboardInterrupt\n")
    assert "<interpreter>" not in told["stderr"]
    assert player.value("price('rug')") == "700"
    seen = player.run("while True: price('rug')", timeout_s=0.3)
    assert seen.result["structured_content"]["timed_out"]
    assert len(seen.result["data"]["calls"]) > 10
    assert player.value("price('rug')") == "700"


@BOTH
def test_a_call_has_no_more_time_than_the_environment_gives(shops: Callable[..., Player]) -> None:
    code = "import time\nbegan = time.monotonic()\nwhile time.monotonic() - began < 5: price('rug')"
    seen = shops(code_timeout_s=0.5).run(code, timeout_s=60)
    assert seen.result["structured_content"]["timed_out"]


@SANDBOX
def test_the_interpreter_dies(shop: Player) -> None:
    seen = shop.run("buy('rug')\nimport os\nos._exit(3)")
    told = seen.result["structured_content"]
    assert (told["exit_code"], told["restarted"], seen.reward) == (3, True, 0.25)
    assert "variables and files are gone" in seen.result["content"][0]["text"]
    assert [one["tool_name"] for one in seen.result["data"]["calls"]] == ["buy"]
    assert shop.value("price('rug')") == "700"


@SANDBOX
def test_threads_call_too(shop: Player) -> None:
    code = (
        "import threading\nfound = []\n"
        "def work():\n    for n in range(1, 20): found.append(price('rug', n))\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[one.start() for one in threads]\nwork()\n[one.join() for one in threads]\n"
        "sorted(found) == sorted(700 * n for n in range(1, 20) for _ in range(5))"
    )
    assert shop.value(code) == "True"


@SANDBOX
def test_a_thread_that_goes_on_after_the_step(shop: Player) -> None:
    code = (
        "import threading\nsaid, over, done = [], threading.Event(), threading.Event()\n"
        "def later():\n    over.wait()\n    try:\n        price('rug')\n    except ToolError as error:\n"
        "        said.append(str(error))\n    done.set()\n"
        "thread = threading.Thread(target=later)\nthread.start()\n"
        "desk = price.__globals__['_call'].__self__\nshut = desk.shut\n"
        "def wait(): shut(); over.set(); done.wait(20)\n"  # between the end of the step and its answer
        "desk.shut = wait"
    )
    assert shop.run(code).result["data"]["calls"] == []
    assert "no step runs" in (shop.value("del desk.shut\nsaid") or "")


@SANDBOX
def test_a_copy_of_the_process_calls_nothing(shop: Player) -> None:
    code = (
        "import os\npid = os.fork()\n"
        "if pid == 0:\n    try:\n        price('rug')\n    except ToolError as error:\n"
        "        open('said', 'w').write(str(error))\n    os._exit(0)\n"
        "os.waitpid(pid, 0)\nopen('said').read()"
    )
    assert "a copy of the process" in (shop.value(code) or "")
    assert shop.value("price('rug')") == "700"


@SANDBOX
@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [("pay", {}, "not there now"), ("run_code", {"code": "1"}, "not there now"), ("price", {"nope": 1}, "nope")],
)
def test_a_call_that_the_functions_do_not_make(shop: Player, name: str, arguments: dict[str, Any], said: str) -> None:
    found = f"call = price.__globals__['_call']\ncall({name!r}, {arguments!r})"
    assert said in shop.stderr(found)
    assert shop.value("price('rug')") == "700"


@SANDBOX
@pytest.mark.parametrize("body", [b"[1]", b"{", b"\xff", b"[" * 100_000], ids=["list", "cut", "no text", "deep"])
def test_arguments_that_make_no_sense(shop: Player, body: bytes) -> None:
    code = (
        "import sys\ndesk = price.__globals__['_call'].__self__\n"
        f"fields = desk._exchange('price', {body[:10]!r} * {len(body) // 10 or 1}, 0)\nfields[0]"
    )
    assert shop.value(code) == "b'\\x00'"
    assert shop.value("price('rug')") == "700"


@SANDBOX
def test_a_cancelled_call(shops: Callable[..., Player]) -> None:
    player = shops()
    player.environment.is_cancelled = lambda: bool(player.notes)
    action = CallToolAction(
        tool_name="run_code", arguments={"code": "buy('rug')\nitems()\nwhile True: pass", "timeout_s": 600}
    )
    seen = player.environment.step(action)
    assert seen.error is not None
    assert (seen.error.error_type, seen.reward) == ("cancelled", 0.25)
    player.notes.clear()
    assert player.value("price('rug')") == "700"


# Awaited tools --------------------------------------------------------------------------------------


@pytest.mark.asyncio
@BOTH
async def test_awaited_tools_are_plain_functions(kind: str) -> None:
    environment = type("Awaited", (AwaitedShop,), {"sandbox": kind})()
    environment.reset(seed=1)
    code = "double(4), plain(3), double(double(2))"
    seen = await environment.step_async(CallToolAction(tool_name="run_code", arguments={"code": code}))
    assert seen.error is None
    assert seen.result["structured_content"]["value"] == "(8, 3, 8)"
    assert len(seen.result["data"]["calls"]) == 4
    environment.close()


@pytest.mark.asyncio
@SANDBOX
async def test_an_awaited_call_is_cancelled(kind: str) -> None:
    environment = type("Awaited", (AwaitedShop,), {"sandbox": kind})()
    environment.reset(seed=1)
    action = CallToolAction(tool_name="run_code", arguments={"code": "while True: double(1)"})
    running = asyncio.ensure_future(environment.step_async(action))
    await environment.begun.wait()
    environment.cancel_call()
    seen = await running
    assert seen.error is not None
    assert seen.error.error_type == "cancelled"
    action = CallToolAction(tool_name="run_code", arguments={"code": "double(1)"})
    assert (await environment.step_async(action)).result["data"]["value"] == "2"
    environment.close()


# Served -------------------------------------------------------------------------------------------


@pytest.mark.e2e
@SANDBOX
def test_it_is_played_through_a_server(kind: str) -> None:
    app = create_app(type("Served", (Shop,), {"sandbox": kind}), env_name="shop")
    with serving(app) as url, SyncMCPToolClient(url) as client:
        client.reset(seed=1)
        assert client.has_tool("run_code")
        code = "buy(min(items(), key=lambda item: item['cents'])['name'])\npay()"
        result = client.call("run_code", {"code": code})
        assert (result.reward, result.done) == (1.25, True)
        assert [one["tool_name"] for one in result.observation.result["data"]["calls"]] == ["items", "buy", "pay"]


class TestShop(EnvironmentContract):
    environment = Shop
    steps = 6

    def make_action(self, rng: random.Random) -> CallToolAction:
        codes = (
            "x = price('lamp')\nx",
            "x",
            "buy('rug')",
            "1 / 0",
            "price('none')",
            "[one['name'] for one in items()]",
        )
        return CallToolAction(tool_name="run_code", arguments={"code": rng.choice(codes)})
