"""Golden arrays: several messages of v2 in one frame, in both forms.

A file in ``golden/v2_arrays`` has the frame as JSON (``frame``) and as msgpack in hex (``msgpack``), and what is in it
(``messages``).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.wire.test_golden import GOLDEN, REPLIES, REQUESTS, on_the_server, plain, read

from openenv.errors import OpenEnvError
from openenv.protocol import is_batch, joined
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec
from openenv.protocol.v2_msgpack import MsgpackClientCodec, MsgpackServerCodec

CODECS = {"json": (V2ClientCodec(), V2ServerCodec()), "msgpack": (MsgpackClientCodec(), MsgpackServerCodec())}


def file_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "v2_arrays" / f"{name}.json").read_text())
    return found


def frames_of(file: dict[str, Any], form: str) -> list[str | bytes]:
    if form == "msgpack":
        assert msgspec.msgpack.encode(file["frame"]).hex() == file["msgpack"]
        return [bytes.fromhex(file["msgpack"])]
    text = json.dumps(file["frame"])
    return [text, text.encode()]


@pytest.mark.parametrize("form", CODECS)
def test_an_array_of_requests(form: str) -> None:
    client, server = CODECS[form]
    file = file_of("requests")
    expected = [read(message, REQUESTS) for message in file["messages"]]
    for frame in frames_of(file, form):
        assert is_batch(frame)
        got = server.decode_all(frame)
        assert not any(isinstance(one, OpenEnvError) for one in got)
        assert [plain(one) for one in got] == [plain(one) for one in expected]
    written = joined([client.encode(one) for one in expected])
    assert _read(written) == file["frame"]


@pytest.mark.parametrize("form", CODECS)
def test_an_array_of_replies(form: str) -> None:
    client, server = CODECS[form]
    file = file_of("replies")
    for frame in frames_of(file, form):
        got = client.decode_all(frame)
        assert [plain(one) for one in got] == [plain(read(message, REPLIES)) for message in file["messages"]]
    written = joined([server.encode(on_the_server(message)) for message in file["messages"]])
    assert _read(written) == file["frame"]


def _read(frame: str | bytes) -> Any:
    return json.loads(frame) if isinstance(frame, str) else msgspec.msgpack.decode(frame)
