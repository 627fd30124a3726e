"""The largest message, under a server that knows nothing of ours."""

from __future__ import annotations

import json

import pytest
from tests.unit.server.serving import LINES, serving
from tests.unit.session.worlds import Move, Seen, world

from openenv.app import create_app
from openenv.server import MAX_MESSAGE_BYTES


@pytest.mark.parametrize("way", LINES)
def test_under_plain_uvicorn_a_message_over_the_default_gets_the_typed_error(way: str) -> None:
    with serving(create_app(world(), Move, Seen)) as server:
        line = LINES[way](server)
        line.reset()
        too_large = line.say(json.dumps({"type": "step", "data": {"how": "x" * (9 * 1024 * 1024)}}))
        assert too_large.code == "MESSAGE_TOO_LARGE"
        assert str(MAX_MESSAGE_BYTES) in too_large.message
        assert line.step().value == 1
        line.close()
