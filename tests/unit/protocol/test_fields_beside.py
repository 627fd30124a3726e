"""Which fields of an observation travel beside it."""

from __future__ import annotations

import json

import pytest

from openenv.protocol import Observed, ServerCodec, fields_beside
from openenv.protocol.v1 import V1ServerCodec
from openenv.protocol.v2 import V2ServerCodec
from openenv.types import Observation


class Page(Observation):
    text: str = ""
    truncated: bool | None = False  # of the text, not of the episode


class Titled(Page):
    title: str = ""


@pytest.mark.parametrize("codec", [V1ServerCodec(), V2ServerCodec()])
@pytest.mark.parametrize("cls", [Page, Titled])
def test_what_a_class_declares_itself_stays_in_the_observation(codec: ServerCodec, cls: type[Page]) -> None:
    frame = json.loads(codec.encode(Observed(observation=cls(truncated=True))) or "")
    observation = frame.get("data", frame)["observation"]
    assert observation["truncated"] is True
    assert "terminated" not in observation


def test_others_travel_beside() -> None:
    assert fields_beside(Observation) == {"reward", "done", "terminated", "truncated", "metadata"}
