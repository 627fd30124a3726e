"""Content that a client's version of MCP does not have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.server.mcp.spoken import Desk, OlderSpeaker, last, spoken

from openenv import AudioContent, FileContent
from openenv.tools import Sample, ToolContext, ToolResult, prompt, tool

SOUND = AudioContent(data=b"RIFF", mime_type="audio/wav")
LINK = {"type": "resource_link", "uri": "https://x.test/song", "name": "song", "mimeType": "audio/ogg", "size": 9}
TOLD_SOUND = {"type": "text", "text": "[audio left out: audio/wav, 4 bytes]"}
TOLD_LINK = {"type": "text", "text": "[link: song, https://x.test/song, audio/ogg, 9 bytes]"}


class Studio(Desk):
    """Plays."""

    @tool
    def play(self) -> ToolResult:
        """A sound, a link and a file."""
        return ToolResult([SOUND, LINK, FileContent(data=b"%PDF", mime_type="application/pdf", name="score.pdf")])

    @prompt
    def listen(self) -> AudioContent:
        """A sound."""
        return SOUND

    @tool
    def transcribe(self, context: ToolContext) -> str:
        """Ask the client's model of a sound."""
        message = {"role": "user", "content": {"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav"}}
        return str(context.ask(words=Sample([message]))["words"])


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_a_client_reads_what_it_does_not_know_as_text(version: str) -> None:
    has_audio, has_links = version >= "2025-03-26", version >= "2025-06-18"
    sound: Any = {"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav"} if has_audio else TOLD_SOUND
    async with spoken(Studio) as site:
        speaker = OlderSpeaker(site)
        await speaker.initialize(version, sampling={})
        *known, file = (await speaker.call("play"))["result"]["content"]
        assert known == [sound, LINK if has_links else TOLD_LINK]
        assert file["type"] == "resource"
        [message] = (await speaker.ask("prompts/get", {"name": "listen"}))["result"]["messages"]
        assert message == {"role": "user", "content": sound}
        call = speaker.calling("transcribe")
        await call.until(lambda: call.said)
        question = json.loads(call.said[-1])
        assert question["params"]["messages"] == [{"role": "user", "content": sound}]
        await speaker.say({"jsonrpc": "2.0", "id": question["id"], "result": {"role": "assistant"}})
        await call.until(lambda: call.is_complete)
        assert "result" in last(call)
