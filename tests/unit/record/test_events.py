"""What an event says of itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.record.samples import a_run, an_event

from openenv.record import Event


def test_an_event_is_frozen_and_its_json_has_the_fields_in_order() -> None:
    event = an_event(1)
    with pytest.raises(AttributeError):
        event.index = 2  # type: ignore[misc]
    assert list(msgspec.json.decode(msgspec.json.encode(event))) == [
        "run", "episode", "index", "kind", "at", "duration_s", "request", "reply",
    ]  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


def test_a_kind_nobody_knows_is_refused_when_events_are_read_from_json() -> None:
    text = msgspec.json.encode(an_event()).replace(b'"reset"', b'"render"')
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Event)


@pytest.mark.parametrize(
    ("reply", "reward"),
    [
        ({"reward": 1.5}, 1.5),
        ({"reward": -2}, -2.0),
        ({"reward": True}, 1.0),
        ({"reward": None}, None),
        ({"reward": "1"}, None),
        ({"reward": float("nan")}, None),
        ({"reward": float("-inf")}, None),
        ({"reward": 10**400}, None),
        ({}, None),
        ("not a dict", None),
        (None, None),
    ],
)
def test_the_reward_of_a_step(reply: Any, reward: float | None) -> None:
    found = an_event(1, reply=reply).reward
    assert found == reward
    assert type(found) is type(reward)


@pytest.mark.parametrize("kind", ["reset", "error", "end"])
def test_only_steps_have_rewards(kind: Any) -> None:
    assert an_event(1, kind, reply={"reward": 1.0}).reward is None


@pytest.mark.parametrize(
    ("request_", "reply", "seed"),
    [
        ({"seed": 7}, {"metadata": {"seed": 8}}, 8),
        ({"seed": 7}, {"metadata": {}}, 7),
        ({"seed": 7}, {"metadata": {"seed": "8"}}, 7),
        ({"seed": 7}, {"metadata": None}, 7),
        ({"seed": 0}, {"metadata": {"seed": None}}, 0),
        ({"seed": True}, {}, None),
        ({"seed": None}, {}, None),
        (None, None, None),
    ],
)
def test_the_seed_is_the_one_really_used_if_it_was_told(request_: Any, reply: Any, seed: int | None) -> None:
    assert an_event(0, request=request_, reply=reply).seed == seed


def test_the_seed_of_a_reset_that_failed_is_the_one_sent() -> None:
    assert an_event(0, "error", request={"seed": 7}).seed == 7


def test_later_events_tell_no_seed() -> None:
    assert an_event(1, request={"seed": 7}, reply={"metadata": {"seed": 8}}).seed is None


@pytest.mark.parametrize("status", ["done", "failed", "interrupted"])
def test_the_end_tells_the_status(status: str) -> None:
    assert an_event(3, "end", reply={"status": status}).status == status


@pytest.mark.parametrize("reply", [{"status": "tired"}, {}, None])
def test_an_end_that_says_nothing_known_has_no_status(reply: Any) -> None:
    assert an_event(3, "end", reply=reply).status is None


@pytest.mark.parametrize("kind", ["reset", "step", "error"])
def test_only_ends_have_a_status(kind: Any) -> None:
    assert an_event(1, kind, reply={"status": "done"}).status is None


def test_a_new_run_is_running() -> None:
    run = a_run()
    assert (run.status, run.ended_at, run.seed, run.settings, run.versions) == ("running", None, None, {}, {})
    run.settings["episodes"] = 5
    assert a_run().settings == {}
