"""Streams of notices in the stateless era: what was asked for, tagged, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openenv.mcp.messages import McpError, Notification, Request
from openenv.mcp.subscription import Subscription

KEY = "io.modelcontextprotocol/subscriptionId"
KINDS = {"toolsListChanged": "tools", "promptsListChanged": "prompts", "resourcesListChanged": "resources"}


def subscription(wanted: Any, id: int | str = 8) -> Subscription:
    return Subscription(Request(id, "subscriptions/listen", {"notifications": wanted}))


def test_what_will_come_is_said_first() -> None:
    wanted = {"toolsListChanged": True, "promptsListChanged": False, "resourceSubscriptions": ["a://b"], "new": True}
    found = json.loads(subscription(wanted, "s-1").acknowledged())
    assert found == {
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": {
            "notifications": {"toolsListChanged": True, "resourceSubscriptions": ["a://b"]},
            "_meta": {KEY: "s-1"},
        },
    }


@pytest.mark.parametrize("wanted", [{}, {"resourceSubscriptions": []}, {"resourceSubscriptions": None}])
def test_who_wants_nothing_gets_nothing(wanted: dict[str, Any]) -> None:
    found = subscription(wanted)
    assert found.filter == {}
    for kind in KINDS.values():
        assert found.tagged(Notification(f"notifications/{kind}/list_changed")) is None


@pytest.mark.parametrize("flag", KINDS)
def test_each_kind_is_asked_for_by_itself(flag: str) -> None:
    found = subscription({flag: True})
    for kind in KINDS.values():
        sent = found.tagged(Notification(f"notifications/{kind}/list_changed"))
        assert (sent is not None) is (kind == KINDS[flag])
    assert found.tagged(Notification("notifications/message", {"level": "info"})) is None


def test_a_resource_by_its_uri() -> None:
    found = subscription({"resourceSubscriptions": ["a://b"]})
    sent = found.tagged(Notification("notifications/resources/updated", {"uri": "a://b", "_meta": {"x": 1}}))
    assert sent is not None
    assert json.loads(sent)["params"] == {"uri": "a://b", "_meta": {"x": 1, KEY: 8}}
    assert found.tagged(Notification("notifications/resources/updated", {"uri": "a://c"})) is None
    assert found.tagged(Notification("notifications/resources/updated")) is None


def test_the_end() -> None:
    assert subscription({}).result() == {"_meta": {KEY: 8}}


@pytest.mark.parametrize("wanted", [None, [], {"resourceSubscriptions": "a"}, {"resourceSubscriptions": [1]}])
def test_what_is_not_said_properly(wanted: Any) -> None:
    with pytest.raises(McpError) as caught:
        subscription(wanted)
    assert (caught.value.code, caught.value.id) == (-32602, 8)
