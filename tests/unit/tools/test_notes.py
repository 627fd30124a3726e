"""Notes that are none are told to the tool that makes them, since they may be read in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from openenv.tools import ToolContext
from openenv.tools.forwarding import Forwarding
from openenv.tools.notes import Changed, Logged, Note, Progressed, note_from, note_text

WRONG: list[tuple[Callable[[ToolContext], None], str]] = [
    (lambda context: context.log("info", "it is open"), "is one of debug, info, .*, not 'it is open'"),  # type: ignore[arg-type]
    (lambda context: context.log("x", None), "is one of debug, info, .*, not None"),  # type: ignore[arg-type]
    (lambda context: context.log("x", "info", 5), "logger is a text, not 5"),  # type: ignore[arg-type]
    (lambda context: context.progress(float("nan")), "finite numbers, not nan"),
    (lambda context: context.progress(1, float("inf")), "finite numbers, not inf"),
    (lambda context: context.progress(1, 2, 5), "message of progress is a text, not 5"),  # type: ignore[arg-type]
    (lambda context: context.changed(None), "URI of a resource is a text, not None"),  # type: ignore[arg-type]
    (lambda context: context.changed(b"a://b"), "URI of a resource is a text, not b'a://b'"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("say", "words"), WRONG)
def test_what_is_no_note_is_an_error_of_the_tool(say: Callable[[ToolContext], None], words: str) -> None:
    told: list[Note] = []
    with pytest.raises((ValueError, TypeError), match=words):
        say(ToolContext(sink=told.append))
    assert told == []


def test_what_is_announced_is_a_list_that_there_is() -> None:
    with pytest.raises(ValueError, match="tools, prompts, resources, resource, not 'tool'"):
        Changed("tool")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "note",
    [
        Progressed(0.5),
        Progressed(1.0, 2.0, "half"),
        Logged({"a": [1]}, "emergency", "desk"),
        Logged(float("nan")),
        Changed("prompts"),
        Changed("resource", "a://b"),
    ],
)
def test_what_is_one_is_read_as_it_was_written(note: Any) -> None:
    assert type(note_from(note_text(note))) is type(note)


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), 10**400, True, "1"], ids=["nan", "inf", "huge", "bool", "text"]
)
def test_progress_of_another_server_that_is_no_number_is_not_passed_on(number: Any) -> None:
    told: list[Note] = []

    async def forward() -> None:
        forwarding = Forwarding(ToolContext(sink=told.append))
        forwarding.told("notifications/progress", {"progress": number})
        forwarding.told("notifications/progress", {"progress": 1, "total": number})

    asyncio.run(forward())
    assert told == [Progressed(1.0)]
