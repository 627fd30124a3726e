"""Servers that are programs: found out, listed and called."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from tests.unit.mounts.living import begun, called, is_running, noting, server, text_of, until

from openenv.environment import ToolEnvironment, with_toolsets
from openenv.errors import ConfigurationError, InputNeeded, ToolsetUnavailable
from openenv.tools import BadArguments, CallCancelled, CallToolAction, Changed, Logged, Note, Progressed, ToolContext
from openenv.types import Observation, State

ERAS = pytest.mark.parametrize("era", ["older", "stateless", "fragile"])


@ERAS
async def test_tools_of_all_pages_are_listed_and_called(era: str) -> None:
    async with begun(server(era)) as toolset:
        tools = {tool.name: tool for tool in toolset.tools()}
        assert len(tools) == 14
        assert tools["echo"].title == "Echo"
        assert tools["echo"].annotations == {"readOnlyHint": True}
        assert tools["echo"].timeout_s == 60.0
        result = await called(toolset, "echo", text="hé\n")
        assert result["content"] == [{"type": "text", "text": "hé\n"}]
        assert (result["data"], result["meta"], result["is_error"]) == ("hé\n", {"seen": True}, False)
        assert (await called(toolset, "fail"))["is_error"]
        added = await called(toolset, "add")
        assert (added["data"], added["structured_content"]) == (3, {"result": 3})


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"result": "three"}, "result is 'three', and no integer"),
        ({"other": 3}, "it has no result"),
        (None, "there is no structured content"),
    ],
)
async def test_a_result_that_does_not_fit_its_schema_is_an_error(told: Any, words: str) -> None:
    """Clients of MCP raise where structured content does not fit, and their agents end."""
    async with begun(server()) as toolset:
        lied = await called(toolset, "add", told=told)
        assert (lied["is_error"], lied["structured_content"]) == (True, None)
        assert text_of(lied) == f"its result does not fit its output schema: {words}"
        failed = await called(toolset, "add", told=told, failed=True)
        assert (failed["is_error"], text_of(failed)) == (True, "3")


async def test_its_era_is_remembered_for_those_that_come_after(tmp_path: Path) -> None:
    file = tmp_path / "echo"
    file.write_text("Echo.\n")
    first = server("fragile", file)
    async with begun(first), begun(first.fresh()) as second:
        assert text_of(await called(second, "echo", text="x")) == "x"
    assert file.read_text().count("probed") == 1


async def test_it_can_be_used_from_one_loop_after_another() -> None:
    toolset = server()

    def elsewhere() -> str:
        asyncio.run(toolset.begin({}))
        said = asyncio.run(called(toolset, "echo", text="again"))
        asyncio.run(toolset.close())
        return text_of(said)

    assert await asyncio.to_thread(elsewhere) == "again"


async def test_what_the_program_sees_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_SECRET", "x")
    monkeypatch.delenv("LANG", raising=False)
    toolset = server(env={"GREETING": "hi ${TOKEN} ${NOT}"}, credentials=["TOKEN"])
    async with begun(toolset, {"TOKEN": "t0ken", "UNASKED": "x"}):
        seen = (await called(toolset, "environ"))["structured_content"]
    assert seen.keys() - {"LC_CTYPE", "HOME", "LANG"} == {"PATH", "GREETING", "TOKEN"}
    assert (seen["TOKEN"], seen["GREETING"]) == ("t0ken", "hi t0ken ${NOT}")


async def test_a_credential_that_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="needs the credential TOKEN"):
        await server(credentials=["TOKEN"]).begin({})


async def test_arguments_are_checked_before_the_server_is_asked() -> None:
    async with begun(server()) as toolset:
        with pytest.raises(BadArguments, match=r"text: Field required\. Its arguments: text"):
            await called(toolset, "echo")
        with pytest.raises(BadArguments, match=r"text is 3, and no string"):
            await called(toolset, "echo", text=3)


@pytest.mark.parametrize("era", ["older", "stateless"])
async def test_progress_and_log_are_passed_on(era: str) -> None:
    context, notes = noting()
    async with begun(server(era)) as toolset:
        assert text_of(await called(toolset, "progress", context)) == "done"
    assert notes == [Progressed(1.0, 2.0, "step 1"), Progressed(2.0, 2.0, "step 2")]


@pytest.mark.parametrize("era", ["older", "stateless"])
async def test_a_cancelled_task_cancels_the_call(era: str, tmp_path: Path) -> None:
    file = tmp_path / "echo"
    file.write_text("Echo.\n")
    begins = asyncio.Event()
    loop, notes = asyncio.get_running_loop(), []

    def sink(note: object) -> None:
        notes.append(note)
        loop.call_soon_threadsafe(begins.set)

    async with begun(server(era, file)) as toolset:
        call = asyncio.create_task(called(toolset, "hang", ToolContext(sink=sink)))
        await begins.wait()
        assert notes == [Logged({"hanging": True}, "warning", "hang")]
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(until, lambda: "cancelled" in file.read_text())
        assert text_of(await called(toolset, "echo", text="on")) == "on"


async def test_a_caller_who_has_given_up_ends_the_call(tmp_path: Path) -> None:
    file = tmp_path / "echo"
    file.write_text("Echo.\n")
    given_up = False

    def sink(note: object) -> None:
        nonlocal given_up
        given_up = True

    async with begun(server("older", file)) as toolset:
        with pytest.raises(CallCancelled):
            await called(toolset, "hang", ToolContext(sink=sink, is_cancelled=lambda: given_up))
        await asyncio.to_thread(until, lambda: "cancelled" in file.read_text())


@pytest.mark.parametrize("era", ["older", "stateless"])
async def test_a_question_is_passed_on_where_it_can_be_answered(era: str) -> None:
    async with begun(server(era)) as toolset:
        assert json.loads(text_of(await called(toolset, "ask"))) == {"action": "decline"}
        able = ToolContext(capabilities={"elicitation": {}})
        with pytest.raises(InputNeeded) as needed:
            await called(toolset, "ask", able)
        [(name, question)] = needed.value.details["requests"].items()
        assert (question["method"], question["params"]["message"]) == ("elicitation/create", "Which colour?")
        answer = {"action": "accept", "content": {"colour": "red"}}
        answered = ToolContext({name: answer}, {"elicitation": {}})
        assert json.loads(text_of(await called(toolset, "ask", answered))) == answer


async def test_what_nobody_can_answer_is_refused() -> None:
    async with begun(server()) as toolset:
        assert json.loads(text_of(await called(toolset, "sample"))) == {"code": -32601}


async def test_garbage_on_its_output_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    async with begun(server()) as toolset:
        assert text_of(await called(toolset, "garbage")) == "clean"
        for _ in range(5):
            assert text_of(await called(toolset, "garbage")) == "clean"
    skipped = [record for record in caplog.records if "no message" in record.message]
    assert len(skipped) == 10


async def test_a_flood_on_its_error_stream_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openenv.mounts")
    async with begun(server()) as toolset:
        assert text_of(await called(toolset, "flood")) == "flooded"
    assert len(caplog.records) == 101
    assert max(len(record.message) for record in caplog.records) < 600
    assert "left out" in caplog.records[-1].message


async def test_a_large_result_comes_and_one_that_is_too_large_ends_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async with begun(server()) as toolset:
        assert len(text_of(await called(toolset, "big", size=10_000_000))) == 10_000_000
        with pytest.raises(ToolsetUnavailable, match="more than 32 MiB"):
            await called(toolset, "big", size=33 * 2**20)
        await toolset.begin({})
        assert text_of(await called(toolset, "echo", text="back")) == "back"


async def test_a_tool_that_changes_between_episodes_and_not_within(tmp_path: Path) -> None:
    file = tmp_path / "echo"
    file.write_text("First.\n")
    async with begun(server("older", file)) as toolset:
        pid, hashes = toolset.process_id, toolset.hashes
        file.write_text("Second.\n")
        await called(toolset, "echo", text="x")
        assert toolset.tools()[0].description == "First."
        await toolset.begin({})
        assert toolset.tools()[0].description == "Second."
        assert toolset.process_id == pid
        assert [name for name in hashes if toolset.hashes[name] != hashes[name]] == ["echo"]


async def test_a_pinned_tool_that_changes(tmp_path: Path) -> None:
    file = tmp_path / "echo"
    file.write_text("First.\n")
    async with begun(server("older", file)) as toolset:
        hashes = toolset.hashes
    async with begun(server("older", file, pinned=hashes)) as toolset:
        file.write_text("Second.\n")
        with pytest.raises(ToolsetUnavailable, match=r"echo has changed: it is sha256:\w{64} now") as changed:
            await toolset.begin({})
        assert toolset.tools() == ()
        assert changed.value.details["pinned"] == hashes["echo"]
        file.write_text("First.\n")
        await toolset.begin({})
    with pytest.raises(ToolsetUnavailable, match="no tool gone any more"):
        await server(pinned={"gone": hashes["echo"]}).begin({})


async def test_which_tools_are_taken_and_their_names() -> None:
    toolset = server(allow=["e*", "pid"], deny=["environ"], prefix="out_")
    async with begun(toolset):
        assert [tool.name for tool in toolset.tools()] == ["out_echo", "out_pid"]
        assert text_of(await called(toolset, "out_echo", text="x")) == "x"
        with pytest.raises(ToolsetUnavailable, match="no tool environ"):
            await called(toolset, "environ")
    for wrong in ({"allow": ["none"]}, {"deny": ["none*"]}):
        with pytest.raises(ConfigurationError, match=r"has no tool 'none.*it has: echo, environ"):
            async with begun(server(**wrong)):
                pass


class Desk(ToolEnvironment[State]):
    def reset(self, seed: int | None = None) -> Any:
        return Observation()


async def test_an_environment_tells_that_tools_have_changed_and_ends_with_them(tmp_path: Path) -> None:
    file = tmp_path / "echo"
    file.write_text("First.\n")
    environment = with_toolsets(Desk, [server("older", file)])()
    notes: list[Note] = []
    environment.note_sink = notes.append
    await environment.reset_async()
    pid = int((await environment.step_async(CallToolAction(tool_name="pid"))).result["data"])
    notes.clear()
    await environment.reset_async()
    assert notes == []
    file.write_text("Second.\n")
    await environment.reset_async()
    assert notes == [Changed("tools")]
    await environment.close()
    assert not is_running(pid)


async def test_calls_side_by_side_have_their_own_notes() -> None:
    async with begun(server()) as toolset:
        ways = [noting() for _ in range(8)]
        await asyncio.gather(*(called(toolset, "progress", context) for context, _ in ways))
    assert all(notes == [Progressed(1.0, 2.0, "step 1"), Progressed(2.0, 2.0, "step 2")] for _, notes in ways)
